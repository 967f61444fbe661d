"""Dev scores of the merged weights that will predict, and how merging changes the predictions.

Epochs are compared as trained. The chosen epoch's weights are then merged and predict dev again, so
that whatever is chosen on dev is chosen for the model that predicts.
"""

import logging
import os
from pathlib import Path
from typing import Any, Protocol

from accelerate import PartialState
from accelerate.utils.memory import clear_device_cache
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from bioner.comparison.predictions import compare_predictions
from bioner.data.instances import Prediction, entity_types, read_predictions, write_predictions
from bioner.data.raw_outputs import read_raw
from bioner.data.tags import tag_set
from bioner.inference.predict import NoMemoryLeft, PredictionJob, predict_to
from bioner.realignment.realign import realign_all
from bioner.scoring.score import headline_f1
from bioner.training.checkpoints import MANIFEST, folder_of
from bioner.training.job import TrainingJob
from bioner.training.progress import Row

log = logging.getLogger(__name__)


class Scorer(Protocol):
    """Anything with the latest predictions of dev, or of a sample of it."""

    predictions: list[Prediction]


class KeepDevPredictions(TrainerCallback):  # type: ignore[misc]
    """Write the predictions of every evaluation to the folder of checkpoints."""

    def __init__(self, dev: Scorer, checkpoints: Path) -> None:
        self.dev, self.checkpoints = dev, checkpoints

    def on_evaluate(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """Write the predictions of this epoch."""
        if state.is_world_process_zero:
            write_predictions(_of_epoch(self.checkpoints, state.global_step), self.dev.predictions)


def _of_epoch(checkpoints: Path, step: int) -> Path:
    return checkpoints / f"dev-{step}.jsonl"


def score_merged(job: TrainingJob, kept: Row, workspace: Path) -> tuple[Row, dict[str, Any] | None]:
    """Predict dev with merged weights as `bioner predict` does, in every process of the job.

    Args:
        job: A job whose entry merges weights.
        kept: The epoch whose weights are in the workspace's `model`, with its scores as trained.
        workspace: Holds `model` and, unless an earlier version trained it, its predictions of dev.

    Returns:
        The epoch with the scores of the merged weights; and for run.json the scores as trained and
        how the predictions differ. The epoch unchanged and None in processes other than the main
        one, and if the merged weights do not fit in memory.
    """
    clear_device_cache(garbage_collection=True)  # frees the model and optimiser of training
    PartialState().wait_for_everyone()  # the main one may be writing predictions
    checkpoints = workspace / "checkpoints"
    before, merged = _of_epoch(checkpoints, kept["step"]), workspace / "dev.jsonl"
    if PartialState().is_main_process:  # shards know weights by the time of their files
        written = (folder_of(checkpoints, kept["step"]) / MANIFEST).stat().st_mtime_ns
        for path in (workspace / "model").rglob("*"):
            os.utime(path, ns=(written, written))
    if not before.is_file():  # earlier versions did not keep them
        _predict(job, workspace / "model", before, "as-trained")
    try:
        _predict(job, workspace / "model", merged, "merged")
    except NoMemoryLeft as error:
        if job.processes > 1:  # the others wait for this one
            raise
        log.warning("%s Dev scores in run.json are of the weights as trained.", error)
        return kept, None
    if not PartialState().is_main_process:
        return kept, None
    predictions = read_predictions(merged, job.dev)
    scores = headline_f1(job.dev, predictions)
    agreement = compare_predictions(job.dev, predictions, read_predictions(before, job.dev))
    log.info(
        "train %s: dev strict F1 %.2f with merged weights, %+.2f; %d of %d entities differ",
        job.name,
        scores["strict"],
        agreement.difference,
        agreement.differing,
        agreement.entities,
    )
    if agreement.fault:
        log.warning(
            "train %s: merging changes the predictions on dev: %s; with predict.weights:"
            " as-trained the model predicts unmerged",
            job.name,
            agreement.fault,
        )
    names = [f"dev_{scheme}_f1" for scheme in scores]
    as_trained = {name: kept[name] for name in names} | agreement._asdict()
    return {**kept, **dict(zip(names, scores.values(), strict=True))}, as_trained


def _predict(job: TrainingJob, model: Path, out: Path, weights: str) -> None:
    """Write the predictions of dev as `bioner predict` and `bioner realign` make them."""
    gpus = min(job.entry.resources.gpus, job.processes)  # Slurm may have given fewer
    entry = job.entry.changed(
        predict={"weights": weights, "draft": "table"}, resources={"predict_gpus": gpus}
    )
    is_llm, processes = entry.family == "llm", PartialState()
    decoding, raw = "constrained" if is_llm else "direct", out.with_suffix(".raw.jsonl")
    processes.wait_for_everyone()  # the main one may be writing the model
    if is_llm or processes.is_main_process:
        predict_to(
            PredictionJob(job.name, entry, job.dev, job.train, model, decoding, job.seed), raw
        )
    if processes.is_main_process:
        legal = frozenset(tag_set(entity_types([*job.train, *job.dev])))
        write_predictions(out, realign_all(job.dev, read_raw(raw, job.dev), legal)[0])
    processes.wait_for_everyone()
