"""What one job left on the disk: whether it is done, running, failed or waiting, and how far it
is.
"""

import json
import re
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from bioner.inference.decoding.shards import shards_folder
from bioner.io.heartbeat import FRESH, HEARTBEAT_FILE, Heartbeat, lock_is_held, read_heartbeat

State = Literal["done", "running", "failed", "waiting", "left out"]

TRAINING = ".training"  # as bioner.training.workspace has it, which loads torch
TAIL = 4096  # bytes of a log that are looked at
QUIET = 60.0  # seconds after which it is told how long nothing was heard
GOES_ON = "the same command goes on from there."


@dataclass(frozen=True, slots=True)
class JobState:
    """What a job left: its state, how far it is, its best dev F1 in percent, seconds left, who
    works on it, remarks.
    """

    state: State
    progress: str = ""
    dev_f1: float | None = None
    left: float | None = None
    where: str = ""
    note: str = ""
    took: float | None = None  # seconds of a training, of one that runs with what is left
    sentences: int | None = None  # that a finished one saw an epoch


@dataclass(frozen=True, slots=True)
class Moment:
    """When job_states are looked at, and since when a Snakemake works here (None where none does);
    since the epoch.
    """

    now: float = field(default_factory=time.time)
    snakemake_since: float | None = None


def training(folder: Path, log: Path, moment: Moment) -> JobState:
    """What a training left in the folder that it writes to."""
    if not folder.is_dir():
        return without_output(log, moment)
    heartbeat = read_heartbeat(folder / TRAINING / "checkpoints" / HEARTBEAT_FILE)
    if lock_is_held(folder / f"{TRAINING}.lock", heartbeat, moment.now):
        return _in_training(heartbeat, moment)
    if (folder / "run.json").is_file():
        return _trained(folder / "run.json")
    job_state = without_output(log, moment)
    if job_state.state == "running" or heartbeat is None:
        return job_state
    goes_on = _any_checkpoint(folder)
    note = f"cut short at epoch {_epoch(heartbeat)}, " + (
        "goes on" if goes_on else "begins again: no checkpoint yet"
    )
    note = f"{job_state.note}; {note}" if job_state.note else note
    return JobState(
        job_state.state, _epochs(heartbeat), heartbeat.number("dev_strict_f1"), note=note
    )


def prediction(raw: Path, log: Path, moment: Moment) -> JobState:
    """What a prediction left at its output, and in the shards of an LLM's beside it."""
    if not raw.parent.is_dir():
        return without_output(log, moment)
    place = shards_folder(raw)
    lock = place.with_name(f"{place.name}.lock")
    if raw.is_file() and not lock.exists():
        return JobState("done")
    heartbeat = _newest_heartbeat(place)
    done, all_ = (
        (0, 0) if heartbeat is None else (_count(heartbeat, "done"), _count(heartbeat, "shards"))
    )
    if lock_is_held(lock, heartbeat, moment.now):
        if heartbeat is None:
            return JobState("running", note="before its first shard")
        left = _left(heartbeat, moment)
        return JobState(
            "running",
            f"{done}/{all_} shards",
            None,
            left,
            _where(heartbeat),
            _silence(heartbeat, moment),
        )
    if raw.is_file():
        return JobState("done")
    job_state = without_output(log, moment)
    if job_state.state == "running" or heartbeat is None:
        return job_state
    note = f"cut short after {done} of {all_} shards, goes on"
    return JobState(
        job_state.state,
        f"{done}/{all_} shards",
        note=f"{job_state.note}; {note}" if job_state.note else note,
    )


def product(output: Path, log: Path, moment: Moment) -> JobState:
    """What a job without a lock left at its output."""
    return JobState("done") if output.exists() else without_output(log, moment)


def without_output(log: Path, moment: Moment) -> JobState:
    """What the log of a job tells that has no output: that it failed, that it has just been at
    work, or nothing.
    """
    try:
        written = log.stat().st_mtime
        with log.open("rb") as stream:
            stream.seek(max(0, log.stat().st_size - TAIL))
            text = stream.read().decode("utf-8", errors="replace")
    except OSError:
        return JobState("waiting")
    fault = _fault(text)
    if fault:
        return JobState("failed", note=f"{log}: {fault}")
    began = moment.snakemake_since
    if began is not None and written >= began and moment.now - written < FRESH:
        return JobState("running")
    return JobState("waiting")


def _fault(text: str) -> str | None:
    """The error that a log ends with; one of Python's by its name alone, since it may quote what is
    not to be shown.
    """
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    # Launchers of several processes have more to say behind it.
    if told := [line for line in lines if line.startswith("bioner: ")]:
        return None if told[-1].endswith(GOES_ON) else told[-1]
    if any(line.startswith("Traceback (most recent call last)") for line in lines):
        kind = re.match(r"[\w.]+(?=: |$)", lines[-1])
        return kind[0] if kind else "an error of Python"
    return None


def _in_training(heartbeat: Heartbeat | None, moment: Moment) -> JobState:
    if heartbeat is None:
        return JobState("running", note="before its first step")
    left, seconds = heartbeat.number("seconds_left"), heartbeat.number("seconds")
    took = None if left is None or seconds is None else seconds + left
    job_state = JobState(
        "running",
        _epochs(heartbeat),
        heartbeat.number("dev_strict_f1"),
        _left(heartbeat, moment),
        _where(heartbeat),
    )
    return replace(job_state, note=_silence(heartbeat, moment), took=took)


def _trained(path: Path) -> JobState:
    try:
        record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        f1, took, sentences = (
            record["kept"]["dev_strict_f1"],
            record["wall_seconds"],
            record["train_instances"],
        )
        return JobState(
            "done",
            dev_f1=None if f1 is None else float(f1),
            took=float(took),
            sentences=int(sentences),
        )
    except (OSError, ValueError, TypeError, KeyError):
        return JobState(
            "done"
        )  # by another hand, or just being replaced: that it is there is all that is asked


def _any_checkpoint(folder: Path) -> bool:
    return any((folder / TRAINING / "checkpoints").glob("checkpoint-*/manifest.json"))


def _newest_heartbeat(place: Path) -> Heartbeat | None:
    heartbeats = [
        heartbeat
        for path in place.glob(f"*/{HEARTBEAT_FILE}")
        if (heartbeat := read_heartbeat(path)) is not None
    ]
    return max(heartbeats, key=lambda heartbeat: heartbeat.at, default=None)


def _epoch(heartbeat: Heartbeat) -> int:
    """The epoch that is under way, from 1 on; the last one where all are done."""
    done = heartbeat.number("epoch") or 0.0
    return min(int(done) + 1, max(1, _count(heartbeat, "epochs")))


def _epochs(heartbeat: Heartbeat) -> str:
    return f"{_epoch(heartbeat)}/{_count(heartbeat, 'epochs')}"


def _count(heartbeat: Heartbeat, name: str) -> int:
    value = heartbeat.number(name) or 0.0
    return int(value) + (value > int(value))


def _left(heartbeat: Heartbeat, moment: Moment) -> float | None:
    left = heartbeat.number("seconds_left")
    return None if left is None else max(0.0, left - heartbeat.age(moment.now))


def _where(heartbeat: Heartbeat) -> str:
    return (
        f"{heartbeat.host}, Slurm job {heartbeat.slurm_job}"
        if heartbeat.slurm_job
        else heartbeat.host
    )


def _silence(heartbeat: Heartbeat, moment: Moment) -> str:
    age = heartbeat.age(moment.now)
    return f"last heard of {age / 60:.0f} min ago" if age > QUIET else ""
