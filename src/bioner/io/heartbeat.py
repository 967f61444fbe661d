"""Heartbeats and locks of long jobs: how far a job is, and whether a process works on it."""

import errno
import fcntl
import json
import os
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from bioner.errors import InputError
from bioner.io.files import atomic_path

HEARTBEAT_FILE = "progress.json"
LOCK_TIMEOUT = 1.0  # seconds to wait while another process probes the lock
FRESH = 300.0  # seconds: without locks, a younger heartbeat is taken for that of a live process
CONTENTION = {errno.EACCES, errno.EAGAIN, errno.EWOULDBLOCK}


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """What a job wrote about itself, its machine, and the time (seconds since 1970)."""

    facts: Mapping[str, Any]
    host: str
    slurm_job: str | None
    at: float

    def age(self, now: float) -> float:
        """Return the seconds since it was written; 0 if another machine's clock is ahead."""
        return max(0.0, now - self.at)

    def number(self, name: str) -> float | None:
        """Return a fact if it is a number, else None."""
        value = self.facts.get(name)
        return (
            float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
        )


def write_heartbeat(path: Path, facts: Mapping[str, Any]) -> None:
    """Write a heartbeat, whole or not at all; a full disk is no reason to end the work."""
    who = {
        "host": socket.gethostname(),
        "process": os.getpid(),
        "slurm_job": os.environ.get("SLURM_JOB_ID"),
    }
    with suppress(OSError), atomic_path(path) as temporary:
        temporary.write_text(json.dumps({**facts, **who, "at": time.time()}), encoding="utf-8")


def read_heartbeat(path: Path) -> Heartbeat | None:
    """Read a heartbeat; return None if the file is missing or holds something else."""
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
        return Heartbeat(facts, str(facts["host"]), facts["slurm_job"], float(facts["at"]))
    except (OSError, ValueError, TypeError, KeyError):
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
