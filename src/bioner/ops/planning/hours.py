"""Estimate the hours of a job from finished runs of its model, or else from stated costs."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import mean
from types import MappingProxyType

from bioner.inference.timing import Protocol
from bioner.ops.planning.costs import UNSTATED, decoding_seconds, stated_costs, training_seconds
from bioner.ops.planning.jobs import PlannedJob
from bioner.ops.planning.measured import TRAINING, Measurement, find_measurements, ratio_of
from bioner.ops.planning.sizes import Size
from bioner.settings.matrix import Matrix
from bioner.settings.model_entry import CostEstimates, Train

# Commands without a GPU: seconds to start, and per 1,000 sentences (docs/performance.md).
START_SECONDS = 3.0
CPU_SECONDS = {
    "normalize": 0.07,
    "predict": 0.03,
    "realign": 0.03,
    "ensemble": 0.03,
    "score": 0.3,
    "calibrate": 0.3,
    "compare": 0.4,
    "cross": 0.4,
}
Measurements = Mapping[str, Sequence[Measurement]]
"""Measurements of finished runs, by model."""


@dataclass(frozen=True, slots=True)
class Hours:
    """Expected hours and their bounds.

    Attributes:
        low: Hours if estimated costs are too high by their spread.
        high: Hours if they are too low by it.
        most: As `high`, if also no training stops early.
        measured_by: Files of the runs that they are scaled from; empty if a part is estimated.
    """

    low: float
    expected: float
    high: float
    most: float
    measured_by: frozenset[Path] = frozenset()


@dataclass(frozen=True, slots=True)
class _Work:
    """A part of a job: seconds to start, expected and most seconds after that, measurements."""

    start: float
    expected: float
    most: float
    measured: Sequence[Measurement]


def hours_of(
    matrix: Matrix,
    job: PlannedJob,
    sizes: Mapping[str, Size | None],
    measured: Measurements = MappingProxyType({}),
) -> Hours | None:
    """Return the wall-clock hours of a job; None if its costs or its corpus's size are unknown.

    Downloads count as their start only: the rest depends on the network.
    """
    size = sizes.get(job.corpus)
    if not works(matrix, job):
        count = sentences_of(job, size) if size else 0
        seconds = START_SECONDS + CPU_SECONDS.get(job.rule, 0.0) * count / 1000
        hours = seconds / 3600
        return Hours(hours, hours, hours, hours)
    gpus = gpus_of(matrix, job)
    stated = stated_costs(matrix.models[job.model], gpus)
    costs, known = stated or UNSTATED, measured.get(job.model, ())
    if size is None:
        return None
    works_of = _trained if job.rule in ("trial", "train") else _predicted
    low = expected = high = most = 0.0
    parts = list(works_of(matrix, job, costs, size, known))
    if not stated and not all(part.measured for part in parts):
        return None
    for part in parts:
        ratio, spread = ratio_of(part.measured), 1.0 if part.measured else costs.spread
        low += part.start + part.expected * ratio / spread
        expected += part.start + part.expected * ratio
        high += part.start + part.expected * ratio * spread
        most += part.start + part.most * ratio * spread
    if math.isnan(expected):  # costs that the entry does not state
        return None
    runs = {one.path for part in parts for one in part.measured}
    is_measured = all(part.measured for part in parts)
    each = 1 / 3600 / max(gpus, 1)  # hours of each GPU
    measured_by = frozenset(runs if is_measured else ())
    return Hours(low * each, expected * each, high * each, most * each, measured_by)


def works(matrix: Matrix, job: PlannedJob) -> bool:
    """Whether a trained model does the job: catalogue entries state the costs of such jobs."""
    return job.rule in ("trial", "train", "predict", "time") and matrix.is_trained(job.model)


def gpus_of(matrix: Matrix, job: PlannedJob) -> int:
    """Return the GPUs a job asks for."""
    if not works(matrix, job):
        return 0
    resources = matrix.models[job.model].resources
    gpus = resources.gpus if job.rule in ("trial", "train") else resources.predict_gpus
    return min(gpus, 1) if job.rule == "time" else gpus


def expected_epochs(train: Train) -> float:
    """Return the epochs that training with early stopping is expected to run.

    A rule of thumb: half of the maximum, at least one more than the patience. Without patience,
    the maximum.
    """
    most = train.epochs
    return most if train.patience is None else min(most, max(most / 2, train.patience + 1))


def _trained(
    matrix: Matrix,
    job: PlannedJob,
    costs: CostEstimates,
    size: Size,
    measured: Sequence[Measurement],
) -> Iterator[_Work]:
    """Yield the work of a trial or a training.

    A training with the winner of a search takes the mean of the trials, and at most the longest.
    """
    entry = matrix.models[job.model]
    entries = [entry]
    if job.rule == "trial":
        entries = [entry.trials()[job.trial]]
    elif matrix.is_searched(job.model):
        entries = list(entry.trials().values())
    expected = [training_seconds(one, costs, size, expected_epochs(one.train)) for one in entries]
    most = [training_seconds(one, costs, size, one.train.epochs) for one in entries]
    alike = find_measurements(measured, job.dataset, TRAINING)
    yield _Work(costs.training.start_seconds, mean(expected), max(most), alike)


def _predicted(
    matrix: Matrix,
    job: PlannedJob,
    costs: CostEstimates,
    size: Size,
    measured: Sequence[Measurement],
) -> Iterator[_Work]:
    """Yield the work of a prediction, or of timing each decoding and batch size.

    For every timed seed, timing decodes its sample `repeats` times in each way.
    """
    entry, start = matrix.models[job.model], costs.prediction.start_seconds
    count = sentences_of(job, size)

    def work(decoding: str, batch: int, sentences: int, merged: bool | None = None) -> _Work:
        seconds = decoding_seconds(entry, costs, decoding, sentences, size, batch, merged)
        alike = find_measurements(measured, job.dataset, decoding, batch)
        return _Work(0.0, seconds, seconds, alike)

    if job.rule == "predict":
        yield replace(work(job.decoding, entry.predict.batch_size, count), start=start)
        return
    timing = matrix.settings.timing
    seeds = len(matrix.timed_seeds)
    count = min(timing.sentences, count) * timing.repeats * seeds
    for protocol in map(Protocol, timing.protocols):
        merged = False if protocol.is_paper else None
        for decoding in protocol.decodings(matrix.decodings(job.model)):
            batches = protocol.batches(entry.family, timing.batch_sizes)
            for number, batch in enumerate(batches):
                loaded = seeds * start if number == 0 else 0.0
                yield replace(work(decoding, batch, count, merged), start=loaded)


def sentences_of(job: PlannedJob, size: Size) -> int:
    """Return the number of sentences of a job: of all splits, of dev, or of test."""
    if job.rule in ("fetch", "normalize"):
        return sum(size.sentences.values())
    return size.sentences["dev" if job.part else "test"]
