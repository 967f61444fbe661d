"""Verdicts on differences: tests adjusted within families, with intervals of the same level."""

from collections.abc import Mapping

import numpy as np
import polars as pl

from bioner.comparison.components import Covers
from bioner.comparison.estimates import DISAGREE, LEVEL, bounds_at, quantile, tail, two_sided_p
from bioner.comparison.multiplicity import holm, holm_levels
from bioner.comparison.power import precision_of
from bioner.io.tables import Schema
from bioner.scoring.tally import Array, divided

ADJUSTMENT: Schema = {
    "adjustment": pl.String,
    "tests": pl.Int64,
    "p_adjusted": pl.Float64,
    "level": pl.Float64,
    "low": pl.Float64,
    "high": pl.Float64,
    "equivalence_level": pl.Float64,
    "equivalence_low": pl.Float64,
    "equivalence_high": pl.Float64,
}
LEVEL_OF = {"smallest_difference": "level", "smallest_margin": "equivalence_level"}
JUDGED: Schema = {
    **ADJUSTMENT,
    "verdict": pl.String,
    **{f"{name}{end}": pl.Float64 for name in LEVEL_OF for end in ("", "_low", "_high")},
}
NUMBERS = (
    *("difference", "ci_low", "ci_high", "p", "smallest_p", "df", "standard_error"),
    *("tests", "p_max_t", "critical", "critical_90", "margin"),
)
VARIES = pl.col("df_seeds").is_not_null() & pl.col("df").is_not_null()
Numbers = Mapping[str, Array]  # columns of rows with one adjustment
Columns = dict[str, Array | list[str]]


def judge(rows: pl.DataFrame) -> pl.DataFrame:
    """Judge differences: `higher` or `lower`, else `equivalent`, else `inconclusive`.

    Rows with the same `holm` are the tests of one family, adjusted by Holm's method; rows without
    it are judged as max-T has adjusted them. The interval of a row has the level of its test: that
    of its step in Holm's method, or that of its critical value in max-T. It holds 0 unless the
    difference is significant.

    `equivalent` needs a margin. It is the verdict of two one-sided tests (Schuirmann 1987),
    adjusted in the same families: the interval of twice their level lies inside the margin.

    Args:
        rows: Of a comparison table, with `holm` (name of a family, or null) and `margin` (in
            points, or null).

    Returns:
        The rows, in their order, with the columns JUDGED. Without a test the interval is the 95 %
        one, unadjusted. `equivalence_level` is that of each of the two one-sided tests.
    """
    rows = rows.with_columns(untested=_untested()).with_row_index("row")
    tested = pl.col("untested").is_null()
    parts = [
        rows.clear().with_columns(pl.lit(None, kind).alias(n) for n, kind in ADJUSTMENT.items())
    ]
    for (family, has_test), part in rows.group_by("holm", tested, maintain_order=True):
        numbers = {name: part[name].cast(pl.Float64).to_numpy() for name in NUMBERS}
        if not has_test:
            added = _unadjusted(numbers)
        elif family is None:
            added = _by_max_t(numbers)
        elif len(part) * numbers["smallest_p"].min() <= LEVEL:
            added = _by_holm(numbers)
        else:
            added = _unadjusted(numbers)
            reason = f"{len(part)} tests: no adjusted p can reach {LEVEL}"
            part = part.with_columns(untested=pl.lit(reason))
        columns = pl.DataFrame(added, nan_to_null=True)
        new = [name for name in ADJUSTMENT if name not in columns.columns]
        columns = columns.with_columns(pl.lit(None, ADJUSTMENT[name]).alias(name) for name in new)
        parts.append(
            part.with_columns(columns.select(pl.col(n).cast(k) for n, k in ADJUSTMENT.items()))
        )
    table = pl.concat(parts).sort("row").drop("row")
    significant = (pl.col("p_adjusted") <= LEVEL) & ((pl.col("low") > 0) | (pl.col("high") < 0))
    holds_zero = tested & ~significant
    table = table.with_columns(
        low=pl.when(holds_zero).then(pl.min_horizontal("low", 0.0)).otherwise("low"),
        high=pl.when(holds_zero).then(pl.max_horizontal("high", 0.0)).otherwise("high"),
    ).with_columns(
        pl.when(tested, pl.col("margin").is_not_null())
        .then(f"equivalence_{end}")
        .alias(f"equivalence_{end}")
        for end in ("low", "high")
    )
    table = table.with_columns(verdict=_verdict()).with_columns(_power(table))
    floats = [name for name, kind in JUDGED.items() if kind == pl.Float64]
    return table.with_columns(pl.when(pl.col(n).is_finite()).then(n).alias(n) for n in floats)


def word_of(verdict: str | None) -> str:
    """Return a verdict without its qualifiers."""
    return (verdict or "not tested").split(" (")[0]


def _untested() -> pl.Expr:
    """Say why a row has no test in its family; null if it has one."""
    left_out = pl.col("holm").is_null() & pl.col("family").is_null()
    two = pl.lit("two seeds")
    why = pl.when(_has_two_seeds()).then(two).otherwise(pl.lit(DISAGREE))
    return pl.col("untested").fill_null(pl.when(left_out).then(why))


