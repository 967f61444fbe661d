"""What a comparison could have shown: the smallest detectable difference, the smallest margin."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import polars as pl
from scipy.special import chdtri, nctdtrinc, ndtr, ndtri

from bioner.comparison.components import Covers, degrees_of_freedom, difference_of, scores_of
from bioner.comparison.counts import OVERALL, SystemCounts
from bioner.comparison.estimates import quantile
from bioner.comparison.measures import Scores, measures_of
from bioner.errors import InputError
from bioner.scoring.tally import Array, divided

POWER = 0.8
RANGE = 0.8  # of the interval for the variance between seeds
POWER_TABLE = {"disagreement": pl.Float64, "seed_deviation": pl.Float64}
CHANCES = (np.arange(50) + 0.5) / 50  # equally likely


@dataclass(frozen=True, slots=True)
class Precision:
    """How precisely a difference is known; arrays of one shape.

    Attributes:
        documents: Variance from documents, in squared points.
        df_documents: Its degrees of freedom; NaN for a test by resampling.
        seeds: Variance from seeds, of the difference of means.
        df_seeds: Its degrees of freedom; NaN without variance between seeds.
    """

    documents: Array
    df_documents: Array
    seeds: Array
    df_seeds: Array

    @property
    def standard_error(self) -> Array:
        error: Array = np.sqrt(self.documents + self.seeds)
        return error

    @property
    def df(self) -> Array:
        """Degrees of freedom, as those of the test."""
        return degrees_of_freedom(self.documents, self.df_documents, self.seeds, self.df_seeds)

    def smallest_difference(self, level: Array | float) -> Array:
        """Return the true difference that a two-sided test finds with 80 % power.

        Args:
            level: Of the test, after adjustment.
        """
        critical = quantile(level, self.df)
        normal = critical + ndtri(POWER)
        exact = nctdtrinc(np.nan_to_num(self.df, nan=1e6), 1 - POWER, critical)
        large = np.isnan(self.df) | (self.df > 1e4)  # there the two agree to four digits
        difference: Array = self.standard_error * np.where(large, normal, exact)
        return difference

    def smallest_margin(self, level: Array | float) -> Array:
        """Return the margin within which equal systems are found equivalent with 80 % power.

        Two one-sided tests reject if the interval of twice the level is inside the margin
        (Schuirmann 1987). Their power is averaged over the standard errors that may be found.

        Args:
            level: Of each one-sided test, after adjustment.
        """
        df = np.where(np.isnan(self.df), 1e6, np.minimum(self.df, 1e6))  # normal from there on
        reach = np.sqrt(chdtri(df[..., None], CHANCES) / df[..., None])
        reach = reach * quantile(2 * np.asarray(level), df)[..., None]
        low, high = np.quantile(reach, [POWER, (1 + POWER) / 2], axis=-1)  # less power, and more
        high += 2
        for _ in range(20):
            middle = (low + high) / 2
            power = (2 * ndtr(np.maximum(middle[..., None] - reach, 0.0)) - 1).mean(-1)
            low, high = np.where(power < POWER, (middle, high), (low, middle))
        margin: Array = self.standard_error * high
        return margin

    def at_ends(self) -> tuple["Precision", "Precision"]:
        """Return the precision at both ends of the 80 % interval for the variance of seeds."""
        lower, upper = (
            divided(self.df_seeds, chdtri(np.nan_to_num(self.df_seeds, nan=1.0), beyond), 1.0)
            for beyond in ((1 - RANGE) / 2, (1 + RANGE) / 2)
        )
        known = np.isnan(self.df_seeds)
        return tuple(  # type: ignore[return-value]
            replace(self, seeds=np.where(known, self.seeds, self.seeds * factor))
            for factor in (lower, upper)
        )


def precision_of(comparisons: pl.DataFrame) -> Precision:
    """Return the precision of every row of a comparison table."""
    names = ("variance_documents", "df_documents", "variance_seeds", "df_seeds")
    documents, df_documents, seeds, df_seeds = (
        comparisons[name].cast(pl.Float64).to_numpy() for name in names
    )
    resampled = comparisons["df"].is_null().to_numpy()
    return Precision(
        documents,
        np.where(resampled, np.nan, df_documents),
        np.where(resampled, 0.0, seeds),
        np.where(resampled, np.nan, df_seeds),
    )


@dataclass(frozen=True, slots=True)
class Disagreement:
    """How far two systems are apart by document.

    Attributes:
        variance: Of their difference in F1 on so many documents, in squared points.
        documents: How many.
        df: Degrees of freedom of the variance.
        percent: Entities that only one of the two gets right; None if not stated.
    """

    variance: float
    documents: int
    df: float
    percent: float | None = None


@dataclass(frozen=True, slots=True)
class SeedVariance:
    """How far F1 scatters over seeds.

    Attributes:
        deviation: Standard deviation of F1, in points; of the difference between two runs of the
            same seed, if the systems share weights.
        sides: How many deviations a difference has: one if the systems share weights or only one of
            them is random, else two.
        df: Degrees of freedom of its estimate; NaN if it is stated.
    """

    deviation: float
    sides: int
    df: float = np.nan


def disagreement_of_share(
    percent: float, entities: int, documents: int, design_effect: float
) -> Disagreement:
    """Return the disagreement of equal systems of which only one is right on so many entities.

    Each of these entities moves recall by 1/entities up or down, so that its difference has the
    variance 100² · share · design effect / entities. That of F1 is taken to be the same.

    Args:
        percent: Entities that only one of the two gets right.
        entities: Gold entities.
        documents: That hold them.
        design_effect: The factor by which documents raise the variance (Kish 1965).
    """
    variance = 100 * percent * design_effect / entities
    return Disagreement(variance, documents, documents - 1, percent)


def disagreement_of_runs(one: Array, other: Array) -> Disagreement:
    """Return the disagreement of two systems in strict F1.

    Args:
        one: Counts of one system's runs by the units OVERALL, as in `SystemCounts.runs`.
        other: Those of the other.

    Raises:
        InputError: All their scores without one document differ by the same.
    """
    scores = Scores(OVERALL, measures_of(OVERALL)[:1])
    systems = SystemCounts("one", None, one), SystemCounts("other", None, other)
    sides = scores_of(systems[0], scores), scores_of(systems[1], scores)
    active = scores.active(one.sum(0)) | scores.active(other.sum(0))
    found = difference_of(systems, sides, active)
    if not found.documents[0] > 0:
        remedy = "Name predictions of another pair."
        raise InputError("power", "systems that do not differ", "some disagreement", remedy)
    return Disagreement(float(found.documents[0]), len(active), float(found.df_documents[0]))


def pilot_of(row: Mapping[str, Any]) -> tuple[Disagreement, SeedVariance | None]:
    """Return what a row of a comparison table says of its pair.

    Args:
        row: Of strict F1 overall.

    Returns:
        The disagreement, and the variance of seeds; None if the row does not say.

    Raises:
        InputError: The comparison has no standard error.
    """
    if row["standard_error"] is None:
        found = f"no standard error ({row['untested']})"
        raise InputError("power", found, "a pilot that could be tested", "Use another pilot.")
    df_documents = row["df_documents"]
    disagreement = Disagreement(row["variance_documents"], row["clusters"], df_documents)
    seeds = sorted((row["seeds"], row["baseline_seeds"]))
    paired, control = row["covers"] == Covers.PAIRED, bool(row["deterministic"])
    if row["df_seeds"] is None or (seeds[0] != seeds[1] and not control):
        return disagreement, None
    sides = 1 if paired or control else 2
    deviation = (row["variance_seeds"] * seeds[1] / sides) ** 0.5
    return disagreement, SeedVariance(deviation, sides, row["df_seeds"])


def power_table(
    documents: int,
    seeds: int,
    disagreements: Sequence[Disagreement],
    variances: Sequence[SeedVariance],
    level: float,
) -> pl.DataFrame:
    """Say what a comparison to come could show.

    Args:
        documents: Of its test set.
        seeds: Of each system. With one there is no variance of seeds: the test is of these weights.
        disagreements: Of the two systems, as they may be.
        variances: Of the seeds, as they may be.
        level: Error level of the test, after adjustment.

    Returns:
        A row per case: the standard error of the difference, and the smallest difference and margin
        (`Precision`), in points; with a range for seed deviations that are estimates.
    """
    cases = list(itertools.product(disagreements, variances))
    count = len(cases)
    ratio = np.array([documents / each.documents for each, _ in cases])
    sides = np.array([each.sides for _, each in cases])
    deviation = np.array([each.deviation for _, each in cases])
    known = Precision(
        np.array([each.variance for each, _ in cases]) / ratio,
        np.array([each.df + 1 for each, _ in cases]) * ratio - 1,
        sides * deviation**2 / seeds,
        np.array([each.df for _, each in cases]),
    )
    planned = {"df_seeds": sides * (seeds - 1.0)}
    if seeds == 1:
        nothing = np.full(count, np.nan)
        planned = {"df_documents": nothing, "df_seeds": nothing, "seeds": np.zeros(count)}
    expected, low, high = (replace(each, **planned) for each in (known, *known.at_ends()))
    estimated = ~np.isnan(known.df_seeds) & (seeds > 1)
    columns: dict[str, object] = {
        "disagreement": [each.percent for each, _ in cases],
        "documents": documents,
        "seeds": seeds,
        "seed_deviation": deviation if seeds > 1 else None,
        "level": level,
        "standard_error": expected.standard_error,
    }
    levels = np.full(count, level)
    for name in ("smallest_difference", "smallest_margin"):
        columns[name] = getattr(expected, name)(levels)
        for end, each in (("low", low), ("high", high)):
            values = getattr(each, name)(levels)
            columns[f"{name}_{end}"] = np.where(estimated, values, np.nan)
    return pl.DataFrame(columns, schema_overrides=POWER_TABLE).fill_nan(None)
