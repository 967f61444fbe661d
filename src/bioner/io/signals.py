"""Signals that end a job."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from bioner.errors import Interrupted


@contextmanager
def raise_on_signal(name: str) -> Iterator[Callable[[], None]]:
    """Raise Interrupted at once if a signal comes that ends a job: whatever is worth keeping is on
    the disk by then.

    Python drops what is raised inside some callbacks: the function that is handed out raises it
    again.
    """
    came: list[int] = []

    def again() -> None:
        if came:
            raise Interrupted(name, came[0], ". Finished shards are kept")

    def leave(number: int, frame: FrameType | None) -> None:
        came.append(number)
        again()

    if threading.current_thread() is not threading.main_thread():
        yield again  # only the main thread may
        return
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)
    before = {number: signal.signal(number, leave) for number in numbers}
    try:
        yield again
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
