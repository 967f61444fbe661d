"""Tables as figures need them: columns present and typed, numbers finite or null."""

from collections.abc import Iterable, Sequence

import polars as pl

from bioner.reporting.tables import CONTROLS
from bioner.settings.catalogue import HEADLINE


def cleaned(
    table: pl.DataFrame, texts: Sequence[str], numbers: Sequence[str], needed: Sequence[str]
) -> pl.DataFrame:
    """Select columns of a table, made or read from CSV, and drop rows with nulls in `needed`.

    Missing columns become null, and so do numbers that are NaN, infinite or not numeric.
    """
    missing = [pl.lit(None).alias(name) for name in (*texts, *numbers) if name not in table.columns]
    values = pl.col(list(numbers)).cast(pl.Float64, strict=False)
    return (
        table.with_columns(missing)
        .select(pl.col(list(texts)).cast(pl.String), pl.when(values.is_finite()).then(values))
        .drop_nulls(list(needed))
    )


def families_of(*tables: pl.DataFrame) -> dict[str, str]:
    """Guess the family of every model from its decodings and the names of controls."""
    systems = pl.concat(cleaned(table, ["model", "decoding"], [], ["model"]) for table in tables)
    found: dict[str, str] = {}
    for model, decoding in systems.unique(maintain_order=True).rows():
        if decoding not in (None, "direct"):
            found[model] = "llm"
        else:
            found.setdefault(model, "control" if model in CONTROLS else "encoder")
    return found


def in_one_decoding(frame: pl.DataFrame, order: Sequence[str] = HEADLINE) -> pl.DataFrame:
    """Keep, per dataset and model, the decoding that comes last in `order`."""
    ranks = range(len(order))
    rank = pl.col("decoding").replace_strict(order, ranks, default=-1, return_dtype=pl.Int64)
    return frame.filter(rank == rank.max().over("dataset", "model"))


def counted(number: int, noun: str) -> str:
    """Return a number and its noun, in the plural if needed."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def listed(names: Iterable[str]) -> str:
    """Join names as in a sentence."""
    *others, last = [*names] or [""]
    return f"{', '.join(others)} and {last}" if others else last
