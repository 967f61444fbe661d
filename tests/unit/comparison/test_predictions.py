"""Predictions that differ, counted by hand."""

import pytest

from bioner.comparison.predictions import PredictionAgreement, compare_predictions
from tests.conftest import instance

GOLD = [instance(f"s{n}", "Oral/O aspirin/B-Drug for/O gout/B-Disease attack/O") for n in range(4)]
RIGHT = "Oral aspirin/B-Drug for gout/B-Disease attack"
LONGER = "Oral aspirin/B-Drug for gout/B-Disease attack/I-Disease"
OTHER_TYPE = "Oral aspirin/B-Disease for gout/B-Disease attack"
MISSED = "Oral aspirin for gout/B-Disease attack"


def predicted(*texts: str) -> list:
    return [instance(f"s{number}", text) for number, text in enumerate(texts)]


def test_entities_differ_that_only_one_predicts_with_that_span_and_type():
    one, other = predicted(LONGER, OTHER_TYPE, MISSED, RIGHT), predicted(*[RIGHT] * 4)
    found = compare_predictions(GOLD, one, other)
    assert (found.entities, found.differing) == (7 + 8, 2 + 2 + 1)
    assert found.share == 5 / 15
    # One of 7 less: 5 of 7 predictions right, of 8 entities; the other is perfect.
    assert found.difference == pytest.approx(200 * 5 / 15 - 100)
    assert compare_predictions(GOLD, other, one).difference == pytest.approx(-found.difference)


def test_the_interval_is_that_of_the_difference_without_each_document():
    found = compare_predictions(
        GOLD, predicted(MISSED, RIGHT, RIGHT, RIGHT), predicted(*[RIGHT] * 4)
    )
    without = [0.0, *[200 * 5 / 11 - 100] * 3]  # without the first they agree
    mean = sum(without) / 4
    error = (3 / 4 * sum((each - mean) ** 2 for each in without)) ** 0.5
    half = 3.182446 * error  # Student's t with three degrees of freedom
    difference = 200 * 7 / 15 - 100
    assert found.difference == pytest.approx(difference)
    assert (found.ci_low, found.ci_high) == pytest.approx((difference - half, difference + half))


def test_equal_predictions_have_no_fault_and_one_document_has_no_interval():
    right = predicted(*[RIGHT] * 4)
    assert compare_predictions(GOLD, right, right) == PredictionAgreement(16, 0, 0, 0, 0)
    assert compare_predictions(GOLD, right, right).fault is None
    alone = compare_predictions(GOLD[:1], right[:1], predicted(MISSED))
    assert (alone.ci_low, alone.ci_high) == (None, None)
    assert alone.fault == (
        "33.33 % of the entities differ and a difference of more than 0.2 points in strict F1 is"
        " not excluded (+33.33)"
    )


@pytest.mark.parametrize(
    ("agreement", "fault"),
    [
        (PredictionAgreement(1000, 5, 0.1, -0.2, 0.2), None),
        (PredictionAgreement(1000, 6, 0.0, 0.0, 0.0), "0.60 % of the entities differ"),
        (
            PredictionAgreement(1000, 4, -0.1, -0.3, 0.1),
            "a difference of more than 0.2 points in strict F1 is not excluded (-0.10, 95 %"
            " interval -0.30 to +0.10)",
        ),
        (PredictionAgreement(0, 0, 0.0, None, None), None),
    ],
)
def test_half_a_percent_of_the_entities_or_a_fifth_of_a_point_is_too_much(agreement, fault):
    assert agreement.fault == fault
