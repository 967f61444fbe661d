"""A signal to pytest ends pytest, as Ctrl-C does, also while the code under test listens to signals
itself.

The code under test would take SIGTERM for its own: one test fails, and the run goes on. A test
raises its signals with `signal.raise_signal`; every other one comes from outside.
"""

import os
import signal
from collections.abc import Callable
from types import FrameType

import psutil
import pytest

ENDING = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGUSR1)
Handler = Callable[[int, FrameType | None], object] | int | signal.Handlers | None

raising: list[int] = []  # signals that a test is raising
handlers: dict[int, Handler] = {}  # what the code under test has asked for


def install(number: int, handler: Handler) -> Handler:
    """Stand in for `signal.signal`: signals that a test raises reach the handler, others end the
    run.
    """
    before = handlers.get(number, signal.SIG_DFL)
    if number not in ENDING:
        return original_signal(number, handler)
    handlers[number] = handler
    return before


def deliver(number: int, frame: FrameType | None) -> None:
    """Hand a test's own signal to the code under test; end the run at any other."""
    handler = handlers.get(number)
    if number in raising and callable(handler):
        handler(number, frame)
    elif handler is not signal.SIG_IGN:
        raise KeyboardInterrupt(signal.Signals(number).name)


def raise_signal(number: int) -> None:
    """Stand in for `signal.raise_signal`."""
    raising.append(number)
    try:
        original_raise(number)
    finally:
        raising.remove(number)


original_signal, original_raise, original_get = signal.signal, signal.raise_signal, signal.getsignal


def pytest_configure(config: pytest.Config) -> None:
    for number in ENDING:
        original_signal(number, deliver)
    signal.signal = install  # type: ignore[assignment]
    signal.getsignal = lambda number: handlers.get(number) or original_get(number)  # type: ignore[assignment]
    signal.raise_signal = raise_signal


def pytest_unconfigure(config: pytest.Config) -> None:
    signal.signal, signal.raise_signal, signal.getsignal = (
        original_signal,
        original_raise,
        original_get,
    )


def pytest_keyboard_interrupt() -> None:
    """Have the processes that run tests end in the same way: what they started, they end."""
    for child in psutil.Process(os.getpid()).children():
        child.send_signal(signal.SIGTERM)
