"""Time calls on a device that runs asynchronously."""

import time
from collections.abc import Callable, Sequence
from statistics import median
from typing import NamedTuple, ParamSpec, TypeVar

import torch

Given = ParamSpec("Given")
Made = TypeVar("Made")


class Milliseconds(NamedTuple):
    """Milliseconds until a call returns (host) and until the device has finished (whole)."""

    host: float
    whole: float


def clock(
    call: Callable[Given, Made], *args: Given.args, **kwargs: Given.kwargs
) -> tuple[Milliseconds, Made]:
    """Time a call between two idle states of the device; return the times and its result."""
    _wait()
    start = time.perf_counter()
    made = call(*args, **kwargs)
    host = time.perf_counter() - start
    _wait()
    return Milliseconds(1e3 * host, 1e3 * (time.perf_counter() - start)), made


def typical(times: Sequence[Milliseconds]) -> Milliseconds:
    """Return the medians, rounded."""
    return Milliseconds(*(round(median(column), 2) for column in zip(*times, strict=True)))


def _wait() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
