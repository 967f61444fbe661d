"""The ranks of one job on several devices: when one fails, the others end as well."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

LOOK = 1.0  # seconds between two looks at whether another rank has failed
GRACE = 20  # seconds for a failed rank to end: its device may wait for the others, too
FAILURES = "bioner/failures"  # key of their number in the store where the ranks met


@contextmanager
def ending_together(ranks: int) -> Iterator[None]:
    """End the other ranks if the block fails in this one, and this one if it fails in another.

    A rank that waits in a collective is in C++, where none of Python's signal handlers run, and
    the launcher gives it minutes for a checkpoint. So a thread of each rank asks the store where
    the ranks met. Only the first failure is raised: what follows from it in others, such as a lost
    connection, ends them without a word and with exit code 1. Interrupted is not a failure.

    Args:
        ranks: Number of processes of the job, which torch.distributed has connected.
    """
    if ranks == 1:
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
        while not done.wait(LOOK):
            if failures(0):
                os._exit(1)

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield
    except Exception:
        signal.alarm(GRACE)
        done.set()
        watcher.join()  # it would take this rank's failure for another's
        if failures(1) > 1:
            os._exit(1)
        raise
    finally:
        done.set()
