"""Programs that a check runs beside itself, so that what crashes or hangs there does neither
here.
"""

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import IO, NoReturn

PAUSE = 0.05  # seconds between two looks at running programs
# seconds that a killed program has to be gone: one that waits for a dead file server never is
END = 5.0


@dataclass(frozen=True, slots=True)
class Ended:
    """How a program ended: its exit code (None: it did not, and was killed) and what it wrote."""

    code: int | None
    output: str
    errors: str

    @property
    def said(self) -> str:
        """The last line it wrote: a result or a reason."""
        lines = (self.output.strip() or self.errors.strip()).splitlines()
        if self.code is not None and self.code < 0:
            return f"it was ended by {signal.Signals(-self.code).name}"
        return lines[-1] if lines else f"exit code {self.code}"


def run_together(commands: Sequence[Sequence[str]], limit: float) -> list[Ended]:
    """Run programs side by side until all end, one fails, or `limit` seconds are over; then kill
    what still runs.
    """
    with contextlib.ExitStack() as stack:
        files = [
            [stack.enter_context(tempfile.TemporaryFile("w+")) for _ in range(2)] for _ in commands
        ]
        running: list[subprocess.Popen[bytes]] = []
        stack.callback(_end, running)
        for command, (output, errors) in zip(commands, files, strict=True):
            running.append(
                subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=errors)
            )
        deadline = time.monotonic() + limit
        while time.monotonic() < deadline:
            codes = [program.poll() for program in running]
            if None not in codes or any(codes):
                break
            time.sleep(PAUSE)
        codes = [program.poll() for program in running]
        _end(running)
        return [Ended(code, *map(_text, pair)) for code, pair in zip(codes, files, strict=True)]


def failure(ended: Sequence[Ended], limit: float) -> str | None:
    """Why programs that ran together failed, by the first that did; None where none did."""
    if broken := [one for one in ended if one.code]:
        return broken[0].said
    return f"no end within {limit:.0f} s" if any(one.code is None for one in ended) else None


def give_up(error: Exception) -> NoReturn:
    """End a program that a check runs, its reason on the last line; at once, for broken libraries
    hang at their end.
    """
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [""]
    print(f"{type(error).__name__}: {' … '.join(dict.fromkeys([lines[0], lines[-1]]))}")
    sys.stdout.flush()
    os._exit(1)


def _end(running: Sequence[subprocess.Popen[bytes]]) -> None:
    for program in running:
        if program.poll() is None:
            program.kill()
    for program in running:
        with contextlib.suppress(subprocess.TimeoutExpired):
            program.wait(END)


def _text(stream: IO[str]) -> str:
    stream.seek(0)
    return stream.read()
