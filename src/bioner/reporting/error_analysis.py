"""The predictions whose errors a report shows, and how they differ from gold."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import polars as pl

from bioner.data.instances import Prediction, read_instances, read_predictions
from bioner.errors import InputError
from bioner.reporting.disagreements import (
    ERRORS,
    Disagreements,
    Mention,
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
    """Disagreements by dataset, and the predictions left out: dataset, model, reason."""

    datasets: Sequence[Disagreements]
    skipped: Sequence[tuple[str, str, str]]

    @property
    def counts(self) -> pl.DataFrame:
        """Errors of all datasets by system, length and kind."""
        return pl.concat([pl.DataFrame(schema=ERRORS), *(each.counts for each in self.datasets)])


def headline_systems(scores: pl.DataFrame) -> dict[str, list[ReportedSystem]]:
    """By dataset, one prediction file per scored model: its headline decoding, the first seed."""
    order = pl.col("decoding").replace_strict(HEADLINE[::-1], range(len(HEADLINE)), default=None)
    chosen = scores.group_by("dataset", "model", maintain_order=True).agg(
        pl.col("decoding", "seed").sort_by(order, "seed", nulls_last=True).first()
    )
    datasets: dict[str, list[ReportedSystem]] = {}
    for dataset, *whose in chosen.iter_rows():
        datasets.setdefault(dataset, []).append(ReportedSystem(*whose))
    return datasets


def length_cuts(scores: pl.DataFrame) -> list[int]:
    """Return the upper ends of a score table's length buckets: 1 and 2 for `1`, `2`, `3+`."""
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
    scores: pl.DataFrame,
) -> ErrorReport:
    """Read the errors in prediction files; skip files that are missing, broken or not as scored.

    Args:
        cells: Systems by dataset.
        may_show: Whether the text of a dataset may be shown; of others there are only counts.
        scores: The scores of these systems, which also say at which lengths to count.
    """
    cuts = length_cuts(scores)
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
            path = results / layout.run_path(layout.PREDICTIONS, *run)
            try:
                predictions[system] = read_predictions(path, gold)
            except InputError as error:
                skipped.append((dataset, system.model, str(error)))
        if not predictions:
            continue
        train = _train_mentions(data / dataset / "train.jsonl")
        examine = partial(
            disagreements, dataset, gold, closed=not may_show(dataset), cuts=cuts, train=train
        )
        found = examine(predictions)
        if others := _not_scored(found.counts, scores):
            skipped += [(dataset, system.model, NOT_SCORED) for system in others]
            found = examine(
                {system: each for system, each in predictions.items() if system not in others}
            )
        datasets.append(found)
    return ErrorReport(datasets, skipped)


def _not_scored(counts: pl.DataFrame, scores: pl.DataFrame) -> list[ReportedSystem]:
    """Systems whose predictions have other counts than their scores."""
    scored = scores.filter(scorer="semeval", scheme="strict", stratum="all", label="all").rename(
        {"possible": "gold_entities", "actual": "predictions"}
    )
    same = ["dataset", "model", "decoding", "seed", "correct", "gold_entities", "predictions"]
    others = counts.filter(length="all").join(scored, on=same, how="anti", maintain_order="left")
    return [ReportedSystem(*row) for row in others.select("model", "decoding", "seed").iter_rows()]


def _train_mentions(path: Path) -> frozenset[Mention] | None:
    """The mentions of train; None if it cannot be read, and no mention is marked."""
    try:
        return mentions(read_instances(path))
    except InputError:
        return None
