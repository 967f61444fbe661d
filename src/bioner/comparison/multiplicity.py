"""Multiple tests: Holm, step-down max-T, and the number of datasets in which a claim holds."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bioner.scoring.tally import Array


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjust p-values by Holm's step-down method; they stay in their order."""
    adjusted = [0.0] * len(p_values)
    largest = 0.0
    for rank, position in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[position]))
        adjusted[position] = largest
    return adjusted


def holm_levels(p_values: Sequence[float], level: float) -> list[float]:
    """Return the error level at which Holm's method tests each p-value, in their order.

    The first of m ordered p-values is tested at level / m, the next at level / (m - 1), …; all that
    follow the first one not rejected share its level.
    """
    levels = [level] * len(p_values)
    step, rejected = level, True
    for rank, position in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        if rejected:
            step = level / (len(p_values) - rank)
            rejected = p_values[position] <= step
        levels[position] = step
    return levels


def holds_in(differences: Sequence[float], p_values: Sequence[float], level: float) -> int:
    """Return a lower bound of the number of datasets with a positive difference.

    It is the largest u for which "fewer than u datasets have a positive difference" is rejected, by
    Bonferroni's combination of one-sided p-values (partial conjunction: Benjamini and Heller 2008;
    Dror et al. 2017, "Replicability analysis for natural language processing").

    Args:
        p_values: Two-sided.
        level: Of both one-sided tests together: the opposite claim is tested, too.
    """
    one_sided = [
        p / 2 if difference > 0 else 1 - p / 2
        for difference, p in zip(differences, p_values, strict=True)
    ]
    return sum(p <= level / 2 for p in holm(one_sided))


@dataclass(frozen=True, slots=True)
class StepDown:
    """Adjustment of a family of tests by its largest statistic.

    Attributes:
        p: Adjusted p-values, in the order of the tests.
        critical: The value that |t| must exceed in the step of its test, at `level`. Tests after
            the first that is not significant have the critical value of that one.
        critical_90: The 90 % quantile of the largest |t| of all tests, for equivalence.
    """

    p: Array
    critical: Array
    critical_90: float


def step_down(observed: Array, replicates: Array, level: float = 0.05) -> StepDown:
    """Adjust tests by step-down max-T (Westfall and Young 1993, algorithm 4.1).

    Args:
        observed: |t| of each test.
        replicates: |t| of each test under its null hypothesis, tests x replicates, drawn jointly.
        level: Of the critical values.

    Returns:
        p-values (r + 1) / (N + 1), and the critical values that agree with them.
    """
    order = np.argsort(-observed, kind="stable")
    # From the last step to the first, the largest of the tests not yet rejected.
    largest = np.maximum.accumulate(replicates[order[::-1]], axis=0)[::-1]
    count = replicates.shape[1]
    beyond = (largest >= observed[order, None]).sum(1)
    p_values = np.maximum.accumulate((beyond + 1) / (count + 1))
    critical = _largest(largest, level)
    accepted = np.flatnonzero(p_values > level)
    if len(accepted):
        critical[accepted[0] :] = critical[accepted[0]]
    back = np.argsort(order, kind="stable")
    return StepDown(p_values[back], critical[back], float(_largest(largest[:1], 0.1)[0]))


def _largest(replicates: Array, level: float) -> Array:
    """Return the value that a statistic exceeds if and only if its p is at most `level`."""
    count = replicates.shape[1]
    place = count - int(level * (count + 1))
    values: Array = np.partition(replicates, place, axis=1)[:, place]
    return values
