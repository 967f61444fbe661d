"""Jobs that a Snakemake left in the queue when it was killed: they would write what its successor
writes.
"""

import logging
import subprocess
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from bioner.errors import InputError

log = logging.getLogger(__name__)

GRACE = 180.0  # seconds that a running job has for its checkpoint
CANCEL_TIMEOUT = 90.0  # and to be gone once it was cancelled
LOCK = Path(".snakemake/bioner-slurm.lock")
FORMAT = "%i|%T|%j|%Z|%k"  # id, state, name, working directory, comment


@dataclass(frozen=True, slots=True)
class Leftover:
    """A job in the queue: its id, state (PENDING, RUNNING, …), and the comment that says what it
    makes.
    """

    id: str
    state: str
    comment: str


def alone(folder: Path) -> FileLock:
    """A lock that this process holds while it lives: of two Snakemakes in a folder each would end
    the other's jobs.

    Raises InputError where another one holds it.
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
    """How the executor plugin marks a job of this rule."""
    values = "_".join(wildcards).replace("/", "_")
    return f"rule_{rule}_wildcards_{values}" if values else f"rule_{rule}"


def comment_of_group(group: str) -> str:
    """How it begins to mark jobs of a group: the rules follow, and no cell."""
    return f"rule_{group}_"


def leftovers(
    prefix: str, folder: Path, comments: Iterable[str], groups: Iterable[str] = ()
) -> list[Leftover]:
    """This user's jobs with that name prefix and working directory that make what `comments` stand
    for.

    Of `groups` all jobs count, whatever they make: Slurm is not told.
    """
    wanted, grouped = set(comments), tuple(comment_of_group(group) for group in groups)
    found = []
    for line in _ask("squeue", "--me", "--noheader", f"--format={FORMAT}").splitlines():
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
    """End the leftovers and wait until they are gone: trainings write a checkpoint first. Returns
    how many there were.

    Raises InputError where one does not go.
    """
    comments, groups = set(comments), set(groups)
    first = left = leftovers(prefix, folder, comments, groups)
    for job in left:
        log.warning(
            "Slurm job %s (%s) is an earlier run's (%s): ending it", job.id, job.state, job.comment
        )
    if waiting := [job.id for job in left if job.state == "PENDING"]:
        _ask("scancel", *waiting)
    if running := [job.id for job in left if job.state != "PENDING"]:
        _ask(
            "scancel", "--signal=USR1", *running
        )  # what may be killed at once is: the rest leaves in good order
    end = time.monotonic() + grace
    while left and time.monotonic() < end:
        time.sleep(1)
        left = leftovers(prefix, folder, comments, groups)
    if left:
        _ask("scancel", *(job.id for job in left))
        end = time.monotonic() + CANCEL_TIMEOUT
        while (left := leftovers(prefix, folder, comments, groups)) and time.monotonic() < end:
            time.sleep(1)
    if left:
        found = f"{left[0].state}, though it was cancelled"
        raise InputError(
            f"Slurm job {left[0].id}", found, "its end", "Wait for it, then start again."
        )
    return len(first)


def _ask(*command: str) -> str:
    """What a Slurm command prints; InputError where it fails: without an answer nobody knows what
    is running.

    A job that ends between question and order is no failure of scancel's.
    """
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise InputError(
            command[0], str(error), "an answer from Slurm", "Try again when `squeue` works."
        ) from None
    if done.returncode and command[0] != "scancel":
        found = done.stderr.strip().splitlines()[-1:] or [f"exit code {done.returncode}"]
        raise InputError(
            command[0], found[0], "an answer from Slurm", "Try again when `squeue` works."
        )
    return done.stdout
