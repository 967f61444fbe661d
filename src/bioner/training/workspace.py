"""The workspace of a training: claimed by one job, kept if cut short, removed when done."""

import json
import logging
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from bioner.errors import InputError
from bioner.io.files import atomic_path, write_json
from bioner.io.heartbeat import exclusive_lock
from bioner.training.job import TrainingJob

log = logging.getLogger(__name__)

WORKSPACE = ".training"
LOCK = f"{WORKSPACE}.lock"
ASIDE = ".training.before"  # another job's checkpoints, until this one has some of its own
CLAIM = "job.json"  # in the workspace: whose it is, and since when
MICRO_BATCH = (
    "micro-batch"  # in the workspace: sentences per forward pass that fit, or after halving
)
OUT_OF_MEMORY = "out-of-memory"  # in the workspace: MICRO_BATCH was halved, so keep the workspace
OUTPUTS = {"model": "a folder", "history.csv": "a file", "run.json": "a file"}


@contextmanager
def workspace_of(job: TrainingJob, out: Path) -> Iterator[Path]:
    """Claim the workspace of a job that writes to `out`, with what an equal job left there.

    It is removed when the block ends well, and if nothing in it is worth keeping.

    Raises:
        InputError: If another process trains here, or something is in the way of an output.
    """
    for name, expected in OUTPUTS.items():
        path = out / name
        if path.is_file() if expected == "a folder" else path.is_dir():
            raise InputError(
                path, "something else than a training leaves", expected, "Move it away."
            )
    made = not out.exists()
    out.mkdir(parents=True, exist_ok=True)
    try:
        with exclusive_lock(
            out / LOCK, out, "another process that trains here", "a folder of its own"
        ):
            done = False
            try:
                _claim(job, out)
                yield out / WORKSPACE
                done = True
            finally:
                _leave(out, done)
    finally:
        if made:
            with suppress(OSError):  # it is not empty
                out.rmdir()


def read_micro_batch(workspace: Path) -> int | None:
    """Return the sentences per forward pass of an earlier try or session, if any."""
    path = workspace / MICRO_BATCH
    return int(path.read_text()) if path.exists() else None


def write_micro_batch(workspace: Path, size: int) -> None:
    """Write the sentences per forward pass for later tries and sessions."""
    with atomic_path(workspace / MICRO_BATCH) as path:
        path.write_text(str(size))


def _claim(job: TrainingJob, out: Path) -> None:
    """Make the workspace this job's; set another job's checkpoints aside."""
    workspace, aside = out / WORKSPACE, out / ASIDE
    for name in OUTPUTS:  # temporary files of a session that was killed while it wrote outputs
        for left in out.glob(f".{name}.*"):
            shutil.rmtree(left, ignore_errors=True)
    identity = json.loads(json.dumps(job.identity()))
    if _identity(workspace) == identity:
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
    else:
        write_json(workspace / CLAIM, identity)


def _leave(out: Path, done: bool) -> None:
    """Remove what is no longer needed."""
    workspace, aside = out / WORKSPACE, out / ASIDE
    cut_short = not done and _has_checkpoints(workspace)
    if done or not (cut_short or (workspace / OUT_OF_MEMORY).exists()):
        shutil.rmtree(workspace, ignore_errors=True)
    if done or cut_short:
        shutil.rmtree(aside, ignore_errors=True)
    elif aside.is_dir() and not workspace.exists():
        aside.rename(workspace)  # a typo in the settings costs nothing


def _identity(workspace: Path) -> Any:
    try:
        return json.loads((workspace / CLAIM).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def _has_checkpoints(workspace: Path) -> bool:
    return any((workspace / "checkpoints").glob("checkpoint-*"))
