"""Signals that end a job."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from bioner.errors import Interrupted


@contextmanager
def signals_handled(
    numbers: tuple[signal.Signals, ...], handler: Callable[[int, FrameType | None], None]
) -> Iterator[None]:
    """Handle these signals while the block runs, then restore the previous handlers."""
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread may
        return
    before = {number: signal.signal(number, handler) for number in numbers}
    try:
        yield
    finally:
        for number, previous in before.items():
            signal.signal(number, previous)


@contextmanager
def raise_on_signal(name: str) -> Iterator[Callable[[], None]]:
    """Raise Interrupted at once on a signal that ends a job; results worth keeping are on disk.

    Python drops exceptions raised inside some callbacks: calling the yielded function raises again.
    """
    came: list[int] = []

    def again() -> None:
        if came:
            raise Interrupted(name, came[0], ". Finished shards are kept")

    def leave(number: int, frame: FrameType | None) -> None:
        came.append(number)
        again()

    with signals_handled((signal.SIGINT, signal.SIGTERM, signal.SIGUSR1), leave):
        yield again
