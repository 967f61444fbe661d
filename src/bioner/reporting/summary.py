"""Strict and relaxed scores of a finished report, for the terminal."""

from pathlib import Path

import polars as pl

from bioner.errors import InputError
from bioner.io.tables import as_markdown

KEY = ["dataset", "model", "decoding"]
MEASURES = ("precision", "recall", "f1")


def summary(folder: Path) -> str:
    """Return strict and relaxed scores of a report folder as text; cells without are left out."""
    strict, relaxed = (
        _existing_table(folder / f"{name}.csv") for name in ("table3_strict", "table5_relaxed")
    )
    scored = strict.filter(pl.col("length") == "all", pl.col("decoding").is_not_null())
    joined = scored.select(*KEY, *(pl.col(name).alias(f"strict {name}") for name in MEASURES)).join(
        relaxed.select(*KEY, *(pl.col(name).alias(f"relaxed {name}") for name in MEASURES)),
        on=KEY,
        how="left",
        maintain_order="left",
    )
    return as_markdown(joined)


def _existing_table(path: Path) -> pl.DataFrame:
    try:
        table = pl.read_csv(path, glob=False)
    except (OSError, pl.exceptions.PolarsError):
        table = pl.DataFrame()
    if not {*KEY, *MEASURES} <= set(table.columns):
        raise InputError(path, "no such table", "a report folder", "Run `bioner report` first.")
    return table
