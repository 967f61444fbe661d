"""Programs that checks run, so that a crash or hang in them does not stop the doctor."""

import contextlib
import os
import signal
import subprocess
import tempfile
from collections.abc import Sequence
from typing import IO

END = 5.0  # seconds for a killed program to end; one that waits for a dead file server never does


class ProgramFailed(Exception):
    """A program failed, crashed or did not end in time; the message says why in one line."""


def run_program(command: Sequence[str], limit: float) -> str:
    """Run a program for at most `limit` seconds and return the last line that it prints.

    Raises:
        ProgramFailed: The reason is its last line, the signal that ended it, or the limit.
    """
    with tempfile.TemporaryFile("w+") as output, tempfile.TemporaryFile("w+") as errors:
        program = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=errors,
            start_new_session=True,  # to be killed together with the processes that it starts
        )
        try:
            code = program.wait(limit)
        except subprocess.TimeoutExpired:
            raise ProgramFailed(f"no end within {limit:.0f} s") from None
        finally:
            _end(program)
        said = _text(output) or _text(errors) or f"exit code {code}"
    if code < 0:
        raise ProgramFailed(f"it was ended by {signal.Signals(-code).name}")
    last = said.splitlines()[-1]
    if code > 0:
        raise ProgramFailed(last)
    return last


def _end(program: subprocess.Popen[bytes]) -> None:
    """Kill a program that still runs, with the processes that it started."""
    if program.poll() is None:
        os.killpg(program.pid, signal.SIGKILL)
        with contextlib.suppress(subprocess.TimeoutExpired):
            program.wait(END)


def _text(stream: IO[str]) -> str:
    stream.seek(0)
    return stream.read().strip()
