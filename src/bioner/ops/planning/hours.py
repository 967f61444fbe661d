"""The hours of a job, expected and at most, by the costs that its model's entry states."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from statistics import mean

from bioner.ops.planning.jobs import PlannedJob
from bioner.ops.planning.sizes import Size
from bioner.settings.matrix import Matrix
from bioner.settings.model_entry import CostEstimates, ModelEntry, Train

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


@dataclass(frozen=True, slots=True)
class Hours:
    """Hours as expected, and at most."""

    expected: float
    most: float


def hours_of(matrix: Matrix, job: PlannedJob, sizes: Mapping[str, Size | None]) -> Hours | None:
    """Return the wall-clock hours of a job; None if its costs or its corpus's size are unknown.

    Downloads count as their start only: the rest depends on the network.
    """
    size = sizes.get(job.corpus)
    if not works(matrix, job):
        count = sentences_of(job, size) if size else 0
        seconds = START_SECONDS + CPU_SECONDS.get(job.rule, 0.0) * count / 1000
        return Hours(seconds / 3600, seconds / 3600)
    costs = matrix.models[job.model].cost_estimates
    gpus = gpus_of(matrix, job)
    # Costs on a CPU say nothing about GPUs, and vice versa.
    if size is None or costs is None or (costs.device == "CPU") != (gpus == 0):
        return None
    seconds_of = _trained if job.rule in ("trial", "train") else _predicted
    found = seconds_of(matrix, job, costs, size)
    if found is None:
        return None
    expected, most = (seconds / 3600 / max(gpus, 1) for seconds in found)
    return Hours(expected, most)


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


def training_seconds(
    entry: ModelEntry, costs: CostEstimates, size: Size
) -> tuple[float, float] | None:
    """Return the seconds of a training, expected and at most, summed over its GPUs.

    They include scoring dev after every epoch. None if the entry does not state the costs.
    """
    training, train = costs.training, entry.train
    decoding = "constrained" if entry.family == "llm" else "direct"
    dev = _decoding_seconds(costs, [decoding], size.sentences["dev"], size)
    if training.seconds is None or dev is None:
        return None
    count = min(train.sentences or size.sentences["train"], size.sentences["train"])
    epoch = (
        ceil(count / train.batch_size) * training.step_seconds
        + count / 1000 * training.seconds * size.length
    )
    expected, most = (
        training.start_seconds + epochs * epoch + ceil(epochs) * dev
        for epochs in (expected_epochs(train), train.epochs)
    )
    return expected, most


def _trained(
    matrix: Matrix, job: PlannedJob, costs: CostEstimates, size: Size
) -> tuple[float, float] | None:
    """Return the seconds of a trial or a training, expected and at most.

    A training with the winner of a search takes the mean of the trials, and at most the longest.
    """
    entry = matrix.models[job.model]
    trials = entry.trials()
    if job.rule == "trial":
        return training_seconds(trials[job.trial], costs, size)
    if not matrix.is_searched(job.model):
        return training_seconds(entry, costs, size)
    found = [
        seconds for trial in trials.values() if (seconds := training_seconds(trial, costs, size))
    ]
    return (mean(one for one, _ in found), max(most for _, most in found)) if found else None


def _predicted(
    matrix: Matrix, job: PlannedJob, costs: CostEstimates, size: Size
) -> tuple[float, float] | None:
    """Return the seconds of a prediction or of timing; expected and at most are the same.

    For every timed seed, timing decodes its sample `repeats` times by every decoding, protocol
    and batch size.
    """
    decodings = [job.decoding]
    count = sentences_of(job, size)
    times = 1
    if job.rule == "time":
        timing = matrix.settings.timing
        protocols = timing.protocols
        ways = len(timing.batch_sizes) * ("fair" in protocols) + ("paper" in protocols)
        decodings = matrix.decodings(job.model)
        count = min(timing.sentences, count) * timing.repeats * ways
        times = len(matrix.timed_seeds)
    found = _decoding_seconds(costs, decodings, count, size)
    if found is None:
        return None
    seconds = times * (costs.prediction.start_seconds + found)
    return seconds, seconds


def _decoding_seconds(
    costs: CostEstimates, decodings: Sequence[str], count: int, size: Size
) -> float | None:
    """Return the seconds of decoding so many sentences once by each decoding."""
    each = [costs.prediction.seconds(decoding) for decoding in decodings]
    if None in each:
        return None
    return sum(count / 1000 * seconds * size.length for seconds in each if seconds is not None)


def sentences_of(job: PlannedJob, size: Size) -> int:
    """Return the number of sentences of a job: of all splits, of dev, or of test."""
    if job.rule in ("fetch", "normalize"):
        return sum(size.sentences.values())
    return size.sentences["dev" if job.part else "test"]
