"""Jobs of a killed Snakemake that are still in the queue and write what the next run writes."""

import logging
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from filelock import FileLock, Timeout

from bioner.errors import InputError
from bioner.ops.slurm.commands import SlurmError, ask

log = logging.getLogger(__name__)

GRACE = 180.0  # seconds that a running job has for its checkpoint
CANCEL_TIMEOUT = 90.0  # seconds that a cancelled job has to end
LOCK = Path(".snakemake/bioner-slurm.lock")
FORMAT = "%i|%T|%j|%Z|%k"  # id, state, name, working directory, comment


@dataclass(frozen=True, slots=True)
class Leftover:
    """A job in the queue: `state` is PENDING, RUNNING, …; `comment` says what it makes."""

    id: str
    state: str
    comment: str


def alone(folder: Path) -> FileLock:
    """Lock a folder as long as this process lives: two Snakemakes would end each other's jobs.

    Raises:
        InputError: Another Snakemake holds the lock.
    """
    lock = FileLock(folder / LOCK)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        remedy = "Wait for it or end it; another run goes into another folder (--directory)."
        raise InputError(
            folder, "another Snakemake that sends jobs to Slurm", "one a folder", remedy
        ) from None
    return lock


def comment_of(rule: str, wildcards: Iterable[str]) -> str:
    """Return the comment that the executor plugin gives to a job of this rule."""
    values = "_".join(wildcards).replace("/", "_")
    return f"rule_{rule}_wildcards_{values}" if values else f"rule_{rule}"


def leftovers(
    prefix: str, folder: Path, comments: Iterable[str], groups: Iterable[str] = ()
) -> list[Leftover]:
    """Return this user's jobs in the queue that write the same outputs as the coming run.

    Args:
        prefix: What the names of a run's jobs begin with.
        folder: Their working directory.
        comments: Comments of the coming jobs (`comment_of`).
        groups: Groups of jobs. All jobs of a group count, because their comments name no cell.

    Raises:
        SlurmError: Slurm does not answer, so nobody knows what is running.
    """
    wanted = set(comments)
    grouped = tuple(f"rule_{group}_" for group in groups)  # the group's rules follow
    found = []
    for line in ask("squeue", "--me", "--noheader", f"--format={FORMAT}").splitlines():
        id_, state, name, where, comment = line.split("|", 4)
        ours = name.startswith(f"{prefix}_") and Path(where).resolve() == folder.resolve()
        if ours and (comment in wanted or comment.startswith(grouped)):
            found.append(Leftover(id_, state, comment))
    return found


def clear(
    prefix: str,
    folder: Path,
    comments: Iterable[str],
    groups: Iterable[str] = (),
    grace: float = GRACE,
) -> int:
    """End the leftovers, wait until they are gone, and return how many there were.

    Running jobs get `grace` seconds to write a checkpoint; the other arguments are those of
    `leftovers`.

    Raises:
        InputError: A job does not end, or Slurm does not answer (SlurmError).
    """
    remaining = partial(leftovers, prefix, folder, set(comments), set(groups))
    first = remaining()
    for job in first:
        log.warning(
            "Slurm job %s (%s) is an earlier run's (%s): ending it", job.id, job.state, job.comment
        )
    _cancel(job.id for job in first if job.state == "PENDING")
    running = [job.id for job in first if job.state != "PENDING"]
    _cancel(running, "--signal=USR1")  # preemptible jobs end at once, the others write a checkpoint
    left = _wait(remaining, first, grace)
    _cancel(job.id for job in left)
    if left := _wait(remaining, left, CANCEL_TIMEOUT):
        found = f"{left[0].state}, though it was cancelled"
        raise InputError(
            f"Slurm job {left[0].id}", found, "its end", "Wait for it, then start again."
        )
    return len(first)


def _cancel(jobs: Iterable[str], *options: str) -> None:
    """Run scancel; a job that has just ended makes it fail, so its failures do not count."""
    if ids := list(jobs):
        with suppress(SlurmError):
            ask("scancel", *options, *ids)


def _wait(
    remaining: Callable[[], list[Leftover]], left: list[Leftover], seconds: float
) -> list[Leftover]:
    """Wait until no job is left, and return those that are left after so many seconds."""
    end = time.monotonic() + seconds
    while left and time.monotonic() < end:
        time.sleep(1)
        left = remaining()
    return left
