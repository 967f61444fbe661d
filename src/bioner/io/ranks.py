"""End all ranks of a job when one of them fails."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

POLL = 1.0  # seconds between checks for failures of other ranks
GRACE = 20  # seconds for a failed rank to end, since its device may be waiting for the others
FAILURES = "bioner/failures"  # key of the number of failed ranks in their rendezvous store

_is_within = False  # whether this process is in such a block


@contextmanager
def ending_together(ranks: int) -> Iterator[None]:
    """End the other ranks if the block fails in this one, and this one if it fails in another.

    A rank that waits in a collective is in C++, where no Python signal handler runs, and the
    launcher gives it minutes to write a checkpoint. So a thread in each rank polls the rendezvous
    store. Only the first failure is raised. Failures that follow from it in other ranks, such as a
    lost connection, end them silently with exit code 1. Interrupted is not a failure.
    Of nested blocks, such as a training's prediction of dev, only the outer one does this.

    Args:
        ranks: Number of processes of the job, which torch.distributed has connected.
    """
    global _is_within
    if ranks == 1 or _is_within:
        yield
        return
    from torch.distributed import TCPStore  # type: ignore[attr-defined]

    address, port = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
    store = TCPStore(address, port, is_master=False)
    done = threading.Event()

    def failures(more: int) -> int:
        try:
            return int(store.add(FAILURES, more))
        except RuntimeError:  # the rank that held the store has ended
            return more + 1

    def watch() -> None:
        while not done.wait(POLL):
            if failures(0):
                os._exit(1)

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    _is_within = True
    try:
        yield
    except Exception:
        signal.alarm(GRACE)
        done.set()
        watcher.join()  # or it would take this failure for another rank's
        if failures(1) > 1:
            os._exit(1)
        raise
    finally:
        done.set()
        _is_within = False
