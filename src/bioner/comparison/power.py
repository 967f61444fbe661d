"""What a comparison could have shown: the smallest detectable difference, the smallest margin."""

from dataclasses import dataclass, replace

import numpy as np
import polars as pl
from scipy.special import chdtri, nctdtrinc, ndtr, ndtri

from bioner.comparison.components import degrees_of_freedom
from bioner.comparison.estimates import quantile
from bioner.scoring.tally import Array, divided

POWER = 0.8
RANGE = 0.8  # of the interval for the variance between seeds
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