def _has_two_seeds() -> pl.Expr:
    return pl.any_horizontal(pl.col("seeds", "baseline_seeds") == 2)


def _is_of_weights() -> pl.Expr:
    """Whether each side has a single run, and not both are controls."""
    learned = ~pl.col("deterministic").fill_null(False) | pl.col("df").is_null()
    return (pl.col("covers") == Covers.WEIGHTS) & learned


def _unadjusted(numbers: Numbers) -> Columns:
    level = np.full_like(numbers["difference"], LEVEL)
    return {"level": level, "low": numbers["ci_low"], "high": numbers["ci_high"]}


def _by_holm(numbers: Numbers) -> Columns:
    p_values, count = numbers["p"].tolist(), len(numbers["p"])
    level, one_sided = np.array(holm_levels(p_values, LEVEL)), np.full(count, LEVEL / count)
    if (bounded := ~np.isnan(numbers["margin"])).any():
        one_sided[bounded] = holm_levels(_equivalence_p(numbers)[bounded].tolist(), LEVEL)
    interval = [numbers[name] for name in ("difference", "ci_low", "ci_high", "df")]
    low, high = bounds_at(level, *interval)
    inner_low, inner_high = bounds_at(2 * one_sided, *interval)
    return {
        "adjustment": ["Holm"] * count,
        "tests": np.full(count, count),
        "p_adjusted": np.array(holm(p_values)),
        "level": level,
        "low": low,
        "high": high,
        "equivalence_level": one_sided,
        "equivalence_low": inner_low,
        "equivalence_high": inner_high,
    }


def _by_max_t(numbers: Numbers) -> Columns:
    difference, error, df = (numbers[name] for name in ("difference", "standard_error", "df"))
    critical = numbers["critical"]
    # No more lenient than the test of a row without the others.
    critical_90 = np.maximum(numbers["critical_90"], quantile(2 * LEVEL, df))
    # Where resampling gave p, it may be smaller than the interval says.
    t = np.where(difference == 0, 0.0, divided(np.abs(difference), error, np.inf))
    normal = np.where(np.isnan(df), 2 * tail(t, df), 0.0)
    return {
        "adjustment": ["max-T"] * len(df),
        "tests": numbers["tests"],
        "p_adjusted": np.maximum(numbers["p_max_t"], normal),
        "level": 2 * tail(critical, df),
        "low": difference - critical * error,
        "high": difference + critical * error,
        "equivalence_level": tail(critical_90, df),
        "equivalence_low": difference - critical_90 * error,
        "equivalence_high": difference + critical_90 * error,
    }


def _equivalence_p(numbers: Numbers) -> Array:
    """Return the larger p-value of the two one-sided tests against the margin."""
    difference, margin = numbers["difference"], numbers["margin"]
    low, high, df = numbers["ci_low"], numbers["ci_high"], numbers["df"]
    upper, lower = (two_sided_p(difference, low, high, df, side) / 2 for side in (margin, -margin))
    upper = np.where(difference < margin, upper, 1 - upper)
    lower = np.where(difference > -margin, lower, 1 - lower)
    return np.maximum(upper, lower)


def _verdict() -> pl.Expr:
    margin, apart = pl.col("margin"), (pl.col("low") > 0) | (pl.col("high") < 0)
    inside = (pl.col("equivalence_low") > -margin) & (pl.col("equivalence_high") < margin)
    word = (
        pl.when(pl.col("low") > 0)
        .then(pl.lit("higher"))
        .when(pl.col("high") < 0)
        .then(pl.lit("lower"))
        .when(inside)
        .then(pl.lit("equivalent"))
        .otherwise(pl.lit("inconclusive"))
    )
    qualifiers = {
        "below the margin": apart & (pl.col("difference").abs() < margin),
        "two seeds": _has_two_seeds(),
        "of these weights": _is_of_weights(),
    }
    said = [pl.when(holds).then(pl.lit(text)) for text, holds in qualifiers.items()]
    joined = pl.concat_str(said, separator="; ", ignore_nulls=True)
    untested = pl.col("untested")
    return (
        pl.when(untested == "one seed")
        .then(pl.lit("inconclusive (one seed)"))
        .when(untested.is_not_null())
        .then(pl.format("not tested ({})", untested))
        .when(joined == "")
        .then(word)
        .otherwise(pl.format("{} ({})", word, joined))
    )


def _power(table: pl.DataFrame) -> list[pl.Series]:
    """Return what the tests could have found, with a range if seeds vary."""
    tested = pl.col("untested").is_null()
    found = []
    for end, rows in (("", tested), ("_low", VARIES & tested), ("_high", VARIES & tested)):
        places, part = table.select(rows.fill_null(False)).to_series(), table.filter(rows)
        precision = precision_of(part)
        if end:
            precision = precision.at_ends()[end == "_high"]
        for name, level in LEVEL_OF.items():
            values = np.full(len(table), np.nan)
            values[places.to_numpy()] = getattr(precision, name)(part[level].to_numpy())
            found.append(pl.Series(f"{name}{end}", values, pl.Float64, nan_to_null=True))
    return found
