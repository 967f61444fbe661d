"""What published numbers are held against, read from results and data; what cannot be read is told, not raised."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from bioner.corpora.statistics import STATISTICS, read_statistics
from bioner.errors import InputError
from bioner.instances import Instance, Prediction, read_instances, read_predictions
from bioner.reporting.predicted import NOT_SCORED
from bioner.reporting.soundness import checksums_of, faults
from bioner.reporting.tables import LIKE_THE_PAPER
from bioner.scoring.bounds import BOUNDS, MEASURES, prf_intervals
from bioner.scoring.pairs import Pair
from bioner.scoring.paper import SCORER, paper_tallies
from bioner.scoring.score import read_scores, together
from bioner.scoring.table import SCORE_SCHEMA
from bioner.scoring.tally import Tally
from bioner.tables import Schema
from bioner.timing import TIMING, read_timing

RUN = ("dataset", "model", "seed", "decoding")
RUN_BOUNDS: Schema = {
    **{name: SCORE_SCHEMA[name] for name in RUN},
    **{name: kind for name, kind in BOUNDS.items() if name != "run"},
}


@dataclass(frozen=True, slots=True)
class Evidence:
    """Kept frames, intervals of the paper's scores, and why others are not there.

    `bounds` have a row a run, scheme, stratum and measure. `faults` say what is wrong with the `statistics` of a
    (dataset, ""), and with `scores`, `timing` and `predictions` of a (dataset, model).
    """

    statistics: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=STATISTICS))
    scores: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=SCORE_SCHEMA))
    timing: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=TIMING))
    bounds: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=RUN_BOUNDS))
    faults: dict[tuple[str, str, str], str] = field(default_factory=dict)


def read_evidence(
    results: Path, data: Path, datasets: Sequence[str], models: Sequence[str], resamples: int, seed: int
) -> Evidence:
    """Read every sound file of these cells; `resamples` documents are drawn for the intervals of precision and recall.

    InputError where the folders themselves are not there.
    """
    for folder, what in ((results, "results folder DATASET/MODEL/…"), (data, "data folder DATASET/…")):
        if not folder.is_dir():
            raise InputError(folder, "no such folder", f"a {what}", "Check the path, or run the pipeline first.")
    evidence = Evidence()
    parts: dict[str, list[pl.DataFrame]] = {"statistics": [], "scores": [], "timing": []}

    def add(kind: str, dataset: str, model: str, path: Path, read: Callable[[Path], pl.DataFrame]) -> None:
        if not path.is_file():
            return
        try:
            parts[kind].append(_of(path, read(path), {"dataset": dataset} | ({"model": model} if model else {})))
        except InputError as error:
            evidence.faults[kind, dataset, model] = str(error)

    for dataset in datasets:
        checksums = checksums_of(data / dataset)
        add("statistics", dataset, "", data / dataset / "stats.csv", read_statistics)
        for model in models:
            cell = results / dataset / model
            add("scores", dataset, model, cell / "scores.csv", partial(_sound, checksums))
            add("timing", dataset, model, cell / "timing.csv", read_timing)
    frames = {
        kind: pl.concat([getattr(evidence, kind), *found], how="diagonal_relaxed") for kind, found in parts.items()
    }
    bounds, faults = run_bounds(results, data, frames["scores"], resamples, seed)
    return Evidence(**frames, bounds=bounds, faults=evidence.faults | faults)


def _sound(checksums: Mapping[str, str], path: Path) -> pl.DataFrame:
    """The scores of a cell, whose runs are of this data and of one configuration."""
    table = together([read_scores(path)])
    runs = table.select("seed", "decoding").unique().sort(pl.all()).rows()
    if reasons := list(faults(path.parent, runs, checksums, None)):
        raise InputError(path.parent, "; ".join(reasons), "runs of one configuration on this data", "Run it again.")
    return table


def run_bounds(
    results: Path, data: Path, scores: pl.DataFrame, resamples: int, seed: int
) -> tuple[pl.DataFrame, dict[tuple[str, str, str], str]]:
    """Intervals of every run that is decoded like the paper's, from its predictions, and what is wrong with others.

    Predictions count only where they give the very precision, recall and F1 of the score table.
    """
    frames = [pl.DataFrame(schema=RUN_BOUNDS)]
    faults: dict[tuple[str, str, str], str] = {}
    for (dataset,), of_dataset in scores.group_by("dataset", maintain_order=True):
        name = str(dataset)
        try:
            gold = read_instances(data / name / "test.jsonl")
        except InputError as error:
            faults |= {("predictions", name, model): str(error) for model in of_dataset["model"].unique()}
            continue
        found = []
        for (model,), cell in of_dataset.group_by("model", maintain_order=True):
            try:
                found += list(_runs(results / name / str(model), gold, cell))
            except InputError as error:
                faults["predictions", name, str(model)] = str(error)
        table = prf_intervals(gold, [predictions for _, predictions in found], _published_rows, resamples, seed)
        whose = pl.DataFrame([run for run, _ in found], schema=dict.fromkeys(RUN), orient="row")
        whose = whose.select(pl.col(key).cast(SCORE_SCHEMA[key]) for key in RUN).with_row_index("run")
        table = table.join(whose.with_columns(pl.col("run").cast(pl.Int64)), on="run", maintain_order="left")
        stale = _stale(table, of_dataset)
        faults |= {("predictions", name, model): NOT_SCORED for _, model, _, _ in stale.iter_rows()}
        frames.append(table.join(stale, on=list(RUN), how="anti").select(list(RUN_BOUNDS)))
    return pl.concat(frames), faults


def decoding_of(scores: pl.DataFrame) -> str | None:
    """The decoding of a cell's scores that is like the paper's."""
    there = set(scores["decoding"])
    return next((decoding for decoding in LIKE_THE_PAPER if decoding in there), None)


Run = tuple[Any, ...]  # dataset, model, seed, decoding


def _runs(cell: Path, gold: Sequence[Instance], scores: pl.DataFrame) -> Iterator[tuple[Run, list[Prediction]]]:
    """Every run of a cell whose predictions are kept."""
    decoding = decoding_of(scores)
    for run in scores.filter(decoding=decoding).select(RUN).unique(maintain_order=True).iter_rows():
        path = cell / f"seed{run[2]}" / run[3] / "predictions.jsonl"
        if path.is_file():
            yield run, read_predictions(path, gold)


def _published_rows(pairs: Sequence[Pair]) -> Iterator[Tally]:
    """Table III has strict scores, Table V relaxed ones overall."""
    return (row for row in paper_tallies(pairs) if row.scheme == "strict" or row.stratum == "all")


def _stale(bounds: pl.DataFrame, scores: pl.DataFrame) -> pl.DataFrame:
    """Runs with a score that their predictions do not give."""
    keys = [*RUN, "scorer", "scheme", "stratum"]
    rows = scores.filter(scorer=SCORER, label="all").unpivot(
        MEASURES, index=keys, variable_name="measure", value_name="score"
    )
    both = bounds.join(rows, on=[*keys, "measure"], how="left", nulls_equal=True)
    value, score = (both[name].fill_null(np.nan).to_numpy() for name in ("value", "score"))
    same = np.isclose(value, score, rtol=0, atol=1e-6, equal_nan=True)
    return both.filter(~same).select(RUN).unique()


def _of(path: Path, table: pl.DataFrame, whose: dict[str, str]) -> pl.DataFrame:
    """The table, which is to have rows of this cell alone."""
    for found in table.select(*whose).unique().iter_rows(named=True):
        if found != whose:
            named, wanted = (" by ".join(map(str, names.values())) for names in (found, whose))
            raise InputError(path, f"rows of {named}", f"{wanted} alone", "Remake the file, or move it.")
    return table
