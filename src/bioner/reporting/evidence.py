"""What published numbers are held against, read from results and data; what cannot be read is told, not raised."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import polars as pl

from bioner.corpora.statistics import STATISTICS, read_statistics
from bioner.errors import InputError
from bioner.inference.timing import TIMING, read_timing
from bioner.reporting.tables import LIKE_THE_PAPER
from bioner.results.consistency import checksums_of, find_mismatches
from bioner.scoring.score import concat_scores, read_scores
from bioner.scoring.table import SCORE_SCHEMA


@dataclass(frozen=True, slots=True)
class Evidence:
    """The tables of a result tree, and why others are not there.

    `faults` say what is wrong with the `statistics` of a (dataset, ""), and with `scores` and `timing` of a (dataset,
    model).
    """

    statistics: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=STATISTICS))
    scores: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=SCORE_SCHEMA))
    timing: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=TIMING))
    faults: dict[tuple[str, str, str], str] = field(default_factory=dict)


def read_evidence(results: Path, data: Path, datasets: Sequence[str], models: Sequence[str]) -> Evidence:
    """Read every sound file of these cells; InputError if the folders themselves are not there."""
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
    return Evidence(**frames, faults=evidence.faults)


def _sound(checksums: Mapping[str, str], path: Path) -> pl.DataFrame:
    """The scores of a cell, whose runs are of this data and of one configuration."""
    table = concat_scores([read_scores(path)])
    runs = table.select("seed", "decoding").unique().sort(pl.all()).rows()
    if reasons := list(find_mismatches(path.parent, runs, checksums, None)):
        raise InputError(path.parent, "; ".join(reasons), "runs of one configuration on this data", "Run it again.")
    return table


def decoding_of(scores: pl.DataFrame) -> str | None:
    """The decoding of a cell's scores that is like the paper's."""
    there = set(scores["decoding"])
    return next((decoding for decoding in LIKE_THE_PAPER if decoding in there), None)


def _of(path: Path, table: pl.DataFrame, whose: dict[str, str]) -> pl.DataFrame:
    """The table, which is to have rows of this cell alone."""
    for found in table.select(*whose).unique().iter_rows(named=True):
        if found != whose:
            named, wanted = (" by ".join(map(str, names.values())) for names in (found, whose))
            raise InputError(path, f"rows of {named}", f"{wanted} alone", "Remake the file, or move it.")
    return table
