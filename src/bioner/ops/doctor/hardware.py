"""GPUs: the driver against the CUDA build of torch, and what each visible GPU is and can do."""

import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from bioner.ops.doctor.report import Finding, fail, ok, skip

DEVICES = Path("/dev")
DRIVERS = {
    11: "450.80",
    12: "525.60",
    13: "580.65",
}  # first driver of each CUDA: NVIDIA's CUDA release notes, table 2
BF16 = (8, 0)  # compute capability of the first GPUs that calculate in bf16 (Ampere)


@dataclass(frozen=True, slots=True)
class Driver:
    """NVIDIA's driver: its version, the newest CUDA it runs, and how many GPUs it shows this
    process.
    """

    version: str
    cuda: tuple[int, int]
    gpus: int


def driver() -> Driver | None:
    """What the driver says of itself; None where there is none, or no pynvml to ask it with."""
    try:
        import pynvml
    except ImportError:
        return None
    try:
        pynvml.nvmlInit()
    except (pynvml.NVMLError_LibraryNotFound, pynvml.NVMLError_DriverNotLoaded):
        return None
    number = pynvml.nvmlSystemGetCudaDriverVersion_v2()  # 12080 is 12.8
    version = pynvml.nvmlSystemGetDriverVersion()
    return Driver(str(version), (number // 1000, number % 1000 // 10), pynvml.nvmlDeviceGetCount())


def gpus_here() -> int:
    """GPUs of this machine or job, whether or not torch can use them: as the driver says, else by
    device files.
    """
    with suppress(Exception):  # a broken driver is the matter of its own check
        if found := driver():
            return found.gpus
    return len(list(DEVICES.glob("nvidia[0-9]*")))


def visible_gpus() -> int:
    """GPUs that torch can use."""
    import torch

    return torch.cuda.device_count()


def check_driver(asked: int | None) -> Iterator[Finding]:
    """The driver runs the CUDA that torch was built for; `asked` is how many GPUs the machine is to
    have.
    """
    import torch

    here, built = gpus_here(), torch.version.cuda
    if not (here or asked):
        yield skip("driver", "no GPU on this machine")
        return
    if built is None:
        found = f"torch {torch.__version__} is a CPU build, " + (
            f"{here} GPUs are here" if here else "GPUs are asked for"
        )
        yield fail("driver", found, "`make env ENV=gpu` installs the CUDA build.")
        return
    known = driver()
    if known and known.cuda[0] < int(built.split(".")[0]):
        first = DRIVERS.get(int(built.split(".")[0]), "a newer one")
        found = (
            f"driver {known.version} runs CUDA up to {'.'.join(map(str, known.cuda))}, torch is"
            f" built for {built}"
        )
        remedy = (
            f"Have the driver updated to {first} or later, or install a build of torch for the"
            " driver's CUDA."
        )
        yield fail("driver", found, remedy)
    elif not torch.cuda.is_available() and (asked or "CUDA_VISIBLE_DEVICES" not in os.environ):
        remedy = (
            "Does `nvidia-smi` work here? In a container: is it started with GPUs (apptainer --nv)?"
        )
        yield fail("driver", f"torch for CUDA {built} finds no GPU that works", remedy)
    elif known:
        yield ok(
            "driver",
            f"{known.version}, CUDA up to {'.'.join(map(str, known.cuda))}; torch for CUDA {built}",
        )
    else:
        yield ok(
            "driver",
            f"torch for CUDA {built} finds its GPUs (without pynvml the driver's version is"
            " unknown)",
        )


def check_gpus(asked: int | None, bf16: Sequence[str]) -> Iterator[Finding]:
    """As many GPUs are visible as are asked for, and each can calculate in bf16 where `bf16` names
    models that do.
    """
    import torch

    seen = visible_gpus()
    if seen < (asked or 0):
        remedy = (
            f"Run it in a job that has them (`srun --gres=gpu:{asked} …`); CUDA_VISIBLE_DEVICES may"
            " hide some."
        )
        yield fail("gpus", f"{seen} visible, --gpus {asked}", remedy)
    elif not seen:
        yield skip("gpus", "none visible, and none asked for with --gpus")
    for index in range(seen):
        card = torch.cuda.get_device_properties(index)
        said = f"{index}: {card.name}, {card.total_memory / 2**30:.1f} GiB"
        if (card.major, card.minor) >= BF16:
            yield ok("gpus", f"{said}, bf16")
        elif bf16:
            remedy = f"Take a newer GPU, or set settings.{bf16[0]}.train.precision to fp32."
            yield fail("gpus", f"{said}, no bf16, which {', '.join(bf16)} calculate in", remedy)
        else:
            yield ok("gpus", f"{said}, no bf16, which no model of the run calculates in")
