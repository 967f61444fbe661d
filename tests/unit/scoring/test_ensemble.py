"""Several systems as one, by hand, and what holds for any."""

from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bioner.data.tags import repair, spans, violation
from bioner.scoring.ensemble import Combination, combine
from tests.conftest import instance
from tests.unit.scoring.predicted import predicted

COMBINATIONS = get_args(Combination)

GOLD = [instance("s1", "renal/O failure/O after/O aspirin/O")]


def combined(combination: str, *members: str) -> str:
    (prediction,) = combine(GOLD, [predicted(tags) for tags in members], combination)
    assert prediction.id == "s1"
    return " ".join(prediction.tags)


def test_a_vote_takes_what_more_than_half_predict():
    assert combined("vote", "B-D I-D O B-C", "B-D I-D O O", "O B-D O B-C") == "B-D I-D O B-C"


def test_half_is_not_a_majority():
    assert combined("vote", "B-D I-D O O", "B-D I-D O O", "O O O O", "O O O O") == "O O O O"


def test_boundaries_and_type_are_voted_on_together():
    assert combined("vote", "B-D I-D O O", "O B-D O O", "B-C I-C O O") == "O O O O"


def test_the_union_keeps_all_and_of_overlapping_spans_the_longer():
    assert combined("union", "O B-D O O", "B-D I-D O B-C") == "B-D I-D O B-C"


def test_of_equally_long_ones_the_leftmost_stays_and_then_the_first_member_s():
    assert combined("union", "O B-D I-D O", "B-D I-D O O") == "B-D I-D O O"
    assert combined("union", "B-D I-D O O", "B-C I-C O O") == "B-D I-D O O"
    assert combined("union", "B-C I-C O O", "B-D I-D O O") == "B-C I-C O O"


def test_the_intersection_keeps_what_all_predict():
    assert combined("intersection", "B-D I-D O B-C", "B-D I-D O O") == "B-D I-D O O"


TAGS = st.lists(st.sampled_from(["O", "B-A", "I-A", "B-B", "I-B"]), min_size=4, max_size=4)


@given(st.lists(TAGS, min_size=2, max_size=5), st.sampled_from(COMBINATIONS))
def test_any_members_give_valid_tags_and_no_span_of_nobody(members, combination):
    valid = [" ".join(repair(tags).tags) for tags in members]
    tags = combined(combination, *valid).split()
    assert violation(tags) is None
    assert set(spans(tags)) <= {span for each in valid for span in spans(each.split())}


@given(st.lists(TAGS, min_size=2, max_size=4))
def test_intersection_within_vote_within_what_the_members_have(members):
    valid = [" ".join(repair(tags).tags) for tags in members]
    intersection, vote = (
        set(spans(combined(name, *valid).split())) for name in ("intersection", "vote")
    )
    assert intersection <= vote


@pytest.mark.parametrize("combination", COMBINATIONS)
def test_members_that_agree_are_the_ensemble(combination):
    assert combined(combination, *["B-D I-D O B-C"] * 3) == "B-D I-D O B-C"
