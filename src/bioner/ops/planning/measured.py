"""Read how long finished runs took, and how long the stated costs say they should take."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import polars as pl

from bioner.errors import InputError
from bioner.inference.timing import Protocol, read_timing
from bioner.io.records import RunRecord, read_record
from bioner.ops.planning.costs import (
    PASSES,
    UNSTATED,
    decoding_seconds,
    stated_costs,
    training_seconds,
)
from bioner.ops.planning.sizes import Size
from bioner.results import layout
from bioner.settings.matrix import Matrix
from bioner.settings.model_entry import CostEstimates, ModelEntry

TRAINING = "training"


@dataclass(frozen=True, slots=True)
class Measurement:
    """How long a finished run of a model took.

    Attributes:
        path: The file it was read from.
        work: `training`, or the name of the decoding.
        batch: Sentences per batch; 1 for trainings.
        seconds: Its duration without the start, summed over its GPUs.
        stated: The same by the costs of the model's entry.
        hardware: The name of its GPU or CPU.
        ended: When its training or prediction ended, as ISO 8601 text.
    """

    path: Path
    dataset: str
    work: str
    batch: int
    seconds: float
    stated: float
    hardware: str
    ended: str


def read_measurements(
    matrix: Matrix, results: Path, sizes: Mapping[str, Size | None]
) -> dict[str, list[Measurement]]:
    """Return measurements of finished runs of each trained model, all on one kind of hardware.

    That is the device of the model's stated costs or, without a run on it, that of its last run.
    Broken files, those of earlier versions, and runs with other settings of speed are ignored.

    Args:
        results: The folder of DATASET/MODEL/...
        sizes: The size of each corpus; one of unknown size has no measurements.
    """
    found = {}
    for model, entry in matrix.required().items():
        measured = [
            measurement
            for dataset, size in sizes.items()
            if size
            for measurement in _Cell(results / dataset / model, dataset, entry, size).read()
            if measurement.seconds > 0 and measurement.stated > 0
        ]
        found[model] = _on_one_device(measured, entry.cost_estimates)
    return found


def find_measurements(
    measured: Sequence[Measurement], dataset: str, work: str, batch: int = 1
) -> list[Measurement]:
    """Return measurements for a job: of its corpus or else others, with the nearest batch size."""
    alike = [one for one in measured if one.work == work]
    alike = [one for one in alike if one.dataset == dataset] or alike
    distances = [abs(math.log(one.batch / batch)) for one in alike]
    return [one for one, far in zip(alike, distances, strict=True) if far == min(distances)]


def ratio_of(measured: Sequence[Measurement]) -> float:
    """Return the median of measured over stated seconds; 1 without a measurement."""
    return median(one.seconds / one.stated for one in measured) if measured else 1.0


def _on_one_device(
    measured: Sequence[Measurement], costs: CostEstimates | None
) -> list[Measurement]:
    stated = [one for one in measured if costs and costs.device in one.hardware]
    if stated or not measured:
        return stated
    last = max(measured, key=lambda one: one.ended)
    return [one for one in measured if one.hardware == last.hardware]


def _speed_settings(entry: ModelEntry) -> tuple[object, ...]:
    """Return what seconds per sentence depend on, except what costs account for."""
    train, source, resources = entry.train, entry.source, entry.resources
    return (
        *(entry.family, source.hub, source.scratch, entry.quantization, entry.lora),
        *(entry.attention, entry.repeat),
        *(train.precision, train.param_dtype, train.activation_checkpointing),
        *(bool(resources.gpus), bool(resources.predict_gpus)),
        None if resources.gpus else resources.threads,
    )


@dataclass(frozen=True, slots=True)
class _Cell:
    """The results of a model on a corpus, and its entry now."""

    folder: Path
    dataset: str
    entry: ModelEntry
    size: Size

    def read(self) -> Iterator[Measurement]:
        """Yield its measurements; `seconds` and `stated` are 0 or NaN if they are not known."""
        trained = list(self._records(f"seed*/{layout.RECORD}"))
        for run in (*trained, *self._records(f"trials/*/{layout.RECORD}")):
            yield self._training(*run)
        for part in ("", "dev/"):
            for path, record, entry in self._records(f"seed*/*/{part}{layout.RECORD}"):
                if record.decoding in PASSES:
                    yield self._prediction(path, record, entry)
        yield from self._timings({record.seed: record.ended for _, record, _ in trained})

    def _records(self, pattern: str) -> Iterator[tuple[Path, RunRecord, ModelEntry]]:
        """Yield the records of runs whose settings of speed equal those of the entry now."""
        for path in sorted(self.folder.glob(pattern)):
            try:
                record = read_record(path)
            except InputError:
                continue
            entry = record.entry
            if entry and _speed_settings(entry) == _speed_settings(self.entry):
                yield path, record, entry

    def _training(self, path: Path, record: RunRecord, entry: ModelEntry) -> Measurement:
        gpus = record.gpus_of("train")
        costs = stated_costs(self.entry, self.entry.resources.gpus) or UNSTATED
        epochs = _epochs_in(path.with_name(layout.HISTORY))
        return Measurement(
            *(path, self.dataset, TRAINING, 1),
            (record.wall_seconds or 0.0) * max(len(gpus), 1),
            training_seconds(entry, costs, self.size, epochs),
            (*gpus, record.cpu or "")[0],
            record.ended or "",
        )

    def _prediction(self, path: Path, record: RunRecord, entry: ModelEntry) -> Measurement:
        decoding, batch = str(record.decoding), entry.predict.batch_size
        costs = stated_costs(self.entry, self.entry.resources.predict_gpus) or UNSTATED
        count, seconds = record.sentences or 0, record.decoding_seconds
        stated = decoding_seconds(entry, costs, decoding, count, self.size, batch)
        if seconds is None:  # a classifier: includes the start, which must be the smaller part
            start = costs.prediction.start_seconds
            seconds = (record.wall_seconds or 0.0) - start if 0 < start < stated else 0.0
        return Measurement(
            *(path, self.dataset, decoding, batch, seconds, stated),
            (*record.gpus_of("predict"), record.cpu or "")[0],
            record.ended or "",
        )

    def _timings(self, ended: Mapping[int | None, str | None]) -> Iterator[Measurement]:
        """Yield the timings of the seeds in `ended` that have the precision of predictions.

        Timings with other processes on the GPU are ignored.
        """
        path, fair = self.folder / layout.TIMING, Protocol("fair")
        costs = stated_costs(self.entry, self.entry.resources.predict_gpus) or UNSTATED
        try:
            rows = read_timing(path).filter(
                pl.col("batch") > 0, pl.col("decoding").is_in(PASSES.keys()), protocol=fair.name
            )
        except InputError:
            return
        for row in rows.iter_rows(named=True):
            decoding, batch = row["decoding"], row["batch"]
            is_alike = row["precision"] == fair.precision(self.entry, decoding)
            if is_alike and row["seed"] in ended and not row["others_on_gpu"]:
                yield Measurement(
                    *(path, self.dataset, decoding, batch, row["seconds_per_sample"]),
                    decoding_seconds(self.entry, costs, decoding, 1, self.size, batch),
                    row["hardware"],
                    ended[row["seed"]] or "",
                )


def _epochs_in(history: Path) -> float:
    """Return the epochs of a training; 0 if its history cannot be read."""
    try:
        epochs = pl.read_csv(history)["epoch"].cast(pl.Float64).max()
    except (OSError, pl.exceptions.PolarsError):
        return 0.0
    return epochs if isinstance(epochs, float) and math.isfinite(epochs) else 0.0
