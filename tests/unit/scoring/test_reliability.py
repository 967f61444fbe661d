"""Right tags by confidence, and how far the two are apart."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bioner.scoring.reliability import (
    RELIABILITY,
    calibration_error,
    confidence_pairs,
    reliability_bins,
)


def test_tokens_tagged_as_entities_count_and_right_is_the_whole_tag():
    confidence, right = confidence_pairs(
        [[0.9, 0.8, 0.99, 0.7], [0.6, None, 0.5]],
        [["B-D", "I-D", "O", "B-C"], ["B-D", "B-D", "O"]],
        [["B-D", "O", "O", "B-D"], ["B-D", "B-D", "B-D"]],
    )
    # A border too far and another type are wrong. O is left out, also where it misses an entity; so
    # is what was never decided.
    assert confidence.tolist() == [0.9, 0.8, 0.7, 0.6]
    assert right.tolist() == [True, False, False, True]


@pytest.mark.parametrize("gold", [[["O"]], [["O", "O"], ["O"]]])
def test_confidences_of_other_tokens_are_refused(gold):
    with pytest.raises(ValueError):
        confidence_pairs([[0.9, 0.8]], [["O", "O"]], gold)


def test_bins_by_hand():
    bins = reliability_bins(
        np.array([0.95, 1.0, 0.91, 0.7, 0.65]), np.array([True, True, False, True, False])
    )
    # 0.6 to 0.7 holds 0.65 and, as its upper end, 0.7; 0.9 to 1.0 the others: (0.95 + 1 + 0.91) /
    # 3, two right.
    assert bins.rows() == [
        (0.6, 0.7, pytest.approx(0.675), 0.5, 2),
        (0.9, 1.0, pytest.approx(0.9533333), pytest.approx(2 / 3), 3),
    ]
    # 2/5 of |0.5 - 0.675| and 3/5 of |0.667 - 0.953|.
    assert calibration_error(bins) == pytest.approx(0.4 * 0.175 + 0.6 * 0.2866667)


def test_ends_belong_to_the_bin_below_and_0_to_the_first():
    bins = reliability_bins(np.array([0.0, 0.1, 0.2, 0.3]), np.array([False, True, True, True]))
    assert bins.select("bin_low", "count").rows() == [(0.0, 2), (0.1, 1), (0.2, 1)]


def test_of_nothing_there_are_no_bins_and_no_error():
    bins = reliability_bins(*confidence_pairs([], [], []))
    assert (dict(bins.schema), bins.rows()) == (RELIABILITY, [])
    assert math.isnan(calibration_error(bins))


@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1), st.integers(1, 20))
def test_every_confidence_is_in_one_bin_whose_mean_lies_in_it(pairs, count):
    confidence, right = np.array([each for each, _ in pairs]), np.array([hit for _, hit in pairs])
    bins = reliability_bins(confidence, right, count)
    assert bins["count"].sum() == len(pairs)
    assert (bins["count"] * bins["accuracy"]).sum() == pytest.approx(right.sum())
    assert (bins["count"] * bins["confidence"]).sum() == pytest.approx(confidence.sum())
    for low, high, mean, accuracy, _ in bins.rows():
        assert low - 1e-12 <= mean <= high + 1e-12
        assert 0 <= accuracy <= 1
    assert 0 <= calibration_error(bins) <= 1


def test_confidence_that_is_the_share_of_right_ones_has_no_error():
    # Of four at 0.75, three are right.
    bins = reliability_bins(np.full(4, 0.75), np.array([True, True, True, False]))
    assert calibration_error(bins) == 0
