"""How long a job takes by the costs its model's entry states: at most, and as early stopping
usually ends.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil
from statistics import mean

from bioner.ops.planning.jobs import PlannedJob
from bioner.ops.planning.sizes import Size
from bioner.settings.catalogue import trials_of
from bioner.settings.config import Tree
from bioner.settings.matrix import Matrix

# Commands without a GPU: seconds to start Snakemake's shell and Python, and for 1,000 sentences
# (docs/performance.md).
START_SECONDS = 3.0
CPU_SECONDS = {
    "normalize": 0.07,
    "predict": 0.03,
    "realign": 0.03,
    "ensemble": 0.03,
    "score": 0.3,
    "compare": 0.4,
}


@dataclass(frozen=True, slots=True)
class Hours:
    """Hours on the wall that a job takes, expected and at most, and what it holds meanwhile."""

    expected: float
    most: float
    gpus: int
    threads: int


def hours_of(matrix: Matrix, job: PlannedJob, sizes: Mapping[str, Size | None]) -> Hours | None:
    """What one job takes; None where its model's costs or its corpus's size are not known.

    Downloads count for nothing: they take what the line takes.
    """
    size = sizes.get(job.dataset)
    if not works(matrix, job):
        count = _sentences(job, size) if size else 0
        seconds = START_SECONDS + CPU_SECONDS.get(job.rule, 0.0) * count / 1000
        return Hours(seconds / 3600, seconds / 3600, 0, 1)
    entry, gpus = matrix.models[job.model], gpus_of(matrix, job)
    if size is None or not counts_for(entry, gpus):
        return None
    if job.rule in ("trial", "train"):
        found = _trained(matrix, job, size)
    elif job.rule == "predict":
        found = _twice(
            _decoding(entry, job.decoding, _sentences(job, size), size.length, start=True)
        )
    else:
        found = _twice(_timed(matrix, job, size))
    if found is None:
        return None
    expected, most = (seconds / 3600 / max(gpus, 1) for seconds in found)
    return Hours(expected, most, gpus, entry["resources"]["threads"])


def works(matrix: Matrix, job: PlannedJob) -> bool:
    """Whether a job is a trained model's work: what costs are stated for."""
    return job.rule in ("trial", "train", "predict", "time") and matrix.is_trained(job.model)


def gpus_of(matrix: Matrix, job: PlannedJob) -> int:
    """GPUs a job asks for."""
    if not works(matrix, job):
        return 0
    resources = matrix.models[job.model]["resources"]
    gpus: int = resources["gpus" if job.rule in ("trial", "train") else "predict_gpus"]
    return min(gpus, 1) if job.rule == "time" else gpus


def counts_for(entry: Tree, gpus: int) -> bool:
    """Whether an entry's costs are those of a job with so many GPUs: a CPU's say nothing of GPUs,
    nor theirs of it.
    """
    return entry["cost_estimates"] is not None and (entry["cost_estimates"]["device"] == "CPU") == (
        gpus == 0
    )


def expected_epochs(train: Tree) -> float:
    """Epochs where early stopping usually ends: half of the most, and no fewer than it waits for
    after the first.

    A rule of thumb; without patience all are run.
    """
    most: float = train["epochs"]
    return most if train["patience"] is None else min(most, max(most / 2, train["patience"] + 1))


def training_seconds(entry: Tree, size: Size) -> tuple[float, float] | None:
    """Seconds of one training, expected and at most, summed over its GPUs; dev is scored after
    every epoch.
    """
    costs, train = entry["cost_estimates"]["training"], entry["train"]
    decoding = "constrained" if entry["family"] == "llm" else "direct"
    dev = _decoding(entry, decoding, size.sentences["dev"], size.length)
    if costs["seconds"] is None or dev is None:
        return None
    count = min(train["sentences"] or size.sentences["train"], size.sentences["train"])
    epoch = (
        ceil(count / train["batch_size"]) * costs["step_seconds"]
        + count / 1000 * costs["seconds"] * size.length
    )
    expected, most = (
        costs["start_seconds"] + epochs * epoch + ceil(epochs) * dev
        for epochs in (expected_epochs(train), train["epochs"])
    )
    return expected, most


def _trained(matrix: Matrix, job: PlannedJob, size: Size) -> tuple[float, float] | None:
    """A trial, or a training; of a winner that is not known yet the mean trial, and at most the
    longest.
    """
    entry = matrix.models[job.model]
    trials = trials_of(entry)
    if job.rule == "trial":
        return training_seconds(trials[job.trial], size)
    if not matrix.is_searched(job.model):
        return training_seconds(entry, size)
    found = [seconds for trial in trials.values() if (seconds := training_seconds(trial, size))]
    return (mean(one for one, _ in found), max(most for _, most in found)) if found else None


def _decoding(
    entry: Tree, decoding: str, count: int, length: float, start: bool = False
) -> float | None:
    """Seconds of decoding so many sentences, with what comes before the first where that is asked
    for.
    """
    costs = entry["cost_estimates"]["prediction"]
    if costs[decoding] is None:
        return None
    before: float = costs["start_seconds"] if start else 0
    seconds: float = costs[decoding]
    return before + count / 1000 * seconds * length


def _timed(matrix: Matrix, job: PlannedJob, size: Size) -> float | None:
    """Seconds of timing: every decoding, at every batch size and as the paper did, so many passes
    over the sample.

    All that once a timed seed.
    """
    timing, entry = matrix.settings["timing"], matrix.models[job.model]
    ways = len(timing["batch_sizes"]) * ("fair" in timing["protocols"]) + (
        "paper" in timing["protocols"]
    )
    count = min(timing["sentences"], size.sentences["test"]) * timing["repeats"] * ways
    found = [_decoding(entry, name, count, size.length) for name in matrix.decodings(job.model)]
    stated = [seconds for seconds in found if seconds is not None]
    start: float = entry["cost_estimates"]["prediction"]["start_seconds"]
    return len(matrix.timed_seeds) * (start + sum(stated)) if len(stated) == len(found) else None


def _twice(seconds: float | None) -> tuple[float, float] | None:
    return None if seconds is None else (seconds, seconds)


def _sentences(job: PlannedJob, size: Size) -> int:
    """Sentences a job goes through: all of them, those of dev, or those of test."""
    if job.rule == "normalize":
        return sum(size.sentences.values())
    return size.sentences["dev" if job.part else "test"]
