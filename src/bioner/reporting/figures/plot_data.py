"""Tables as figures take them: their columns there and of their kind, numbers finite or unknown."""

from collections.abc import Iterable, Mapping, Sequence

import polars as pl

from bioner.reporting.figures.styles import SeriesStyle
from bioner.settings.catalogue import HEADLINE


def cleaned(
    table: pl.DataFrame, texts: Sequence[str], numbers: Sequence[str], needed: Sequence[str]
) -> pl.DataFrame:
    """These columns alone, as they were made or as read back from CSV; rows without a value in
    `needed` are left out.

    Columns that are not there are without a value; so are numbers that are none, or infinite.
    """
    missing = [pl.lit(None).alias(name) for name in (*texts, *numbers) if name not in table.columns]
    finite = [
        pl.when(pl.col(name).cast(pl.Float64, strict=False).is_finite())
        .then(pl.col(name).cast(pl.Float64, strict=False))
        .alias(name)
        for name in numbers
    ]
    return (
        table.with_columns(missing)
        .select(*(pl.col(name).cast(pl.String) for name in texts), *finite)
        .drop_nulls(list(needed))
    )


def names_in(frame: pl.DataFrame, column: str) -> list[str]:
    """What stands in a column, each once, in the order of the rows."""
    return [str(name) for name in frame[column].drop_nulls().unique(maintain_order=True)]


def headlines(frame: pl.DataFrame) -> pl.DataFrame:
    """Rows of the decoding that a model is compared by: of each dataset and model, the last of
    HEADLINE.
    """
    return _ranked(frame, HEADLINE)


def like_the_paper(frame: pl.DataFrame) -> pl.DataFrame:
    """Rows of the decoding nearest to the paper's, of each dataset and model: free generation, if
    there is any.
    """
    return _ranked(frame, ("constrained", "free", "free-paper", "direct"))


def of_controls(styles: Mapping[str, SeriesStyle]) -> pl.Expr:
    """Whether a row is of a control."""
    return pl.col("model").is_in(
        [name for name, style in styles.items() if style.family == "control"]
    )


def without_trivial(frame: pl.DataFrame, styles: Mapping[str, SeriesStyle]) -> pl.DataFrame:
    """Rows without those of controls that have an F1 of 0, or of 100, everywhere: what they score
    says nothing.
    """
    trivial = pl.col("f1").is_in([0.0]).all() | pl.col("f1").is_in([100.0]).all()
    return frame.filter(~(of_controls(styles) & trivial.over("model")))


def trained(frame: pl.DataFrame, styles: Mapping[str, SeriesStyle]) -> pl.DataFrame:
    """Rows of models that are trained; of controls where there are no others."""
    rows = frame.filter(~of_controls(styles))
    return without_trivial(frame, styles) if rows.is_empty() else rows


def counted(number: int, noun: str) -> str:
    """A number of things in words."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def listed(names: Iterable[str]) -> str:
    """Names in a sentence."""
    *others, last = [*names] or [""]
    return f"{', '.join(others)} and {last}" if others else last


def _ranked(frame: pl.DataFrame, order: Sequence[str]) -> pl.DataFrame:
    rank = pl.col("decoding").replace_strict(
        order, range(len(order)), default=-1, return_dtype=pl.Int64
    )
    return frame.filter(rank == rank.max().over("dataset", "model"))
