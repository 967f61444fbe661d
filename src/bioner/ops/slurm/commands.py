"""Slurm's commands and their answers."""

import subprocess

TIMEOUT = 60  # seconds to wait for an answer


class SlurmError(Exception):
    """A command of Slurm failed; the message is the last line that it wrote."""


def ask(*command: str) -> str:
    """Run a command of Slurm and return what it prints.

    Raises:
        SlurmError: It cannot be started, fails, or does not answer in time.
    """
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=TIMEOUT)
    except subprocess.CalledProcessError as error:
        lines = error.stderr.strip().splitlines() or [f"exit code {error.returncode}"]
        raise SlurmError(lines[-1]) from None
    except (OSError, subprocess.TimeoutExpired) as error:
        raise SlurmError(str(error)) from None
    return done.stdout
