"""How far a long stage is: a bar on a terminal, a plain line now and then in a log."""

import logging
import os
import sys
import time
from contextlib import ExitStack
from types import TracebackType
from typing import Self

from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

log = logging.getLogger(__name__)

SILENCE = 10.0  # seconds between two lines in a log


def ignore(count: float) -> None:
    """What work tells that nobody watches."""


class Meter:
    """Counts what of `total` is done, and shows it while the block lasts: `train bert: 30 of 120
    steps, …`.

    Without a total (None) it shows the count alone. With `at_most` the time left is a bound, since
    work may end before. Of the processes of a job only the first one shows anything.
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
        self._stack = ExitStack()
        self._bar: tqdm[None] | None = None

    def __enter__(self) -> Self:
        self.show()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def show(self) -> None:
        """Begin: from now on time counts, and a bar is there."""
        self._began = self._said = time.monotonic()
        if self._shown and sys.stderr.isatty():
            self._stack.enter_context(logging_redirect_tqdm())  # log lines stand above the bar
            shown_total = None if self.total is None else self.total / self.scale
            self._bar = self._stack.enter_context(
                tqdm(
                    total=shown_total,
                    initial=self.done / self.scale,
                    desc=self.task,
                    unit=f" {self.unit}",
                    leave=False,
                    dynamic_ncols=True,
                    file=sys.stderr,
                    bar_format=None if self.total is None else BAR,
                )
            )

    def close(self) -> None:
        """Show nothing any more."""
        self._stack.close()
        self._bar = None

    def advance(self, count: float = 1) -> None:
        """So many more are done."""
        self.done += count
        if self._bar is not None:
            self._bar.update(count / self.scale)
        elif self._shown and (now := time.monotonic()) - self._said > SILENCE:
            self._said = now
            log.info("%s", self._line(now))

    def left(self) -> float | None:
        """Seconds that what is left takes at the pace so far; None where that is not known."""
        return self._left(time.monotonic())

    def _left(self, now: float) -> float | None:
        made = self.done - self._before
        if self.total is None or made <= 0:
            return None
        return (now - self._began) / made * max(0.0, self.total - self.done)

    def _line(self, now: float) -> str:
        done, left = f"{self.done / self.scale:,.0f}", self._left(now)
        of = "" if self.total is None else f" of {self.total / self.scale:,.0f}"
        rest = (
            ""
            if left is None
            else f", {'at most' if self.at_most else 'about'} {duration(left)} left"
        )
        return f"{self.task}: {done}{of} {self.unit}{rest}"


BAR = "{desc}: {percentage:3.0f}%|{bar}| {n:,.0f} of {total:,.0f}{unit}, {remaining} left"


def duration(seconds: float) -> str:
    """A time as people say it: `40 s`, `12 min`, `3.5 h`."""
    if seconds > 5400:
        return f"{seconds / 3600:.1f} h"
    return f"{seconds / 60:.0f} min" if seconds > 90 else f"{seconds:.0f} s"
