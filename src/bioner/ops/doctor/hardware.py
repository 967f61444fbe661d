"""GPUs: whether torch can use them, and what each visible GPU is and can do."""

import os
from collections.abc import Iterator, Sequence

from bioner.errors import reason_of
from bioner.models.devices import count_devices
from bioner.models.gpu_leases import VISIBLE, gpus_here
from bioner.ops.doctor.report import Finding, fail, ok, skip

HIDDEN = ("", "-1", "NoDevFiles")  # of CUDA_VISIBLE_DEVICES: no GPU is to be used
BF16 = (8, 0)  # compute capability of the first GPUs that calculate in bf16 (Ampere)


def check_driver(asked: int | None) -> Iterator[Finding]:
    """Check that the driver runs torch's CUDA, if there are GPUs or `asked` are expected."""
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
    if asked or os.environ.get(VISIBLE) not in HIDDEN:
        try:
            torch.cuda.init()
        except Exception as error:  # torch says whether the driver is missing, broken or too old
            remedy = (
                "Does `nvidia-smi` work here? In a container: is it started with GPUs (apptainer"
                " --nv)?"
            )
            yield fail("driver", f"torch for CUDA {built}: {reason_of(error)}", remedy)
            return
    yield ok("driver", f"torch for CUDA {built} sees {count_devices()} of {here} GPUs")


def check_gpus(asked: int | None, bf16: Sequence[str]) -> Iterator[Finding]:
    """Check that `asked` GPUs are visible and can do bf16 if there are models that use it."""
    import torch

    seen = count_devices()
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
