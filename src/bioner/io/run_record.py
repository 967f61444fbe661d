"""Where a result comes from and what it took: versions, hardware, times, peak memory, energy."""

import os
import platform
import resource
import subprocess
import sys
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import psutil

from bioner.io.files import write_json
from bioner.settings.model_entry import ModelEntry
from bioner.settings.repository import REPOSITORY

PACKAGES = (
    "bioner-bench",
    "torch",
    "transformers",
    "peft",
    "bitsandbytes",
    "accelerate",
    "tokenizers",
    "nervaluate",
    "polars",
    "snakemake",
)


def provenance() -> dict[str, Any]:
    """Return versions, commit and hardware of this process."""
    changes = _git("status", "--porcelain", "--untracked-files=no")
    return {
        "python": platform.python_version(),
        "versions": {name: found for name in PACKAGES if (found := _version(name))},
        "commit": _git("rev-parse", "HEAD"),
        "uncommitted_changes": None if changes is None else bool(changes),
        "cpu": _cpu(),
        "cpus": os.cpu_count(),
        "memory_gb": round(psutil.virtual_memory().total / 2**30, 1),
        "gpus": _gpus(),
    }


def write_record(path: Path, made: Mapping[str, Any], entry: ModelEntry) -> None:
    """Write how something was made: what the caller knows, the model's settings, and this machine.

    It started when this process did, and ends now.
    """
    memory, gpu_memory = peak_memory(entry.resources.predict_gpus)
    write_json(
        path,
        {
            **made,
            "settings": entry.canonical(),
            "started": moment(psutil.Process().create_time()),
            "ended": moment(),
            "peak_memory_gb": memory,
            "peak_gpu_memory_gb": gpu_memory,
            **provenance(),
        },
    )


def moment(seconds: float | None = None) -> str:
    """Return a time (seconds since 1970, now by default) as text: 2026-01-31T12:00:00+00:00."""
    when = datetime.now(UTC) if seconds is None else datetime.fromtimestamp(seconds, UTC)
    return when.isoformat(timespec="seconds")


def forget_peak(gpus: int) -> None:
    """Reset the peak of GPU memory; that of the machine's memory is the process's own."""
    if gpus and (cuda := _cuda()):
        for index in range(cuda.device_count()):
            cuda.reset_peak_memory_stats(index)


def peak_memory(gpus: int) -> tuple[float, float | None]:
    """Return the peak GB of this process: machine memory, and that of its fullest GPU, if any."""
    memory = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 3)  # from kB
    if not gpus or not (cuda := _cuda()):
        return memory, None
    peak = max(cuda.max_memory_allocated(index) for index in range(cuda.device_count()))
    return memory, round(peak / 2**30, 3)


def energy_kwh(gpus: int) -> float | None:
    """Return the energy that the first `gpus` visible GPUs have used since their driver was loaded.

    None if they do not report it.
    """
    millijoules = _told(gpus, lambda nvml, card: nvml.nvmlDeviceGetTotalEnergyConsumption(card))
    return None if millijoules is None else sum(millijoules) / 3.6e9


def others_on_gpu(gpus: int) -> int | None:
    """Return the number of other processes on the first visible GPU, if the driver reports it."""
    processes = _told(
        min(gpus, 1), lambda nvml, card: len(nvml.nvmlDeviceGetComputeRunningProcesses(card))
    )
    # Zero would leave out this process, too: such a driver does not report processes.
    return processes[0] - 1 if processes and processes[0] else None


def _told(gpus: int, ask: Callable[[Any, Any], int]) -> list[int] | None:
    """Ask the driver about each of the first `gpus` visible GPUs; None if there is no answer."""
    if not gpus or not (cuda := _cuda()):
        return None
    try:
        import pynvml

        pynvml.nvmlInit()
        ids = [f"GPU-{cuda.get_device_properties(index).uuid}" for index in range(gpus)]
        return [ask(pynvml, pynvml.nvmlDeviceGetHandleByUUID(id_)) for id_ in ids]
    except Exception:  # a driver, card or container without an answer must not stop a training
        return None


@cache
def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _git(*arguments: str) -> str | None:
    try:
        return subprocess.run(
            ["git", "-C", str(REPOSITORY), *arguments],
            capture_output=True,
            text=True,
            check=True,
            timeout=20,
        ).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None


def _cpu() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:  # noqa: PTH123
            return next(
                line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")
            )
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def _gpus() -> list[str]:
    cuda = _cuda()
    return [cuda.get_device_name(index) for index in range(cuda.device_count())] if cuda else []


def _cuda() -> Any | None:
    """Return torch.cuda if this process has loaded torch and sees a GPU.

    Scoring and reporting never load torch, and have no GPU to record.
    """
    torch = sys.modules.get("torch")
    return torch.cuda if torch is not None and torch.cuda.is_available() else None
