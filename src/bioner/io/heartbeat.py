"""Heartbeats: what a long job writes about itself next to its work, and whether a process holds its
lock.
"""

import errno
import fcntl
import json
import os
import socket
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bioner.io.files import atomic_path

HEARTBEAT_FILE = "progress.json"
LOCK_TIMEOUT = 1.0  # seconds to wait while another process probes the lock
FRESH = (
    300.0  # seconds: where locks cannot tell, a younger heartbeat is one of a process that lives
)
CONTENTION = {errno.EACCES, errno.EAGAIN, errno.EWOULDBLOCK}


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """What a job said of itself, and who said it when (seconds since the epoch)."""

    facts: Mapping[str, Any]
    host: str
    slurm_job: str | None
    at: float

    def age(self, now: float) -> float:
        """Seconds since it was written; none where another machine's clock is ahead."""
        return max(0.0, now - self.at)

    def number(self, name: str) -> float | None:
        """A fact that is a number; None where it is not there."""
        value = self.facts.get(name)
        return (
            float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
        )


def write_heartbeat(path: Path, facts: Mapping[str, Any]) -> None:
    """Write what is known, whole or not at all. A file system that takes no more is no reason to
    end the work.
    """
    who = {
        "host": socket.gethostname(),
        "process": os.getpid(),
        "slurm_job": os.environ.get("SLURM_JOB_ID"),
    }
    with suppress(OSError), atomic_path(path) as temporary:
        temporary.write_text(json.dumps({**facts, **who, "at": time.time()}), encoding="utf-8")


def read_heartbeat(path: Path) -> Heartbeat | None:
    """The heartbeat in a file; None where there is none, or something else."""
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
        job = facts["slurm_job"]
        return Heartbeat(
            facts, str(facts["host"]), None if job is None else str(job), float(facts["at"])
        )
    except (OSError, ValueError, TypeError, KeyError):
        return None


def lock_is_held(lock: Path, heartbeat: Heartbeat | None, now: float) -> bool:
    """Whether a process holds a lock that is released when its work ends in good order.

    The lock is requested, shared, and released at once: a process that wants it waits a second for
    it. Some file systems do not know locks, or not beyond a node: there a fresh heartbeat counts,
    if the lock seems free one from another machine.
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
