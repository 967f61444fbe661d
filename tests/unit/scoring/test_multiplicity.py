"""Holm's adjustment and partial conjunction, by hand."""

import pytest

from bioner.scoring.multiplicity import holds_in, holm


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
