"""Where a result comes from and what it took: versions, commit, hardware, wall time, peak memory."""

import os
import platform
import resource
import subprocess
import sys
import time
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import psutil

from bioner.config import REPOSITORY

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
    return {
        "python": platform.python_version(),
        "versions": {name: found for name in PACKAGES if (found := _version(name))},
        "commit": _git("rev-parse", "HEAD"),
        "uncommitted_changes": bool(_git("status", "--porcelain", "--untracked-files=no")),
        "cpu": _cpu(),
        "cpus": os.cpu_count(),
        "memory_gb": round(psutil.virtual_memory().total / 2**30, 1),
        "gpus": _gpus(),
    }


class Stopwatch:
    """Wall time and peak memory from its making on."""

    def __init__(self) -> None:
        self._start = time.monotonic()

    def costs(self) -> dict[str, Any]:
        """`wall_seconds`, `peak_memory_gb` of the process so far, `peak_gpu_memory_gb` where there is a GPU."""
        kilobytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return {
            "wall_seconds": round(time.monotonic() - self._start, 3),
            "peak_memory_gb": round(kilobytes / 2**20, 3),
            "peak_gpu_memory_gb": _peak_gpu_memory(),
        }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _git(*arguments: str) -> str | None:
    try:
        command = ["git", "-C", str(REPOSITORY), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=20).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None


def _cpu() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:  # noqa: PTH123
            return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def _gpus() -> list[str]:
    torch = sys.modules.get("torch")  # scoring and reporting never load torch, and have no GPU to tell of
    if torch is None or not torch.cuda.is_available():
        return []
    return [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]


def _peak_gpu_memory() -> float | None:
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_available():
        return None
    peak = max(torch.cuda.max_memory_allocated(index) for index in range(torch.cuda.device_count()))
    return float(round(peak / 2**30, 3))
