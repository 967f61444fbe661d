"""The predictions that a report shows errors of: which these are, and what they have otherwise than
gold.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import polars as pl

from bioner.data.instances import Instance, Prediction, read_instances, read_predictions
from bioner.errors import InputError
from bioner.reporting.disagreements import (
    ERRORS,
    Disagreements,
    ReportedSystem,
    disagreements,
    mentions,
)
from bioner.results import layout
from bioner.scoring.labels import PAPER_CUTS
from bioner.settings.catalogue import HEADLINE

NOT_SCORED = "the kept predictions are not those that were scored: score them again"


@dataclass(frozen=True, slots=True)
class ErrorReport:
    """The disagreements of every dataset, and which predictions are not among them: dataset, model,
    why.
    """

    datasets: Sequence[Disagreements]
    skipped: Sequence[tuple[str, str, str]]

    @property
    def counts(self) -> pl.DataFrame:
        """Errors of all datasets by system, length and kind."""
        return pl.concat([pl.DataFrame(schema=ERRORS), *(each.counts for each in self.datasets)])


def headline_systems(scores: pl.DataFrame) -> dict[str, list[ReportedSystem]]:
    """By dataset, one prediction file a scored model: its headline decoding, the first seed."""
    cells: dict[tuple[str, str], ReportedSystem] = {}
    for dataset, *whose in (
        scores.select("dataset", "model", "decoding", "seed").unique(maintain_order=True).rows()
    ):
        system = ReportedSystem(*whose)
        cell = dataset, system.model
        cells[cell] = min(cells.get(cell, system), system, key=_headline_first)
    datasets: dict[str, list[ReportedSystem]] = {}
    for (dataset, _), system in cells.items():
        datasets.setdefault(dataset, []).append(system)
    return datasets


def _headline_first(system: ReportedSystem) -> tuple[int, int]:
    return -HEADLINE.index(system.decoding) if system.decoding in HEADLINE else 1, system.seed


def length_cuts(scores: pl.DataFrame) -> list[int]:
    """The length buckets that score tables have, as cuts: rows `1`, `2` and `3+` say 1 and 2."""
    names = scores.filter(scorer="semeval", label="all")["stratum"].unique()
    uppers = [name.rpartition("-")[2] for name in names]
    return sorted(int(upper) for upper in uppers if upper.isascii() and upper.isdigit()) or list(
        PAPER_CUTS
    )


def read_disagreements(
    results: Path,
    data: Path,
    cells: Mapping[str, Sequence[ReportedSystem]],
    may_show: Callable[[str], bool],
    cuts: Sequence[int] = PAPER_CUTS,
    scores: pl.DataFrame | None = None,
) -> ErrorReport:
    """The errors in kept prediction files; those that are missing or broken are skipped, and the
    reason is kept.

    So are those that are not what was scored, where `scores` are given. `may_show` says whether the
    text of a dataset may be shown; of the others there are counts alone.
    """
    datasets: list[Disagreements] = []
    skipped: list[tuple[str, str, str]] = []
    for dataset, systems in cells.items():
        try:
            gold = read_instances(data / dataset / "test.jsonl")
        except InputError as error:
            skipped += [(dataset, system.model, str(error)) for system in systems]
            continue
        predictions: dict[ReportedSystem, list[Prediction]] = {}
        for system in systems:
            run = dataset, system.model, system.seed, system.decoding
            try:
                predictions[system] = read_predictions(
                    results / layout.run_path(layout.PREDICTIONS, *run), gold
                )
            except InputError as error:
                skipped.append((dataset, system.model, str(error)))
        if predictions:
            train = _read_train(data / dataset / "train.jsonl")
            known = None if train is None else mentions(train)
            examine = partial(
                disagreements, dataset, gold, closed=not may_show(dataset), cuts=cuts, train=known
            )
            found = examine(predictions)
            if scores is not None and (others := _not_scored(found.counts, scores)):
                skipped += [(dataset, system.model, NOT_SCORED) for system in others]
                found = examine(
                    {system: each for system, each in predictions.items() if system not in others}
                )
            datasets.append(found)
    return ErrorReport(datasets, skipped)


def _not_scored(counts: pl.DataFrame, scores: pl.DataFrame) -> set[ReportedSystem]:
    """Systems whose predictions have other counts than their scores."""
    keys = ["dataset", "model", "decoding", "seed"]
    strict = scores.filter(scorer="semeval", scheme="strict", stratum="all", label="all")
    both = counts.filter(length="all").join(
        strict.select(*keys, "possible", "actual", found="correct"), on=keys
    )
    pairs = (("correct", "found"), ("gold_entities", "possible"), ("predictions", "actual"))
    differs = pl.any_horizontal(pl.col(one).ne_missing(pl.col(other)) for one, other in pairs)
    return {
        ReportedSystem(*row)
        for row in both.filter(differs).select("model", "decoding", "seed").iter_rows()
    }


def _read_train(path: Path) -> Sequence[Instance] | None:
    """Train is asked for one mark beside each mention: without it, there is none."""
    try:
        return read_instances(path)
    except InputError:
        return None
