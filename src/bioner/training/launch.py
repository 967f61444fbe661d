"""One process per GPU: a job that needs several hands over to accelerate if the GPUs are there."""

import logging
import os
import sys

from bioner.errors import InputError
from bioner.models.devices import count_devices, require_devices
from bioner.settings.repository import REPOSITORY

log = logging.getLogger(__name__)

ACCELERATE_CONFIG = REPOSITORY / "envs" / "accelerate.yaml"

# Signals that torchrun forwards to its processes: otherwise Slurm's warning would kill it and leave
# them behind. For their checkpoint they have, instead of torchrun's 30 seconds, nearly all the time
# between the warning that the profile asks for and the end.
ENVIRONMENT = {
    "PET_SIGNALS_TO_HANDLE": "SIGTERM,SIGINT,SIGHUP,SIGQUIT,SIGUSR1",
    "TORCH_ELASTIC_SHUTDOWN_TIMEOUT": "170",
}


def launch(name: str, gpus: int) -> None:
    """Return if one process suffices; else replace this one by accelerate with the same command.

    Raises:
        InputError: If GPUs are missing, or another number of processes was launched.
    """
    count = processes_for(name, gpus)
    if count < 2:
        return
    if "WORLD_SIZE" not in os.environ:
        for name, value in ENVIRONMENT.items():
            os.environ.setdefault(name, value)
        os.execv(sys.executable, launch_command(count, sys.argv[1:]))
    if int(os.environ["WORLD_SIZE"]) != count:
        raise InputError(
            name,
            f"{os.environ['WORLD_SIZE']} processes",
            f"one a GPU: {count}",
            "Start `bioner` itself; it launches as many as it needs.",
        )


def processes_for(name: str, gpus: int) -> int:
    """Return the number of processes for a model with so many GPUs: one per GPU.

    If a Slurm job got fewer, the batch stays the same, in more parts. GPUs beyond those asked for
    are not used, so that a cell is trained alike everywhere.

    Raises:
        InputError: If GPUs are missing outside Slurm.
    """
    given = count_devices() if gpus and "SLURM_JOB_ID" in os.environ else 0
    if 0 < given < gpus:
        if os.environ.get("LOCAL_RANK", "0") == "0":
            log.warning(
                "train %s: Slurm gave %d of %d GPUs; the batch stays as it is, in more parts",
                name,
                given,
                gpus,
            )
        return given
    require_devices(name, gpus)
    return max(gpus, 1)


def launch_command(processes: int, arguments: list[str]) -> list[str]:
    """Return the `accelerate launch` of `bioner`, independent of the user's accelerate settings."""
    return [
        sys.executable,
        *("-m", "accelerate.commands.launch"),
        *("--config_file", str(ACCELERATE_CONFIG)),
        *("--num_processes", str(processes)),
        *("--main_process_port", "0"),  # any free one
        *("--module", "bioner"),
        *arguments,
    ]
