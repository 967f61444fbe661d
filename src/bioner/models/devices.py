"""GPUs: whether a model's are there, and which one this process uses; imports torch late."""

import os
from typing import TYPE_CHECKING

from bioner.errors import InputError
from bioner.models.gpu_leases import lease_gpus

if TYPE_CHECKING:
    import torch


def count_devices() -> int:
    """Count the CUDA GPUs that this process sees."""
    import torch

    return torch.cuda.device_count()


def require_devices(name: str, gpus: int) -> None:
    """Reserve a model's GPUs, and fail before anything is loaded if some are missing.

    Raises:
        InputError: GPUs are missing, or other jobs have reserved them.
    """
    lease_gpus(name, gpus)
    found = count_devices() if gpus else 0
    if found < gpus:
        raise InputError(
            name,
            f"{found} CUDA GPUs",
            f"{gpus}",
            "Run it where there are (`snakemake --profile slurm …`), or lower "
            f"settings.{name}.resources.gpus (and predict_gpus) if you know that it fits.",
        )


def device_of(gpus: int) -> "torch.device":
    """Return this process's GPU if the entry asks for GPUs and there are any, else the CPU.

    All code that computes on a GPU calls this, so cuDNN attention is switched off here.
    """
    import torch

    # torch >= 2.11 with cuDNN 9.20 prefers it on Hopper. Reported: NaN gradients with a mask and a
    # length of 64 modulo 128 (pytorch#196678); NaN in rows that attend to nothing, as left padding
    # has (unsloth#9848, transformers#47651), with which an emulated model answers `!!!!` to all
    # prompts of a batch but the longest; tens to hundreds of milliseconds per new shape
    # (FunASR#3704), which nearly every pass of constrained decoding has.
    torch.backends.cuda.enable_cudnn_sdp(False)
    if gpus and torch.cuda.is_available():
        return torch.device("cuda", int(os.environ.get("LOCAL_RANK", 0)))
    return torch.device("cpu")
