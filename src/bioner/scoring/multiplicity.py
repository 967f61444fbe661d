"""Multiple tests: Holm's adjustment, and the number of datasets in which a claim holds."""

from collections.abc import Sequence


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjust p-values by Holm's step-down method; they stay in their order."""
    adjusted = [0.0] * len(p_values)
    largest = 0.0
    for rank, position in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[position]))
        adjusted[position] = largest
    return adjusted


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
