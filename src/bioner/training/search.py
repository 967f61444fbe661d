"""Hyper-parameter search on dev: rank trials, and say which values won."""

import json
import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from math import comb
from pathlib import Path
from typing import Any

import polars as pl
from pydantic import ValidationError

from bioner.errors import InputError
from bioner.io.files import parse_json, read_text
from bioner.io.records import KeptWeights, Record, RunRecord, TrialRecord, read_record
from bioner.io.tables import Schema, read_table
from bioner.settings.model_entry import ModelEntry, Train

log = logging.getLogger(__name__)

HYPERPARAMETERS: Schema = {
    "learning_rate": pl.Float64,
    "head_learning_rate": pl.Float64,
    "batch_size": pl.Int64,
    "epochs": pl.Float64,
    "warmup_ratio": pl.Float64,
    "weight_decay": pl.Float64,
}
SEARCH: Schema = {
    "trial": pl.String,
    "winner": pl.Boolean,
    **HYPERPARAMETERS,
    "best_epoch": pl.Float64,
    "dev_strict_f1": pl.Float64,
    "dev_relaxed_f1": pl.Float64,
    "dev_loss": pl.Float64,
    "seconds": pl.Float64,
    "gpu_hours": pl.Float64,
    "energy_kwh": pl.Float64,
    "peak_memory_gb": pl.Float64,
    "peak_gpu_memory_gb": pl.Float64,
    "trials": pl.Int64,
    "expected_best_dev_f1": pl.Float64,
}


class Winner(Record):
    """What winner.json says: which trial won, with which values, and its dev scores."""

    trial: str
    seed: int | None = None
    train: dict[str, Any]
    kept: KeptWeights = KeptWeights()


SEARCHABLE = Train.model_fields.keys()


@dataclass(frozen=True, slots=True)
class Trial:
    """A finished trial: its folder, its run.json, and what that says of trial and settings."""

    folder: Path
    record: RunRecord
    trial: TrialRecord
    entry: ModelEntry

    @property
    def name(self) -> str:
        return self.folder.name

    @property
    def lacks_merged_scores(self) -> bool:
        """Whether merged weights predict, but an earlier version scored dev as trained only."""
        record = self.record
        scored = record.kept.dev_strict_f1 is not None
        return scored and self.entry.merges() and record.as_trained is None

    @property
    def merit(self) -> tuple[bool, float, bool, float, str]:
        """A key to sort by, best first: higher strict F1 on dev, then lower dev loss, then name."""
        f1, loss = self.record.kept.dev_strict_f1, self.record.kept.dev_loss
        return f1 is None, -(f1 or 0.0), loss is None, loss or 0.0, self.name

    @property
    def common(self) -> str:
        """What trials of one search have in common: all but the settings searched over."""
        settings = self.entry.training_settings()
        for name in self.trial.over:
            settings["train"].pop(name, None)
        record = self.record
        return json.dumps(
            [settings, sorted(self.trial.over), record.seed, record.data.model_dump()],
            sort_keys=True,
        )


def read_trial(folder: Path) -> Trial:
    """Read a finished trial.

    Raises:
        InputError: If the folder holds none, or that of another folder.
    """
    path = folder.resolve() / "run.json"
    record = read_record(path)
    trial, entry, name = record.trial, record.entry, path.parent.name
    remedy = "Remove its folder and run the same command again."
    is_whole = record.kept.model_fields_set == KeptWeights.model_fields.keys()
    if (
        trial is None
        or entry is None
        or not is_whole
        or not set(trial.over) <= SEARCHABLE
        or not record.wall_seconds
    ):
        expected = "what `bioner train --searched` wrote"
        raise InputError(path, "no record of a trial", expected, remedy)
    if trial.name != name:
        expected = f"one named as its folder, {name!r}"
        raise InputError(path, f"the trial {trial.name!r}", expected, remedy)
    return Trial(path.parent, record, trial, entry)


