"""What a comparison could have shown: the smallest detectable difference, the smallest margin."""

from dataclasses import dataclass, replace

import numpy as np
from scipy.special import chdtri, nctdtrinc, ndtri

from bioner.comparison.components import degrees_of_freedom
from bioner.comparison.estimates import quantile
from bioner.scoring.tally import Array, divided

POWER = 0.8
RANGE = 0.8  # of the interval for the variance between seeds


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
        (Schuirmann 1987). The standard error is taken as known: the margin is approximate.

        Args:
            level: Of each one-sided test, after adjustment.
        """
        reach = quantile(2 * np.asarray(level), self.df) + quantile(1 - POWER, self.df)
        margin: Array = self.standard_error * reach
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
