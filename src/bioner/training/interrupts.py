"""Signals that end a training in good order: a checkpoint first, then out."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

import torch
from accelerate import PartialState
from accelerate.utils import reduce


class Interrupts:
    """Which signal came, if any: SIGTERM (preemption, scancel) or SIGUSR1 (Slurm's warning before
    the time is up).
    """

    SIGNALS = (signal.SIGTERM, signal.SIGUSR1)

    def __init__(self) -> None:
        self.came: int | None = None

    @contextmanager
    def watched(self) -> Iterator["Interrupts"]:
        """Note these signals instead of dying of them; what they did before is restored at the
        end.
        """
        if threading.current_thread() is not threading.main_thread():
            yield self  # only the main thread may
            return
        before = {number: signal.signal(number, self._note) for number in self.SIGNALS}
        try:
            yield self
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def anywhere(self, device: torch.device) -> int | None:
        """The signal that came to any process of the job: all must leave after the same step."""
        if PartialState().num_processes == 1:
            return self.came  # and the device need not be waited for
        anywhere = (
            reduce(torch.tensor(float(self.came is not None), device=device), "sum").item() > 0
        )
        return (self.came or signal.SIGTERM) if anywhere else None

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.came = number
