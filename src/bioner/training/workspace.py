"""Where a training works, beside its outputs: claimed for one job, kept when it is cut short, gone
when it is done.
"""

import json
import logging
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from bioner.errors import InputError
from bioner.io.files import atomic_path
from bioner.io.heartbeat import LOCK_TIMEOUT
from bioner.training.job import TrainingJob

log = logging.getLogger(__name__)

WORKSPACE = ".training"
LOCK = f"{WORKSPACE}.lock"
ASIDE = ".training.before"  # another job's checkpoints, until this one has some of its own
DONE = ".training.done"  # on its way out
CLAIM = "job.json"  # in the workspace: whose it is
OUTPUTS = ("model", "history.csv", "run.json")


@contextmanager
def workspace_of(job: TrainingJob, out: Path) -> Iterator[Path]:
    """The workspace of a job that writes to `out`; what an equal job left there is gone on from.

    It goes when the block ends well, and where nothing in it is worth keeping. InputError where
    another process trains here, or where something lies in the way of an output.
    """
    for name, is_wrong, expected in zip(
        OUTPUTS,
        (Path.is_file, Path.is_dir, Path.is_dir),
        ("a folder", "a file", "a file"),
        strict=True,
    ):
        if is_wrong(out / name):
            raise InputError(
                out / name, "something else than a training leaves", expected, "Move it away."
            )
    made = not out.exists()
    out.mkdir(parents=True, exist_ok=True)
    lock = FileLock(out / LOCK)
    try:
        lock.acquire(timeout=LOCK_TIMEOUT)
    except Timeout:
        remedy = "Wait for it, end it, or choose another --out."
        raise InputError(
            out, "another process that trains here", "a folder of its own", remedy
        ) from None
    done = False
    try:
        _claim(job, out)
        yield out / WORKSPACE
        done = True
    finally:
        _leave(out, done)
        Path(lock.lock_file).unlink(missing_ok=True)
        lock.release()
        if made:
            with suppress(OSError):  # it is not empty
                out.rmdir()


def _claim(job: TrainingJob, out: Path) -> None:
    """Make the workspace this job's; another job's checkpoints are put aside."""
    workspace, aside = out / WORKSPACE, out / ASIDE
    shutil.rmtree(out / DONE, ignore_errors=True)
    for name in OUTPUTS:  # of a session that was killed while it wrote them
        for left in out.glob(f".{name}.*"):
            shutil.rmtree(left, ignore_errors=True)
    if workspace.is_file():
        raise InputError(
            workspace, "a file", "a folder that training makes and removes", "Move it away."
        )
    identity = json.loads(json.dumps(job.identity()))
    if _identity(workspace) == identity:
        if _has_checkpoints(workspace):
            shutil.rmtree(aside, ignore_errors=True)
        return
    was_aside = _identity(aside) == identity
    if _has_checkpoints(workspace):
        log.info("train %s: settings or data have changed since; starting over", job.name)
        if not was_aside:
            shutil.rmtree(aside, ignore_errors=True)
            workspace.rename(aside)
    shutil.rmtree(workspace, ignore_errors=True)
    if was_aside:
        aside.rename(workspace)
        return
    workspace.mkdir()
    with atomic_path(workspace / CLAIM) as path:
        path.write_text(json.dumps(identity), encoding="utf-8")


def claimed_at(workspace: Path) -> float:
    """When the job's first session began, in seconds since 1970."""
    return (workspace / CLAIM).stat().st_mtime


def _leave(out: Path, done: bool) -> None:
    """Remove what is not needed any more, whole or not at all: first its name, then its content."""
    workspace, aside = out / WORKSPACE, out / ASIDE
    cut_short = not done and _has_checkpoints(workspace)
    if workspace.is_dir() and not cut_short:
        workspace.rename(out / DONE)
    if done or cut_short:
        shutil.rmtree(aside, ignore_errors=True)
    elif aside.is_dir() and not workspace.exists():
        aside.rename(workspace)  # a typo in the settings costs nothing
    shutil.rmtree(out / DONE, ignore_errors=True)


def _identity(workspace: Path) -> Any:
    try:
        return json.loads((workspace / CLAIM).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def _has_checkpoints(workspace: Path) -> bool:
    return any((workspace / "checkpoints").glob("checkpoint-*"))
