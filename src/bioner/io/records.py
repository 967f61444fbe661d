"""What the run.json of a training or a prediction says; that of another version may say less."""

from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from bioner.errors import InputError
from bioner.io.files import parse_json, read_text
from bioner.settings.model_entry import ModelEntry

Count = Annotated[int, Field(ge=0)]
Amount = Annotated[float, Field(ge=0)]


class Record(BaseModel):
    """Base of what is read from records: frozen, other keys are left out."""

    model_config = ConfigDict(frozen=True, allow_inf_nan=False)


class KeptWeights(Record):
    """The epoch whose weights a training kept, and the dev scores of the model that predicts.

    Without `as_trained` in the record, the scores are the epoch's own. None if it diverged.
    """

    epoch: Amount | None = None
    step: Count | None = None
    dev_loss: float | None = None
    dev_strict_f1: Amount | None = None
    dev_relaxed_f1: Amount | None = None


class AsTrained(Record):
    """Dev scores of the weights as trained, and how predictions of the merged weights differ.

    The differences are a `comparison.predictions.PredictionAgreement`.
    """

    dev_strict_f1: Amount | None = None
    dev_relaxed_f1: Amount | None = None
    entities: Count = 0
    differing: Count = 0
    difference: float = 0.0
    ci_low: float | None = None
    ci_high: float | None = None


class TrialRecord(Record):
    """Which trial of a search a training was, and the hyper-parameters searched over."""

    name: str
    over: tuple[str, ...]


class InputFiles(Record):
    """The corpus, and the SHA-256 of the files that a training or a prediction read."""

    dataset: str | None = None
    train: str | None = None
    dev: str | None = None
    gold: str | None = None
    training: str | None = None
    draft: str | None = None


class RunRecord(Record):
    """A run.json."""

    seed: Count | None = None
    trial: TrialRecord | None = None
    data: InputFiles = InputFiles()
    kept: KeptWeights = KeptWeights()
    as_trained: AsTrained | None = None
    settings: dict[str, Any] = {}
    decoding: str | None = None
    merged: bool = False  # what predicted; earlier versions did as trained
    sentences: Count | None = None
    decoding_seconds: Amount | None = None
    train_instances: Count | None = None
    trained_parameters: Count | None = None
    wall_seconds: Amount | None = None
    energy_kwh: Amount | None = None
    peak_memory_gb: Amount | None = None
    peak_gpu_memory_gb: Amount | None = None
    started: str | None = None
    ended: str | None = None
    commit: str | None = None
    uncommitted_changes: bool | None = None
    python: str | None = None
    versions: dict[str, str] = {}
    cpu: str | None = None
    gpus: tuple[str, ...] = ()

    @property
    def entry(self) -> ModelEntry | None:
        """The entry that the run was made with; None if this version cannot read it."""
        try:
            return ModelEntry.model_validate(self.settings)
        except ValidationError:
            return None

    def scored_as_trained(self) -> Self:
        """Return the record with the dev scores of the weights as trained."""
        names = {"dev_strict_f1", "dev_relaxed_f1"}
        scores = self.as_trained.model_dump(include=names) if self.as_trained else {}
        return self.model_copy(update={"kept": self.kept.model_copy(update=scores)})

    def gpus_of(self, stage: str) -> tuple[str, ...]:
        """Return the GPUs that a `train` or `predict` job was given."""
        resources = self.settings.get("resources")
        key = "gpus" if stage == "train" else "predict_gpus"
        count = resources.get(key) if isinstance(resources, dict) else None
        return self.gpus[:count] if isinstance(count, int) else self.gpus


def read_record(path: Path) -> RunRecord:
    """Read a run.json.

    Raises:
        InputError: It is something else, or has a value of another kind.
    """
    try:
        return RunRecord.model_validate(parse_json(read_text(path), str(path), whole_file=True))
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"]))
        found = f"a broken record ({f'{key}: ' if key else ''}{first['msg']})"
        expected = "what `bioner train` or `bioner predict` wrote"
        raise InputError(path, found, expected, "Train or predict again.") from None
