"""One process a GPU: a job that needs several hands over to accelerate, once the GPUs are known to
be there.
"""

import logging
import os
import socket
import sys

from bioner.errors import InputError
from bioner.models.devices import count_devices, require_devices
from bioner.settings.config import REPOSITORY

log = logging.getLogger(__name__)

ACCELERATE_CONFIG = REPOSITORY / "envs" / "accelerate.yaml"

# Signals that torchrun hands on to its processes: else Slurm's warning would kill it and leave them
# behind. They have not torchrun's 30 seconds for their checkpoint, but nearly all between the
# profile's warning and the end.
ENVIRONMENT = {
    "PET_SIGNALS_TO_HANDLE": "SIGTERM,SIGINT,SIGHUP,SIGQUIT,SIGUSR1",
    "TORCH_ELASTIC_SHUTDOWN_TIMEOUT": "170",
}


def launch(name: str, gpus: int) -> None:
    """Return where this process can do the work; else replace it by accelerate with the same
    command in N processes.

    Raises InputError where GPUs are missing, or somebody launched another number of processes.
    """
    count = processes_for(name, gpus)
    if count < 2:
        return
    if "WORLD_SIZE" not in os.environ:
        for name, value in ENVIRONMENT.items():
            os.environ.setdefault(name, value)
        os.execv(sys.executable, launch_command(count, sys.argv[1:]))
    if int(os.environ["WORLD_SIZE"]) != count:
        remedy = "Start `bioner` itself; it launches as many as it needs."
        raise InputError(
            name, f"{os.environ['WORLD_SIZE']} processes", f"one a GPU: {count}", remedy
        )


def processes_for(name: str, gpus: int) -> int:
    """How many processes train a model that is to have so many GPUs: one for each that a Slurm job
    was given.

    With fewer than the entry asks for the batch stays as it is, in more parts; more are left alone,
    since a cell is trained alike everywhere. Outside Slurm missing GPUs are an error.
    """
    given = count_devices() if gpus else 0
    if "SLURM_JOB_ID" in os.environ and 0 < given < gpus:
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
    """`accelerate launch` of `bioner` with these arguments; the user's own accelerate settings do
    not get in.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    return [
        sys.executable,
        *("-m", "accelerate.commands.launch"),
        *("--config_file", str(ACCELERATE_CONFIG)),
        *("--num_processes", str(processes)),
        *("--main_process_port", str(port)),
        *("--module", "bioner"),
        *arguments,
    ]
