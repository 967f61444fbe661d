"""Sources of variance of a difference: documents, and the seeds of the trainings."""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from scipy.special import chdtri, stdtr

from bioner.comparison.counts import SystemCounts
from bioner.comparison.measures import Scores
from bioner.scoring.tally import Array, divided

NOISE = 1e-9  # sums of the same floats in another order may differ by this


class Covers(StrEnum):
    """What an interval covers; the population a test speaks of."""

    SEPARATE = "documents and seeds"
    PAIRED = "documents and paired seeds"
    WEIGHTS = "documents"


@dataclass(frozen=True, slots=True)
class SystemScores:
    """Scores of a system in every measure.

    Attributes:
        pooled: Of the counts of all runs together, measures.
        by_run: Runs x measures.
        without: Pooled, without one document, documents x measures.
        by_run_without: Runs x documents x measures.
    """

    pooled: Array
    by_run: Array
    without: Array
    by_run_without: Array


def scores_of(system: SystemCounts, scores: Scores) -> SystemScores:
    """Return the scores of a system with all documents and without each."""
    mean, by_run = system.runs.mean(0), system.runs.sum(1)
    return SystemScores(
        scores.of(mean.sum(0)),
        scores.of(by_run),
        scores.of(mean.sum(0) - mean),
        scores.of(by_run[:, None] - system.runs),
    )


@dataclass(frozen=True, slots=True)
class Difference:
    """A difference between two systems in every measure, with its sources of variance.

    Attributes:
        covers: What the variance covers.
        value: In points, measures.
        documents: Variance from drawing other documents (delete-one jackknife), of the scores of
            the counts of all runs together, so that it is paired and of the seeds' average.
        df_documents: Documents that count, minus one.
        seeds: Variance from training with other seeds: s²/n of each side, or of the differences
            between runs of the same seed if the systems share weights.
        df_seeds: Its degrees of freedom; NaN without variance between seeds.
        interaction: The part of `seeds` that is estimated to be noise of seed x document, which
            `documents` has counted already. It is reported, not subtracted.
    """

    covers: Covers
    value: Array
    documents: Array
    df_documents: Array
    seeds: Array
    df_seeds: Array
    interaction: Array

    @property
    def variance(self) -> Array:
        return self.documents + self.seeds

    @property
    def df(self) -> Array:
        """Degrees of freedom of `variance`, as `degrees_of_freedom` says."""
        return degrees_of_freedom(self.documents, self.df_documents, self.seeds, self.df_seeds)

    @property
    def t(self) -> Array:
        """The difference in standard errors; 0 for no difference, NaN if it has no variance."""
        ratio = divided(self.value, np.sqrt(self.variance), np.nan)
        return np.where(self.value == 0, 0.0, ratio)

    @property
    def p(self) -> Array:
        """Two-sided p-value of Student's t."""
        p_values: Array = 2 * stdtr(self.df, -np.abs(self.t))
        return p_values


def degrees_of_freedom(
    documents: Array, df_documents: Array, seeds: Array, df_seeds: Array
) -> Array:
    """Return the degrees of freedom of the sum of two variances (Satterthwaite 1946).

    In place of the variance between seeds stands its median-unbiased estimate. That of three seeds
    is below the truth in 63 % of cases, and degrees of freedom would then be too many just where
    the standard error is too small: t would be exceeded in up to 7.8 % of cases with three seeds,
    instead of 6.9, and in up to 12.8 with two, instead of 10.

    Args:
        documents: Variance from documents.
        df_documents: Its degrees of freedom.
        seeds: Variance from seeds.
        df_seeds: Its degrees of freedom; NaN without variance between seeds.

    Returns:
        Those of documents if there is no variance at all.
    """
    seeds = np.where(seeds == 0, 0.0, seeds * df_seeds / chdtri(df_seeds, 0.5))
    parts = documents**2 / df_documents + _per_df(seeds, df_seeds)
    return np.where(parts == 0, df_documents, divided((documents + seeds) ** 2, parts, np.nan))


def difference_of(
    systems: tuple[SystemCounts, SystemCounts],
    scores: tuple[SystemScores, SystemScores],
    active: Array,
) -> Difference:
    """Return the difference between two systems, the first minus the second.

    Args:
        systems: Systems that share weights have runs of the same seeds in the same order.
        scores: Of these systems.
        active: Which documents count, documents x measures.
    """
    (one, other), (mine, theirs) = systems, scores
    paired = one.shares_weights(other) and len(one.runs) > 1
    if paired:
        sides = [(mine.by_run - theirs.by_run, mine.by_run_without - theirs.by_run_without)]
    else:
        sides = [
            (side.by_run, side.by_run_without)
            for system, side in zip(systems, scores, strict=True)
            if not system.deterministic and len(system.runs) > 1
        ]
    seeds = np.array([runs.var(0, ddof=1) / len(runs) for runs, _ in sides])
    seeds = seeds.reshape(-1, len(mine.pooled))
    df = np.array([len(runs) - 1 for runs, _ in sides])
    return Difference(
        covers=Covers.PAIRED if paired else Covers.SEPARATE if sides else Covers.WEIGHTS,
        value=without_noise(mine.pooled - theirs.pooled),
        documents=jackknife(mine.without - theirs.without),
        df_documents=active.sum(0) - 1.0,
        seeds=seeds.sum(0),
        df_seeds=satterthwaite(seeds, df[:, None]),
        interaction=sum((_interaction(each) for _, each in sides), np.zeros_like(mine.pooled)),
    )


def satterthwaite(variances: Array, df: Array) -> Array:
    """Return the degrees of freedom of a sum of variances (Satterthwaite 1946).

    Args:
        variances: Along the first axis.
        df: Of each.

    Returns:
        NaN if there is no variance.
    """
    return divided(variances.sum(0) ** 2, _per_df(variances, df).sum(0), np.nan)


def leave_one_out(without: Array) -> Array:
    """Return what each document adds to a statistic: the squares add up to its variance.

    Args:
        without: The statistic without each document, documents x anything.
    """
    count = len(without)
    parts: Array = np.sqrt((count - 1) / count) * (without - without.mean(0))
    return parts


def jackknife(without: Array) -> Array:
    """Return the variance of a statistic from its values without one document (Tukey 1958).

    Args:
        without: Documents x anything.
    """
    variance = (leave_one_out(without) ** 2).sum(0)
    return np.where(variance < NOISE**2, 0.0, variance)


def without_noise(differences: Array) -> Array:
    """Return 0 for differences that are only rounding errors."""
    return np.where(np.abs(differences) < NOISE, 0.0, differences)


def _interaction(without: Array) -> Array:
    """Return the variance of a mean over runs that comes from noise of run x document.

    Args:
        without: Scores without one document, runs x documents x measures.
    """
    runs, documents = without.shape[:2]
    residual = without - without.mean(0) - without.mean(1, keepdims=True) + without.mean((0, 1))
    scale = (documents - 1) / documents / (runs - 1) / runs
    variance: Array = scale * (residual**2).sum((0, 1))
    return variance


def _per_df(variance: Array, df: Array) -> Array:
    return np.where(variance == 0, 0.0, divided(variance**2, df, np.nan))
