"""Heartbeats and locks of long jobs: how far a job is, and whether a process works on it."""

import errno
import fcntl
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout
from pydantic import ValidationError

from bioner.errors import InputError
from bioner.io.files import atomic_path
from bioner.io.records import Record

HEARTBEAT_FILE = "progress.json"
LOCK_TIMEOUT = 1.0  # seconds to wait while another process probes the lock
FRESH = 300.0  # seconds: without locks, a younger heartbeat is taken for that of a live process
CONTENTION = {errno.EACCES, errno.EAGAIN, errno.EWOULDBLOCK}


class JobProgress(Record):
    """How far a job is: a training in steps and epochs, a prediction in shards.

    Attributes:
        seconds: Time since the job began, over all its sessions.
        seconds_left: Time that is left; an estimate.
        energy_kwh: What the GPUs have used since the job began.
        dev_strict_f1: Best strict F1 on dev so far, in percent.
    """

    seconds: float | None = None
    seconds_left: float | None = None
    energy_kwh: float | None = None
    step: int | None = None
    steps: int | None = None
    epoch: float = 0.0
    epochs: float = 0.0
    dev_strict_f1: float | None = None
    shards: int = 0
    done: int = 0


class Heartbeat(JobProgress):
    """Progress as it was written: on which machine, by which process, when (seconds since 1970)."""

    host: str
    process: int
    slurm_job: str | None
    at: float

    def age(self, now: float) -> float:
        """Return the seconds since it was written; 0 if another machine's clock is ahead."""
        return max(0.0, now - self.at)


def write_heartbeat(path: Path, progress: JobProgress) -> None:
    """Write a heartbeat, whole or not at all; a full disk is no reason to end the work."""
    heartbeat = Heartbeat(
        **progress.model_dump(),
        host=socket.gethostname(),
        process=os.getpid(),
        slurm_job=os.environ.get("SLURM_JOB_ID"),
        at=time.time(),
    )
    with suppress(OSError), atomic_path(path) as temporary:
        temporary.write_text(heartbeat.model_dump_json(), encoding="utf-8")


def read_heartbeat(path: Path) -> Heartbeat | None:
    """Read a heartbeat; return None if the file is missing or holds something else."""
    try:
        return Heartbeat.model_validate_json(path.read_bytes())
    except (OSError, ValidationError):
        return None


@contextmanager
def exclusive_lock(lock: Path, where: Path, found: str, expected: str) -> Iterator[None]:
    """Hold a lock while the block runs, and remove its file afterwards.

    Raises:
        InputError: If another process holds it; `where`, `found` and `expected` are for the error.
    """
    handle = FileLock(lock, timeout=LOCK_TIMEOUT)
    try:
        handle.acquire()
    except Timeout:
        raise InputError(
            where, found, expected, "Wait for it, end it, or choose another --out."
        ) from None
    try:
        yield
    finally:
        lock.unlink(missing_ok=True)
        handle.release()


def lock_is_held(lock: Path, heartbeat: Heartbeat | None, now: float) -> bool:
    """Whether a process holds a lock, which is released and removed when its work ends.

    The lock is requested, shared, and released at once; processes that want it wait LOCK_TIMEOUT.
    Some file systems have no locks, or none across nodes. There a fresh heartbeat counts; if the
    lock seems free, only one from another machine.
    """
    fresh = heartbeat is not None and heartbeat.age(now) < FRESH
    try:
        with lock.open("rb") as stream:
            fcntl.flock(stream, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except OSError as error:
        return error.errno in CONTENTION or fresh
    return fresh and heartbeat is not None and heartbeat.host != socket.gethostname()
