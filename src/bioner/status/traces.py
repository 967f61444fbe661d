"""What one job left on the disk: whether it is done, running, failed or waiting, and how far it is."""

import json
import re
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from bioner.decoding.shards import shards_folder
from bioner.signs import FRESH, SIGN, Sign, is_held, read_sign

State = Literal["done", "running", "failed", "waiting", "left out"]

TRAINING = ".training"  # as bioner.training.workspace has it, which loads torch
TAIL = 4096  # bytes of a log that are looked at
QUIET = 60.0  # seconds after which it is told how long nothing was heard
GOES_ON = "the same command goes on from there."


@dataclass(frozen=True, slots=True)
class Trace:
    """What a job left: its state, how far it is, its best dev F1 in percent, seconds left, who works on it, remarks."""

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
    """When traces are looked at, and since when a Snakemake works here (None where none does); since the epoch."""

    now: float = field(default_factory=time.time)
    snakemake_since: float | None = None


def training(folder: Path, log: Path, moment: Moment) -> Trace:
    """What a training left in the folder that it writes to."""
    if not folder.is_dir():
        return without_output(log, moment)
    sign = read_sign(folder / TRAINING / "checkpoints" / SIGN)
    if is_held(folder / f"{TRAINING}.lock", sign, moment.now):
        return _in_training(sign, moment)
    if (folder / "run.json").is_file():
        return _trained(folder / "run.json")
    trace = without_output(log, moment)
    if trace.state == "running" or sign is None:
        return trace
    goes_on = _any_checkpoint(folder)
    note = f"cut short at epoch {_epoch(sign)}, " + ("goes on" if goes_on else "begins again: no checkpoint yet")
    note = f"{trace.note}; {note}" if trace.note else note
    return Trace(trace.state, _epochs(sign), sign.number("dev_strict_f1"), note=note)


def prediction(raw: Path, log: Path, moment: Moment) -> Trace:
    """What a prediction left at its output, and in the shards of an LLM's beside it."""
    if not raw.parent.is_dir():
        return without_output(log, moment)
    place = shards_folder(raw)
    lock = place.with_name(f"{place.name}.lock")
    if raw.is_file() and not lock.exists():
        return Trace("done")
    sign = _newest_sign(place)
    done, all_ = (0, 0) if sign is None else (_count(sign, "done"), _count(sign, "shards"))
    if is_held(lock, sign, moment.now):
        if sign is None:
            return Trace("running", note="before its first shard")
        left = _left(sign, moment)
        return Trace("running", f"{done}/{all_} shards", None, left, _where(sign), _silence(sign, moment))
    if raw.is_file():
        return Trace("done")
    trace = without_output(log, moment)
    if trace.state == "running" or sign is None:
        return trace
    note = f"cut short after {done} of {all_} shards, goes on"
    return Trace(trace.state, f"{done}/{all_} shards", note=f"{trace.note}; {note}" if trace.note else note)


def product(output: Path, log: Path, moment: Moment) -> Trace:
    """What a job without a lock left at its output."""
    return Trace("done") if output.exists() else without_output(log, moment)


def without_output(log: Path, moment: Moment) -> Trace:
    """What the log of a job tells that has no output: that it failed, that it has just been at work, or nothing."""
    try:
        written = log.stat().st_mtime
        with log.open("rb") as stream:
            stream.seek(max(0, log.stat().st_size - TAIL))
            text = stream.read().decode("utf-8", errors="replace")
    except OSError:
        return Trace("waiting")
    fault = _fault(text)
    if fault:
        return Trace("failed", note=f"{log}: {fault}")
    began = moment.snakemake_since
    if began is not None and written >= began and moment.now - written < FRESH:
        return Trace("running")
    return Trace("waiting")


def _fault(text: str) -> str | None:
    """The error that a log ends with; one of Python's by its name alone, since it may quote what is not to be shown."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    # Launchers of several processes have more to say behind it.
    if told := [line for line in lines if line.startswith("bioner: ")]:
        return None if told[-1].endswith(GOES_ON) else told[-1]
    if any(line.startswith("Traceback (most recent call last)") for line in lines):
        kind = re.match(r"[\w.]+(?=: |$)", lines[-1])
        return kind[0] if kind else "an error of Python"
    return None


def _in_training(sign: Sign | None, moment: Moment) -> Trace:
    if sign is None:
        return Trace("running", note="before its first step")
    left, seconds = sign.number("seconds_left"), sign.number("seconds")
    took = None if left is None or seconds is None else seconds + left
    trace = Trace("running", _epochs(sign), sign.number("dev_strict_f1"), _left(sign, moment), _where(sign))
    return replace(trace, note=_silence(sign, moment), took=took)


def _trained(path: Path) -> Trace:
    try:
        record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        f1, took, sentences = record["kept"]["dev_strict_f1"], record["wall_seconds"], record["train_instances"]
        return Trace("done", dev_f1=None if f1 is None else float(f1), took=float(took), sentences=int(sentences))
    except (OSError, ValueError, TypeError, KeyError):
        return Trace("done")  # by another hand, or just being replaced: that it is there is all that is asked


def _any_checkpoint(folder: Path) -> bool:
    return any((folder / TRAINING / "checkpoints").glob("checkpoint-*/sealed.json"))


def _newest_sign(place: Path) -> Sign | None:
    signs = [sign for path in place.glob(f"*/{SIGN}") if (sign := read_sign(path)) is not None]
    return max(signs, key=lambda sign: sign.at, default=None)


def _epoch(sign: Sign) -> int:
    """The epoch that is under way, from 1 on; the last one where all are done."""
    done = sign.number("epoch") or 0.0
    return min(int(done) + 1, max(1, _count(sign, "epochs")))


def _epochs(sign: Sign) -> str:
    return f"{_epoch(sign)}/{_count(sign, 'epochs')}"


def _count(sign: Sign, name: str) -> int:
    value = sign.number(name) or 0.0
    return int(value) + (value > int(value))


def _left(sign: Sign, moment: Moment) -> float | None:
    left = sign.number("seconds_left")
    return None if left is None else max(0.0, left - sign.age(moment.now))


def _where(sign: Sign) -> str:
    return f"{sign.host}, Slurm job {sign.slurm_job}" if sign.slurm_job else sign.host


def _silence(sign: Sign, moment: Moment) -> str:
    age = sign.age(moment.now)
    return f"last heard of {age / 60:.0f} min ago" if age > QUIET else ""
