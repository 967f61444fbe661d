"""The best encoder and the best LLM of a dataset, chosen on dev: the test set has no say in what is compared on it."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import polars as pl

from bioner.errors import InputError
from bioner.scoring.score import read_scores
from bioner.tables import Schema, read_table

SELECTION: Schema = {
    "dataset": pl.String,
    "family": pl.String,
    "model": pl.String,
    "decoding": pl.String,
    "seeds": pl.Int64,
    "dev_f1": pl.Float64,
    "chosen": pl.Boolean,
}


def select(candidates: Mapping[str, Sequence[Path]]) -> pl.DataFrame:
    """Mean strict F1 on dev of every candidate, by family, from score files of dev predictions; one a family is chosen.

    The highest mean over seeds is; of equal ones the first by name. F1 in percent; undefined counts as 0.
    """
    rows = []
    for family, paths in candidates.items():
        scores = pl.concat([read_scores(path) for path in paths])
        strict = scores.filter(scorer="semeval", scheme="strict", stratum="all", label="all")
        means = strict.group_by("dataset", "model", "decoding").agg(
            pl.lit(family).alias("family"),
            pl.len().cast(pl.Int64).alias("seeds"),
            pl.col("f1").fill_null(0.0).mean().alias("dev_f1"),
        )
        ranked = means.sort(pl.col("dev_f1"), pl.col("model"), descending=[True, False])
        if ranked.is_empty() or ranked["dataset"].n_unique() > 1:
            found = "no strict score" if ranked.is_empty() else "scores of several datasets"
            raise InputError(paths[0], found, "dev scores of one dataset", "Name the dev/scores.csv of one dataset.")
        rows.append(ranked.with_columns(chosen=pl.int_range(pl.len()) == 0))
    return pl.concat(rows).select(list(SELECTION))


def read_selection(path: Path) -> pl.DataFrame:
    """A selection file, with its columns checked."""
    return read_table(path, SELECTION)
