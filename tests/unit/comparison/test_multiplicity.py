"""Holm's adjustment and partial conjunction, by hand; step-down max-T step by step."""

import numpy as np
import pytest

from bioner.comparison.multiplicity import holds_in, holm, holm_levels, step_down


def test_holm_by_hand():
    # Sorted 0.01, 0.03, 0.04: times 3, 2, 1 and never falling.
    assert holm([0.04, 0.01, 0.03]) == [
        pytest.approx(0.06),
        pytest.approx(0.03),
        pytest.approx(0.06),
    ]
    assert holm([]) == []
    assert holm([0.6, 0.7]) == [1, 1]


@pytest.mark.parametrize(
    ("differences", "p_values", "count"),
    [
        # One-sided 0.0005, 0.01, 0.02: times 3, 2, 1 all at most 0.025.
        ([1, 1, 1], [0.001, 0.02, 0.04], 3),
        # One-sided 0.0005, 0.015, 0.02: the second, times 2, is not; nor is then the third.
        ([1, 1, 1], [0.001, 0.03, 0.04], 1),
        # The sign decides what a two-sided p speaks for.
        ([1, -1, 1], [0.001, 0.001, 0.9], 1),
        ([-1, -1, -1], [0.001, 0.001, 0.001], 0),
        ([0, 1], [1.0, 0.02], 1),
        ([0], [0.001], 0),
        ([], [], 0),
    ],
)
def test_in_how_many_datasets_a_positive_difference_is_shown(differences, p_values, count):
    assert holds_in(differences, p_values, 0.05) == count


def test_a_claim_and_its_opposite_may_both_hold_somewhere():
    differences, p_values = [3, -3, 0.1], [0.0001, 0.0001, 0.8]
    assert (
        holds_in(differences, p_values, 0.05)
        == holds_in([-d for d in differences], p_values, 0.05)
        == 1
    )


def test_levels_of_holm_s_steps_by_hand():
    assert holm_levels([0.02, 0.2, 0.01], 0.05) == pytest.approx([0.025, 0.05, 0.05 / 3])
    # The second of three is not rejected; the third has its level.
    assert holm_levels([0.04, 0.001, 0.03], 0.05) == pytest.approx([0.025, 0.05 / 3, 0.025])
    assert holm_levels([], 0.05) == []


def correlated(tests: int, replicates: int, seed: int) -> np.ndarray:
    draw = np.random.default_rng(seed)
    return np.abs(draw.normal(size=(tests, replicates)) + draw.normal(size=replicates))


@pytest.mark.parametrize("seed", range(5))
def test_step_down_rejects_one_test_after_the_other(seed):
    """The long way round: judge the largest statistic by the largest of all that are left."""
    replicates = correlated(8, 400, seed)
    observed = np.abs(np.random.default_rng(seed).normal(2, 2, size=8))
    found = step_down(observed, replicates)
    left, largest = list(range(8)), 0.0
    while left:
        strongest = max(left, key=observed.__getitem__)
        beyond = replicates[left].max(0) >= observed[strongest]
        largest = max(largest, (beyond.sum() + 1) / 401)
        assert found.p[strongest] == largest
        left.remove(strongest)


@pytest.mark.parametrize("seed", range(5))
def test_a_test_is_significant_if_and_only_if_it_exceeds_its_critical_value(seed):
    observed = np.abs(np.random.default_rng(seed).normal(2, 2, size=8))
    found = step_down(observed, correlated(8, 399, seed))
    assert ((found.p <= 0.05) == (observed > found.critical)).all()


def test_critical_values_of_steps_by_hand():
    """Of 39 replicates a test exceeds all but one to be significant at 2 / 40, all but three at
    4 / 40. The second test does not, so the third has its critical value, not one of its own.
    """
    replicates = np.arange(1.0, 40.0) * [[3], [2], [1]]
    found = step_down(np.array([120.0, 60.0, 50.0]), replicates)
    assert found.critical.tolist() == [3 * 38, 2 * 38, 2 * 38]
    assert found.critical_90 == 3 * 36
    assert (found.p <= 0.05).tolist() == [True, False, False]


def test_with_one_test_max_t_changes_nothing():
    replicates = correlated(1, 99, 0)
    assert step_down(np.array([1.5]), replicates).p == [((replicates >= 1.5).sum() + 1) / 100]


def test_the_critical_value_of_equivalence_is_a_quantile_of_the_largest_of_all():
    replicates = correlated(5, 999, 0)
    found = step_down(np.ones(5), replicates)
    assert (replicates.max(0) >= found.critical_90).mean() == pytest.approx(0.1, abs=0.002)


def test_independent_tests_cost_what_they_cost_by_sidak():
    replicates = np.abs(np.random.default_rng(0).normal(size=(10, 20_000)))
    p = step_down(np.array([2.8, *[0.1] * 9]), replicates).p[0]
    assert p == pytest.approx(1 - (1 - 0.00511) ** 10, abs=0.006)
