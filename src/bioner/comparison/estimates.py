"""Intervals and tests of a difference: by Student's t, or by resampling single runs."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr, ndtri, stdtr, stdtrit

from bioner.comparison.components import Covers, Difference
from bioner.comparison.counts import SystemCounts
from bioner.comparison.measures import Scores
from bioner.comparison.replicates import randomisation_p
from bioner.scoring.resampling import interval
from bioner.scoring.tally import Array, divided

LEVEL = 0.05
DISAGREE = "bootstrap and jackknife disagree"
AGREEMENT = 0.1  # by which the bootstrap's variance may differ from the jackknife's


@dataclass(frozen=True, slots=True)
class Estimates:
    """Intervals and tests of a pair of systems, a value per measure; NaN where there is none.

    Attributes:
        covers: What the intervals cover.
        standard_error: In points.
        df: Degrees of freedom; NaN if the test is not Student's t.
        ci_low: Lower bound of the 95 % interval.
        ci_high: Its upper bound.
        p: Two-sided p-value.
        smallest_p: The smallest that the test can give.
        untested: Why there is no test; None if there is one.
        agrees: Whether bootstrap and jackknife give the same variance of documents, within 10 %.
    """

    covers: Covers
    standard_error: Array
    df: Array
    ci_low: Array
    ci_high: Array
    p: Array
    smallest_p: Array
    untested: Sequence[str | None]
    agrees: Sequence[bool]


def estimate(
    pair: tuple[SystemCounts, SystemCounts],
    found: Difference,
    drawn: Array,
    scores: Scores,
    limits: Sequence[str | None],
    resamples: int,
    seed: int,
) -> Estimates:
    """Test a difference, if it can be tested, and give its interval.

    Two single runs are compared by approximate randomisation and the bootstrap's percentiles, both
    about these weights. One trained run against several has an interval about these weights and no
    test. All others are tested by Student's t.

    Args:
        pair: The systems.
        found: Their difference.
        drawn: Their difference on resampled documents, resamples x measures.
        scores: The measures.
        limits: The limit that a measure's sample falls below, if it does.
        resamples: Of approximate randomisation.
        seed: Of its random numbers.
    """
    untested = list(limits)
    documents = pair[0].runs.shape[1]
    agrees = variances_agree(found.documents, bootstrap_variance(drawn, documents)).tolist()
    single = [len(system.runs) == 1 for system in pair]
    if any(one and not system.deterministic for one, system in zip(single, pair, strict=True)):
        low, high = interval(drawn)
        error, df = np.sqrt(found.documents), np.full_like(found.value, np.nan)
        p, smallest = df, df
        if all(single):
            p = randomisation_p(pair, scores, resamples, seed)
            # So that p agrees with the interval, which may be the wider of the two.
            p = np.maximum(p, two_sided_p(found.value, low, high, df))
            smallest = np.maximum(1 / (resamples + 1), 0.5**found.df_documents)
        else:
            untested = [limit or "one seed" for limit in untested]
        covers = Covers.WEIGHTS
    else:
        covers, error, df, p = found.covers, np.sqrt(found.variance), found.df, found.p
        half = stdtrit(df, 1 - LEVEL / 2) * error
        low, high, smallest = found.value - half, found.value + half, np.zeros_like(p)
        for place, (agree, defined) in enumerate(zip(agrees, np.isfinite(found.t), strict=True)):
            fault = None if agree else DISAGREE
            untested[place] = untested[place] or (fault if defined else "no variance")
    none = np.array([reason is not None for reason in untested])
    no_interval = np.array([reason not in (None, "one seed") for reason in untested])
    error, df, low, high = (np.where(no_interval, np.nan, n) for n in (error, df, low, high))
    p, smallest = (np.where(none, np.nan, number) for number in (p, smallest))
    return Estimates(covers, error, df, low, high, p, smallest, untested, agrees)


def bootstrap_variance(drawn: Array, documents: int) -> Array:
    """Return the variance that drawing other documents gives.

    Args:
        drawn: Values on resampled documents, resamples first.
        documents: How many there are: drawing n of n makes the variance too small by (n - 1) / n.
    """
    variance: Array = drawn.var(0, ddof=1)
    return variance * (documents / (documents - 1) if documents > 1 else np.nan)


def variances_agree(jackknife: Array, bootstrap: Array) -> Array:
    """Return whether both variances from documents are the same within AGREEMENT."""
    agree: Array = np.abs(divided(bootstrap, jackknife, 1.0) - 1) <= AGREEMENT
    return agree


def bounds_at(
    level: Array | float,
    difference: Array | float,
    ci_low: Array | float,
    ci_high: Array | float,
    df: Array | float,
) -> tuple[Array, Array]:
    """Return the bounds of the two-sided interval of an error level other than 5 %.

    Each side of the 95 % interval is stretched by the ratio of the quantiles of Student's t, or of
    the normal distribution if `df` is NaN.
    """
    stretch = quantile(level, df) / quantile(LEVEL, df)
    return difference - stretch * (difference - ci_low), difference + stretch * (
        ci_high - difference
    )


def two_sided_p(
    difference: Array, ci_low: Array, ci_high: Array, df: Array, value: Array | float = 0.0
) -> Array:
    """Return the largest level at which the interval of `bounds_at` excludes a value."""
    side = np.where(difference > value, difference - ci_low, ci_high - difference)
    t = quantile(LEVEL, df) * divided(np.abs(difference - value), side, np.inf)
    return np.where(difference == value, 1.0, 2 * tail(t, df))


def quantile(level: Array | float, df: Array | float) -> Array:
    """Return the two-sided critical value of Student's t, of the normal if `df` is NaN."""
    upper = 1 - np.asarray(level) / 2
    value: Array = np.where(np.isnan(df), ndtri(upper), stdtrit(np.nan_to_num(df, nan=1.0), upper))
    return value


def tail(t: Array | float, df: Array | float) -> Array:
    """Return the probability of a larger t, of a larger normal number if `df` is NaN."""
    below = -np.asarray(t)
    p: Array = np.where(np.isnan(df), ndtr(below), stdtr(np.nan_to_num(df, nan=1.0), below))
    return p
