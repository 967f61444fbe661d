"""Where a result comes from and what it took: versions, commit, hardware, start and end, peak
memory, energy.
"""

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
from bioner.settings.config import REPOSITORY, Tree

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
    """Versions, commit and hardware of this process."""
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


def write_record(path: Path, made: Mapping[str, Any], settings: Tree) -> None:
    """Write how something was made, whole or not at all: what is known of it, the model's settings,
    this machine.

    It was begun when this process was, and is ended now.
    """
    memory, gpu_memory = peak_memory(settings["resources"]["predict_gpus"])
    record = {
        **made,
        "settings": settings,
        "started": moment(psutil.Process().create_time()),
        "ended": moment(),
        "peak_memory_gb": memory,
        "peak_gpu_memory_gb": gpu_memory,
        **provenance(),
    }
    write_json(path, record)


def moment(seconds: float | None = None) -> str:
    """A time (seconds since 1970; now) as text, to the second: 2026-01-31T12:00:00+00:00."""
    when = datetime.now(UTC) if seconds is None else datetime.fromtimestamp(seconds, UTC)
    return when.isoformat(timespec="seconds")


def forget_peak(gpus: int) -> None:
    """From here on `peak_memory` tells what GPUs hold now and later; that of the machine's memory
    is of the process.
    """
    torch = sys.modules.get("torch")
    if gpus and torch is not None and torch.cuda.is_available():
        for index in range(torch.cuda.device_count()):
            torch.cuda.reset_peak_memory_stats(index)


def peak_memory(gpus: int) -> tuple[float, float | None]:
    """GB that this process has had at most: of the machine's memory, and of the fullest of its
    GPUs, if any.
    """
    kilobytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    torch = sys.modules.get("torch")
    if not gpus or torch is None or not torch.cuda.is_available():
        return round(kilobytes / 2**20, 3), None
    peak = max(torch.cuda.max_memory_allocated(index) for index in range(torch.cuda.device_count()))
    return round(kilobytes / 2**20, 3), round(peak / 2**30, 3)


def energy_kwh(gpus: int) -> float | None:
    """What the first `gpus` visible GPUs have taken since their driver was loaded; None where they
    do not say.
    """
    millijoules = _told(gpus, lambda nvml, card: nvml.nvmlDeviceGetTotalEnergyConsumption(card))
    return None if millijoules is None else sum(millijoules) / 3.6e9


def others_on_gpu(gpus: int) -> int | None:
    """Processes of others on the first visible GPU, this one's not counted; None without a GPU, or
    where none tells.
    """
    processes = _told(
        min(gpus, 1), lambda nvml, card: len(nvml.nvmlDeviceGetComputeRunningProcesses(card))
    )
    return (
        processes[0] - 1 if processes and processes[0] else None
    )  # none at all, not even this one: it does not say


def _told(gpus: int, ask: Callable[[Any, Any], int]) -> list[int] | None:
    """What the driver answers of each of the first `gpus` visible GPUs; None without one, or where
    it does not.
    """
    torch = sys.modules.get("torch")
    if not gpus or torch is None or not torch.cuda.is_available():
        return None
    try:
        import pynvml

        pynvml.nvmlInit()
        ids = [f"GPU-{torch.cuda.get_device_properties(index).uuid}" for index in range(gpus)]
        return [ask(pynvml, pynvml.nvmlDeviceGetHandleByUUID(id_)) for id_ in ids]
    except (
        Exception
    ):  # a driver, a card or a container that does not tell: no reason to stop a training
        return None


@cache
def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _git(*arguments: str) -> str | None:
    try:
        command = ["git", "-C", str(REPOSITORY), *arguments]
        return subprocess.run(
            command, capture_output=True, text=True, check=True, timeout=20
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
    torch = sys.modules.get(
        "torch"
    )  # scoring and reporting never load torch, and have no GPU to tell of
    if torch is None or not torch.cuda.is_available():
        return []
    return [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
