"""Slurm's commands and their answers."""

import subprocess

from bioner.errors import InputError

TIMEOUT = 60  # seconds to wait for an answer


class SlurmError(InputError):
    """A command of Slurm failed; `reason` is the last line that it wrote."""

    def __init__(self, command: str, reason: str) -> None:
        remedy = "Try again where and when `squeue` works; SLURM_CONF may have to be set."
        super().__init__(command, reason, "an answer from Slurm", remedy)
        self.reason = reason


def ask(*command: str) -> str:
    """Run a command of Slurm and return what it prints.

    Raises:
        SlurmError: It cannot be started, fails, or does not answer in time.
    """
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=TIMEOUT)
    except subprocess.CalledProcessError as error:
        lines = error.stderr.strip().splitlines() or [f"exit code {error.returncode}"]
        raise SlurmError(command[0], lines[-1]) from None
    except (OSError, subprocess.TimeoutExpired) as error:
        raise SlurmError(command[0], str(error)) from None
    return done.stdout
