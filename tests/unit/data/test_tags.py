"""IOB2 tags and spans: conversion both ways, violations, flat spans, repair with its counts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bioner.data.tags import (
    Span,
    repair,
    resolve_overlaps,
    spans,
    split_tag,
    tag_set,
    tags_from_spans,
    violation,
    violations,
)

TYPES = ("Chemical", "Disease", "cell-line")
TAGS = st.sampled_from(
    [*tag_set(TYPES), "", "B", "I-", "B-", "E-Disease", "S-Chemical", "b-Disease", "o"]
)


@st.composite
def sentences_with_spans(draw):
    """Non-overlapping spans, possibly adjacent, and the length of their sentence."""
    entities, position = [], 0
    for gap, length, type_ in draw(
        st.lists(
            st.tuples(st.integers(0, 3), st.integers(1, 4), st.sampled_from(TYPES)), max_size=8
        )
    ):
        entities.append(Span(position + gap, position + gap + length, type_))
        position += gap + length
    return entities, position + draw(st.integers(0, 3))


@given(sentences_with_spans())
def test_spans_survive_the_way_to_tags_and_back(case):
    entities, length = case
    tags = tags_from_spans(entities, length)
    assert len(tags) == length
    assert spans(tags) == entities


@given(st.lists(TAGS))
def test_valid_tags_survive_the_way_to_spans_and_back(tags):
    valid = repair(tags).tags
    assert tags_from_spans(spans(valid), len(valid)) == valid


def test_adjacent_entities_of_one_type_stay_two():
    tags = ["B-Disease", "I-Disease", "B-Disease", "O"]
    assert spans(tags) == [Span(0, 2, "Disease"), Span(2, 3, "Disease")]


def test_length_of_a_span_is_counted_in_tokens():
    assert Span(3, 7, "Gene").length == 4


@pytest.mark.parametrize(
    ("tag", "parts"),
    [
        ("O", ("O", "")),
        ("B-Gene", ("B", "Gene")),
        ("I-cell-line", ("I", "cell-line")),
        ("E-Gene", ("", "E-Gene")),
        ("B-", ("", "B-")),
        ("B-two words", ("", "B-two words")),
        ("I- Gene", ("", "I- Gene")),
        ("B", ("", "B")),
        ("", ("", "")),
    ],
)
def test_a_tag_is_split_at_its_first_dash(tag, parts):
    assert split_tag(tag) == parts


@pytest.mark.parametrize(
    ("tags", "position", "reason"),
    [
        (["I-Gene"], 0, "continues no Gene entity"),
        (["B-Gene", "O", "I-Gene"], 2, "continues no Gene entity"),
        (["O", "B-Gene", "I-Disease"], 2, "continues no Disease entity"),
        (["O", "S-Gene"], 1, "neither O nor B-TYPE nor I-TYPE"),
        (["O", "O", "B-"], 2, "neither O nor B-TYPE nor I-TYPE"),
        (["O", "x", "I-Gene"], 1, "neither O nor B-TYPE nor I-TYPE"),
    ],
)
def test_the_first_violation_is_named_with_its_position_and_reason(tags, position, reason):
    found = violation(tags)
    assert found is not None
    assert found[0] == position
    assert reason in found[1]


@pytest.mark.parametrize("tags", [[], ["O"], ["B-A", "I-A", "I-A"], ["B-A", "B-B", "I-B", "O"]])
def test_valid_sequences_have_no_violation(tags):
    assert violation(tags) is None


def test_every_violation_is_named_and_none_hides_the_next():
    """An I- after a tag that is none continues nothing; one after an orphan continues it."""
    tags = ["I-A", "I-A", "I-B", "x", "I-B", "O", "B-A", "I-B"]
    assert [position for position, _ in violations(tags)] == [0, 2, 3, 4, 7]
    assert dict(violations(tags))[3] == "'x' is neither O nor B-TYPE nor I-TYPE"
    assert dict(violations(tags))[4] == "'I-B' continues no B entity"
    assert [position for position, _ in violations(["A", "I-A"])] == [0, 1]


@given(st.lists(TAGS))
def test_the_first_violation_is_the_first_of_all_and_repair_mends_as_many(tags):
    found = list(violations(tags))
    assert violation(tags) == (found[0] if found else None)
    assert (repair(tags).tags == tags) == (not found)


def test_spans_of_invalid_tags_are_refused_with_the_position():
    with pytest.raises(ValueError, match=r"token 1.*'I-Gene'"):
        spans(["O", "I-Gene"])


@pytest.mark.parametrize(
    ("entities", "reason"),
    [
        ([Span(0, 2, "A"), Span(1, 3, "A")], "overlaps"),
        ([Span(0, 4, "A")], "outside a sequence of 3"),
        ([Span(-1, 1, "A")], "outside"),
        ([Span(1, 1, "A")], "outside"),
    ],
)
def test_spans_that_no_tags_can_state_are_refused(entities, reason):
    with pytest.raises(ValueError, match=reason):
        tags_from_spans(entities, 3)


@pytest.mark.parametrize(
    ("entities", "kept", "dropped"),
    [
        ([(5, 6), (0, 2)], [(0, 2), (5, 6)], []),
        ([(0, 2), (2, 3)], [(0, 2), (2, 3)], []),
        ([(0, 2), (1, 4)], [(1, 4)], [((0, 2), (1, 4))]),
        ([(1, 2), (0, 3)], [(0, 3)], [((1, 2), (0, 3))]),
        ([(1, 3), (0, 2)], [(0, 2)], [((1, 3), (0, 2))]),
        ([(0, 2), (0, 2)], [(0, 2)], [((0, 2), (0, 2))]),
        ([(0, 2), (1, 3), (2, 4)], [(0, 2), (2, 4)], [((1, 3), (0, 2))]),
        ([(0, 2), (1, 4), (3, 6)], [(1, 4)], [((3, 6), (1, 4)), ((0, 2), (1, 4))]),
        ([(0, 2), (1, 4), (3, 7)], [(0, 2), (3, 7)], [((1, 4), (3, 7))]),
        ([], [], []),
    ],
    ids=[
        "none overlap",
        "touching is no overlap",
        "the longer wins",
        "also around the shorter",
        "ties: the leftmost",
        "one of two that are the same",
        "what the loser kept off stays",
        "a winner may drop two",
        "what lost drops none",
        "none",
    ],
)
def test_of_overlapping_spans_the_longer_wins_then_the_leftmost(entities, kept, dropped):
    named = resolve_overlaps([Span(*entity, "A") for entity in entities])
    assert [span[:2] for span in named[0]] == kept
    assert [(loser[:2], winner[:2]) for loser, winner in named[1]] == dropped


def test_of_two_types_on_one_span_the_first_given_wins():
    first, second = Span(0, 2, "B"), Span(0, 2, "A")
    assert resolve_overlaps([first, second]) == ([first], [(second, first)])
    assert resolve_overlaps([second, first]) == ([second], [(first, second)])


@given(
    st.lists(
        st.builds(
            lambda start, length, type_: Span(start, start + length, type_),
            st.integers(0, 12),
            st.integers(1, 6),
            st.sampled_from(TYPES),
        ),
        max_size=10,
    )
)
def test_flat_spans_do_not_overlap_and_every_one_dropped_overlaps_one_kept_that_is_as_long(
    entities,
):
    kept, dropped = resolve_overlaps(entities)
    assert spans(tags_from_spans(kept, 20)) == kept
    assert sorted([*kept, *(loser for loser, _ in dropped)]) == sorted(entities)
    for loser, winner in dropped:
        assert winner in kept
        assert loser.start < winner.end
        assert winner.start < loser.end
        assert winner.length >= loser.length
    assert resolve_overlaps(kept) == (kept, [])


@pytest.mark.parametrize(
    ("tags", "repaired", "illegal", "orphans"),
    [
        (["O", "I-A", "I-A"], ["O", "B-A", "I-A"], 0, [1]),
        (["B-A", "I-B", "I-B"], ["B-A", "B-B", "I-B"], 0, [1]),
        (["I-A", "O", "I-A"], ["B-A", "O", "B-A"], 0, [0, 2]),
        (["B-A", "", "I-A"], ["B-A", "O", "B-A"], 1, [2]),
        (["X-A", "B", "B-A"], ["O", "O", "B-A"], 2, []),
    ],
)
def test_repair_keeps_account_of_illegal_tags_and_orphans_apart(tags, repaired, illegal, orphans):
    assert repair(tags) == (repaired, illegal, orphans)


def test_a_type_outside_the_legal_set_becomes_o_and_breaks_the_entity_it_stood_in():
    legal = frozenset(tag_set(["A"]))
    assert repair(["B-A", "I-B", "I-A", "B-B"], legal) == (["B-A", "O", "B-A", "O"], 2, [2])


@given(st.lists(TAGS))
def test_repair_always_gives_valid_tags_of_the_same_length(tags):
    repaired = repair(tags, frozenset(tag_set(["Chemical", "Disease"]))).tags
    assert len(repaired) == len(tags)
    assert violation(repaired) is None


@given(st.lists(TAGS))
def test_repairing_twice_changes_nothing_more(tags):
    once = repair(tags).tags
    assert repair(once) == (once, 0, [])


def test_the_tag_set_is_o_then_b_and_i_by_alphabet_whatever_the_order_and_doubles():
    expected = ["O", "B-Chemical", "I-Chemical", "B-Disease", "I-Disease"]
    assert tag_set(["Disease", "Chemical", "Disease"]) == expected
    assert tag_set({"Chemical", "Disease"}) == expected
    assert tag_set([]) == ["O"]