def rank(trials: Iterable[Trial], as_trained: bool = False) -> list[Trial]:
    """Sort trials by merit, best first.

    Args:
        trials: The trials of one search.
        as_trained: Compare dev scores of the weights as trained even if the merged weights have
            scores. Implied if the scores of some trial's merged weights are missing.

    Raises:
        InputError: If trials differ in more than they search over, or all diverged.
    """
    trials = list(trials)
    if older := [trial.name for trial in trials if trial.lacks_merged_scores]:
        log.warning(
            "search: no dev scores of merged weights in %s: all trials are compared by those of the"
            " weights as trained, although the reported models predict with merged weights",
            ", ".join(older),
        )
    if older or as_trained:
        trials = [replace(each, record=each.record.scored_as_trained()) for each in trials]
    ranked = sorted(trials, key=lambda trial: trial.merit)
    for other in ranked[1:]:
        if other.common != ranked[0].common:
            raise InputError(
                "search",
                f"other settings, data or seeds in {ranked[0].name} and {other.name}",
                "trials that differ in what is searched over",
                "Train both again.",
            )
    if ranked[0].record.kept.dev_loss is None:
        names = ", ".join(trial.name for trial in ranked)
        raise InputError(
            "search",
            f"no trial that did not diverge among {names}",
            "a finite loss in one of them",
            "Search lower learning rates.",
        )
    return ranked


def search_table(ranked: Sequence[Trial]) -> pl.DataFrame:
    """Return `search.csv`: a row per trial, the winner first.

    `expected_best_dev_f1` is what a budget of `trials` trials would have given on average: the
    expected best of that many drawn without replacement (after Dodge et al. 2019, "Show Your Work";
    unbiased as in Tang et al. 2020). A trial that diverged counts as 0; without any F1 it is empty.
    """
    scores = [trial.record.kept.dev_strict_f1 for trial in ranked]
    scored = any(score is not None for score in scores)
    expected = expected_best([score or 0.0 for score in scores]) if scored else [None] * len(scores)
    rows = [
        {
            "trial": trial.name,
            "winner": number == 0,
            **{name: getattr(trial.entry.train, name) for name in HYPERPARAMETERS},
            "best_epoch": trial.record.kept.epoch,
            **trial.record.kept.model_dump(exclude={"epoch", "step"}),
            "seconds": trial.record.wall_seconds,
            "gpu_hours": gpu_hours(trial.record),
            "energy_kwh": trial.record.energy_kwh,
            "peak_memory_gb": trial.record.peak_memory_gb,
            "peak_gpu_memory_gb": trial.record.peak_gpu_memory_gb,
            "trials": number + 1,
            "expected_best_dev_f1": best,
        }
        for number, (trial, best) in enumerate(zip(ranked, expected, strict=True))
    ]
    return pl.DataFrame(rows, schema=SEARCH)


def read_search(path: Path) -> pl.DataFrame:
    """Read `search.csv`; raise InputError if it is something else or has not one winner, first."""
    table = read_table(path, SEARCH, ["trial", "winner"])
    if table["winner"].to_list() != [number == 0 for number in range(len(table))] or not len(table):
        found, expected = "not one winner, first", "what `bioner search` wrote"
        raise InputError(path, found, expected, "Remake it with `bioner search`.")
    return table


def expected_best(scores: Sequence[float]) -> list[float]:
    """Return the mean of the best of n scores drawn without replacement, for n from 1 to all.

    Of N scores in ascending order the k-th is the best of n in C(k-1, n-1) of C(N, n) draws.
    """
    ascending, count = sorted(scores), len(scores)
    return [
        sum(comb(place, drawn - 1) * score for place, score in enumerate(ascending))
        / comb(count, drawn)
        for drawn in range(1, count + 1)
    ]


def winner_of(ranked: Sequence[Trial]) -> Winner:
    """Return the trial that won, with its values and dev scores."""
    best = ranked[0]
    values = {name: getattr(best.entry.train, name) for name in sorted(best.trial.over)}
    return Winner(trial=best.name, seed=best.record.seed, train=values, kept=best.record.kept)


def read_winner(path: Path) -> Winner:
    """Read winner.json; raise InputError if it is something else."""
    try:
        winner = Winner.model_validate(parse_json(read_text(path), str(path), whole_file=True))
    except ValidationError:
        winner = None
    if winner is None or Path(winner.trial).name != winner.trial:
        raise InputError(
            path, "no winner", "what `bioner search` wrote", "Remake it with `bioner search`."
        )
    return winner


def gpu_hours(record: RunRecord) -> float:
    """Return the wall time of a training times its GPUs."""
    return (record.wall_seconds or 0.0) / 3600 * len(record.gpus_of("train"))
