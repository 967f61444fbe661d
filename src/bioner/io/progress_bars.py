"""Progress of long stages: a bar on a terminal, a plain line now and then in a log."""

import logging
import os
import sys
import time
from contextlib import ExitStack
from typing import Self

from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

log = logging.getLogger(__name__)

SILENCE = 10.0  # seconds between two lines in a log


def ignore(count: float) -> None:
    """No-op progress callback."""


class Meter(ExitStack):
    """Count what is done of `total`, shown while the block runs: `train bert: 30 of 120 steps, …`.

    Without a total (None) only the count is shown. With `at_most` the time left is an upper bound,
    since the work may end early. Of a job's processes only the first shows anything.
    """

    def __init__(
        self,
        task: str,
        unit: str,
        total: float | None,
        *,
        done: float = 0,
        at_most: bool = False,
        scale: float = 1,
    ) -> None:
        super().__init__()
        self.task, self.unit, self.total, self.at_most, self.scale = (
            task,
            unit,
            total,
            at_most,
            scale,
        )
        self.done, self._before = done, done
        self._began = self._said = time.monotonic()
        self._shown = os.environ.get("RANK", "0") == "0"  # as accelerate and torchrun number them
        self._bar: tqdm[None] | None = None

    def __enter__(self) -> Self:
        self.show()
        return self

    def show(self) -> None:
        """Start the clock, and the bar on a terminal; `close` removes it."""
        self._began = self._said = time.monotonic()
        if self._shown and sys.stderr.isatty():
            self.enter_context(logging_redirect_tqdm())  # log lines stand above the bar
            self._bar = self.enter_context(
                tqdm(
                    total=None if self.total is None else self.total / self.scale,
                    initial=self.done / self.scale,
                    desc=self.task,
                    unit=f" {self.unit}",
                    leave=False,
                    dynamic_ncols=True,
                    file=sys.stderr,
                    bar_format=None if self.total is None else BAR,
                )
            )

    def advance(self, count: float = 1) -> None:
        """Add to what is done."""
        self.done += count
        if self._bar is not None:
            self._bar.update(count / self.scale)
        elif self._shown and time.monotonic() - self._said > SILENCE:
            self._said = time.monotonic()
            log.info("%s", self._line())

    def left(self) -> float | None:
        """Return the seconds left at the pace so far, or None if that is unknown."""
        made = self.done - self._before
        if self.total is None or made <= 0:
            return None
        return (time.monotonic() - self._began) / made * max(0.0, self.total - self.done)

    def _line(self) -> str:
        done, left = f"{self.done / self.scale:,.0f}", self.left()
        of = "" if self.total is None else f" of {self.total / self.scale:,.0f}"
        rest = (
            ""
            if left is None
            else f", {'at most' if self.at_most else 'about'} {duration(left)} left"
        )
        return f"{self.task}: {done}{of} {self.unit}{rest}"


BAR = "{desc}: {percentage:3.0f}%|{bar}| {n:,.0f} of {total:,.0f}{unit}, {remaining} left"


def duration(seconds: float) -> str:
    """Format a time: `40 s`, `12 min`, `3.5 h`."""
    if seconds > 5400:
        return f"{seconds / 3600:.1f} h"
    return f"{seconds / 60:.0f} min" if seconds > 90 else f"{seconds:.0f} s"
