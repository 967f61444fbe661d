"""Measures of calibration, by hand and against scikit-learn."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.calibration import calibration_curve
from sklearn.metrics import brier_score_loss

from bioner.scoring.reliability import (
    RELIABILITY,
    brier_score,
    calibration_error,
    calibration_interval,
    equal_mass_bins,
    reliability_bins,
    risk_at,
    risks,
)
from bioner.scoring.resampling import Clusters

CONFIDENCE = np.array([0.95, 1.0, 0.91, 0.7, 0.65, 0.2])
RIGHT = np.array([True, True, False, True, False, False])
pairs = st.lists(
    st.tuples(st.sampled_from([0.0, 0.3, 0.5, 0.9, 1.0]) | st.floats(0, 1), st.booleans()),
    min_size=1,
)


def drawn(entities: int, documents: int, seed: int, gamma: float = 1.0):
    """Draw confidences, outcomes that they overstate if `gamma` is below 1, and documents."""
    draw = np.random.default_rng(seed)
    confidence = draw.beta(6, 0.8, entities)
    odds = (confidence / (1 - confidence)) ** gamma
    right = draw.random(entities) < odds / (1 + odds)
    cluster = draw.integers(documents, size=entities)
    return confidence, right, cluster, Clusters(np.arange(documents), documents, "document")


def test_bins_hold_equally_many_entities():
    bins = reliability_bins(CONFIDENCE, RIGHT, 3)
    assert bins.rows() == [
        (0, pytest.approx(0.425), 0.0, 2),
        (1, pytest.approx(0.805), 0.5, 2),
        (2, pytest.approx(0.975), 1.0, 2),
    ]
    # A third each of 0.425, 0.305 and 0.025.
    assert calibration_error(CONFIDENCE, RIGHT, 3) == pytest.approx(0.755 / 3)


def test_equal_confidences_are_in_one_bin():
    assert equal_mass_bins(np.array([0.9, 0.1, 0.9, 0.9, 0.9]), 5).tolist() == [2, 0, 2, 2, 2]
    assert equal_mass_bins(np.full(7, 0.9), 10).tolist() == [4] * 7


def test_without_equal_confidences_the_curve_is_scikit_learn_s():
    confidence, right, *_ = drawn(200, 10, seed=3)
    bins = reliability_bins(confidence, right, 10)
    accuracy, mean = calibration_curve(right, confidence, n_bins=10, strategy="quantile")
    assert bins["confidence"].to_numpy() == pytest.approx(mean)
    assert bins["accuracy"].to_numpy() == pytest.approx(accuracy)


@given(pairs, st.integers(1, 20), st.randoms(use_true_random=False))
def test_no_measure_depends_on_the_order_of_entities(drawn_pairs, count, random):
    mixed = random.sample(drawn_pairs, len(drawn_pairs))
    sides = [
        (np.array([c for c, _ in each]), np.array([r for _, r in each]))
        for each in (drawn_pairs, mixed)
    ]
    for measure in (
        brier_score,
        lambda *of: calibration_error(*of, count),
        lambda *of: risks(*of).mean(),
    ):
        one, other = (measure(*side) for side in sides)
        assert one == pytest.approx(other)
        assert -1e-9 <= one <= 1 + 1e-9


@given(pairs, st.integers(1, 20))
def test_the_error_is_that_of_the_bins(drawn_pairs, count):
    confidence, right = np.array([c for c, _ in drawn_pairs]), np.array([r for _, r in drawn_pairs])
    bins = reliability_bins(confidence, right, count)
    distance = (bins["accuracy"] - bins["confidence"]).abs() * bins["count"]
    assert calibration_error(confidence, right, count) == pytest.approx(distance.sum() / len(right))
    assert bins["count"].sum() == len(right)


def test_brier_score_is_scikit_learn_s():
    assert brier_score(CONFIDENCE, RIGHT) == pytest.approx(brier_score_loss(RIGHT, CONFIDENCE))


def test_risk_is_the_share_of_wrong_ones_among_the_most_confident():
    curve = risks(CONFIDENCE, RIGHT)
    assert curve == pytest.approx([0, 0, 1 / 3, 1 / 4, 2 / 5, 3 / 6])
    # Half of six are three; 80 % are 4.8, so five.
    assert [risk_at(curve, coverage) for coverage in (50, 80, 100)] == [1 / 3, 2 / 5, 1 / 2]


def test_errors_among_equal_confidences_are_spread_evenly():
    curve = risks(np.array([0.9, 0.5, 0.5, 0.5]), np.array([True, False, True, True]))
    assert curve == pytest.approx([0, 1 / 6, 2 / 9, 1 / 4])


def test_of_nothing_there_are_no_bins():
    bins = reliability_bins(np.zeros(0), np.zeros(0, dtype=bool))
    assert (dict(bins.schema), bins.rows()) == (RELIABILITY, [])


@pytest.mark.parametrize("gamma", [1.0, 0.7])
def test_intervals_hold_the_true_error_and_score(gamma):
    """The percentile interval of the error holds no error that is nearly 0."""
    held = {"ece": 0, "brier": 0}
    huge = drawn(400_000, 10, 99, gamma)
    true, score = calibration_error(*huge[:2]), brier_score(*huge[:2])
    assert true == pytest.approx(0 if gamma == 1 else 0.057, abs=0.002)
    for seed in range(60):
        found = calibration_interval(*drawn(600, 80, seed, gamma), resamples=200, seed=seed)
        held["ece"] += found.ece[0] <= true <= found.ece[1]
        held["brier"] += found.brier[0] <= score <= found.brier[1]
    assert held["ece"] >= 56
    assert held["brier"] >= 53


def test_intervals_are_wider_where_documents_differ():
    confidence, right, cluster, clusters = drawn(600, 40, seed=1)
    right = (np.random.default_rng(2).random(40) < 0.8)[cluster]
    alone = Clusters(np.arange(600), 600, "sentence")
    (low, high), (narrow_low, narrow_high) = (
        calibration_interval(confidence, right, *how, resamples=200, seed=0).brier
        for how in ((cluster, clusters), (np.arange(600), alone))
    )
    assert high - low > 2 * (narrow_high - narrow_low)


def test_documents_that_are_all_alike_leave_the_score_no_room():
    """However large each is: a resample divides by the entities that it has drawn."""
    cluster = np.repeat(np.arange(12), np.arange(1, 13))
    confidence, right = np.full(78, 0.8), np.ones(78, dtype=bool)
    clusters = Clusters(np.arange(12), 12, "document")
    found = calibration_interval(confidence, right, cluster, clusters, resamples=100, seed=0)
    assert found.brier == pytest.approx((0.04, 0.04))
