"""The state of one job, read from its outputs, lock, heartbeat and log."""

import re
from math import ceil
from pathlib import Path

from bioner.errors import InputError
from bioner.inference.decoding.shards import shards_folder
from bioner.io.heartbeat import FRESH, HEARTBEAT_FILE, Heartbeat, lock_is_held, read_heartbeat
from bioner.io.records import read_record
from bioner.ops.planning.jobs import PlannedJob, log_of, outputs_of
from bioner.ops.status.records import JobState, RunContext
from bioner.training.workspace import LOCK, WORKSPACE

TAIL = 4096  # bytes read from the end of a log
QUIET = 60.0  # seconds without a heartbeat before the status says so
GOES_ON = "the same command goes on from there."


def state_of(run: RunContext, job: PlannedJob) -> JobState:
    """Return the state of a job."""
    paths = [run.out / path for path in outputs_of(job)]
    if job.rule in ("trial", "train"):
        return _training(run, job, paths[0].parent)
    if job.rule == "predict":
        return _prediction(run, job, paths[0])
    is_done = all(path.exists() for path in paths)
    return JobState("done") if is_done else _without_output(run, job)


def _training(run: RunContext, job: PlannedJob, folder: Path) -> JobState:
    """Return the state of a training that writes to this folder."""
    checkpoints = folder / WORKSPACE / "checkpoints"
    heartbeat = read_heartbeat(checkpoints / HEARTBEAT_FILE)
    epochs = ceil(heartbeat.epochs) if heartbeat else 0
    epoch = min(int(heartbeat.epoch) + 1, epochs) if heartbeat else 1  # under way, from 1
    progress = f"{epoch}/{epochs}"
    if lock_is_held(folder / LOCK, heartbeat, run.now):
        return _running(run, heartbeat, progress, "before its first step")
    if (folder / "run.json").is_file():
        return _trained(folder / "run.json")
    goes_on = any(checkpoints.glob("checkpoint-*/manifest.json"))
    rest = "goes on" if goes_on else "begins again: no checkpoint yet"
    note = f"cut short at epoch {epoch}, {rest}"
    return _cut_short(_without_output(run, job), heartbeat, progress, note)


def _prediction(run: RunContext, job: PlannedJob, raw: Path) -> JobState:
    """Return the state of a prediction; an LLM's heartbeats are in the folder of its shards."""
    place = shards_folder(raw)
    found = [read_heartbeat(path) for path in place.glob(f"*/{HEARTBEAT_FILE}")]
    heartbeat = max(filter(None, found), key=lambda heartbeat: heartbeat.at, default=None)
    done, shards = (heartbeat.done, heartbeat.shards) if heartbeat else (0, 0)
    progress = f"{done}/{shards} shards"
    if lock_is_held(place.with_name(f"{place.name}.lock"), heartbeat, run.now):
        return _running(run, heartbeat, progress, "before its first shard")
    if raw.is_file():
        return JobState("done")
    note = f"cut short after {done} of {shards} shards, goes on"
    return _cut_short(_without_output(run, job), heartbeat, progress, note)


def _running(
    run: RunContext, heartbeat: Heartbeat | None, progress: str, beginning: str
) -> JobState:
    """Return the state of a job that holds its lock; `beginning` is the note before a heartbeat."""
    if heartbeat is None:
        return JobState("running", note=beginning)
    age = heartbeat.age(run.now)
    host, left, seconds = heartbeat.host, heartbeat.seconds_left, heartbeat.seconds
    return JobState(
        "running",
        progress,
        dev_f1=heartbeat.dev_strict_f1,
        left=None if left is None else max(0.0, left - age),
        where=f"{host}, Slurm job {heartbeat.slurm_job}" if heartbeat.slurm_job else host,
        note=f"last heard of {age / 60:.0f} min ago" if age > QUIET else "",
        took=None if left is None or seconds is None else seconds + left,
    )


def _cut_short(
    job_state: JobState, heartbeat: Heartbeat | None, progress: str, note: str
) -> JobState:
    """Add the progress of an interrupted job to its state, unless it is running again."""
    if heartbeat is None or job_state.state == "running":
        return job_state
    notes = "; ".join(filter(None, (job_state.note, note)))
    return JobState(job_state.state, progress, heartbeat.dev_strict_f1, note=notes)


def _trained(path: Path) -> JobState:
    """Return the state of a finished training, with what its record says if it can be read."""
    try:
        record = read_record(path)
    except InputError:
        return JobState("done")
    return JobState(
        "done",
        dev_f1=record.kept.dev_strict_f1,
        took=record.wall_seconds,
        sentences=record.train_instances,
    )


def _without_output(run: RunContext, job: PlannedJob) -> JobState:
    """Return from its log whether a job without output failed, is running or waits."""
    log = run.out / log_of(job)
    try:
        written = log.stat().st_mtime
        text = log.read_bytes()[-TAIL:].decode("utf-8", errors="replace")
    except OSError:
        return JobState("waiting")
    if fault := _fault(text):
        return JobState("failed", note=f"{log}: {fault}")
    began = run.snakemake_since
    is_fresh = began is not None and written >= began and run.now - written < FRESH
    return JobState("running" if is_fresh else "waiting")


def _fault(text: str) -> str | None:
    """Return the error at the end of a log.

    Only the name of a Python error is returned: its message may quote text that must not be shown.
    """
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    # Launchers of several processes write more lines after it.
    if told := [line for line in lines if line.startswith("bioner: ")]:
        return None if told[-1].endswith(GOES_ON) else told[-1]
    if any(line.startswith("Traceback (most recent call last)") for line in lines):
        kind = re.match(r"[\w.]+(?=: |$)", lines[-1])
        return kind[0] if kind else "an error of Python"
    return None
