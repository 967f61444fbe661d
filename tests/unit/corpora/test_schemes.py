"""Tag schemes to IOB2: worked examples, every kind of fault, spans to tags and back."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bioner.corpora.schemes import (
    ROLES,
    count_annotations,
    detect,
    find_bioes,
    to_iob2,
    type_blind_lengths,
)
from bioner.data.tags import Span, repair, spans, tag_set, tags_from_spans, violation

TYPES = ("Gene", "cell-line")


def converted(tags, scheme):
    result, faults = to_iob2(tags.split(), scheme)
    return " ".join(result), [(fault.position, fault.kind) for fault in faults]


@pytest.mark.parametrize(
    ("scheme", "tags", "iob2"),
    [
        ("IOB2", "O B-A I-A B-A O B-B", "O B-A I-A B-A O B-B"),
        ("IOB1", "O I-A I-A O I-A", "O B-A I-A O B-A"),
        ("IOB1", "I-A B-A I-A B-A", "B-A B-A I-A B-A"),
        ("IOB1", "I-A I-B I-B I-A", "B-A B-B I-B B-A"),
        ("IO", "O I-A I-A O I-A", "O B-A I-A O B-A"),
        ("IO", "I-A I-B I-A", "B-A B-B B-A"),
        ("BIOES", "O B-A I-A E-A S-B B-A E-A S-A S-A", "O B-A I-A I-A B-B B-A I-A B-A B-A"),
        ("BIOES", "O B-A I-A L-A U-B B-A L-A U-A U-A", "O B-A I-A I-A B-B B-A I-A B-A B-A"),
        ("BIOES", "O B-A M-A E-A W-B B-A E-A W-A W-A", "O B-A I-A I-A B-B B-A I-A B-A B-A"),
        ("BIOES", "S-cell-line B-cell-line E-cell-line", "B-cell-line B-cell-line I-cell-line"),
    ],
    ids=[
        "IOB2 as it is",
        "IOB1: I- begins",
        "IOB1: B- only after an entity of the type",
        "IOB1: touching types",
        "IO",
        "IO: touching types",
        "BIOES, IOBES",
        "BILOU",
        "BMEWO",
        "a dash in the type",
    ],
)
def test_each_scheme_in_iob2(scheme, tags, iob2):
    assert converted(tags, scheme) == (iob2, [])


def test_under_io_touching_entities_of_one_type_are_one():
    two = [Span(0, 1, "A"), Span(1, 3, "A")]
    assert spans(to_iob2(as_io(two, 3), "IO")[0]) == [Span(0, 3, "A")]


@pytest.mark.parametrize(
    ("scheme", "tags", "iob2", "faults"),
    [
        ("IOB2", "O I-A I-A", "O B-A I-A", [(1, "orphan")]),
        ("IOB2", "B-A I-B I-B", "B-A B-B I-B", [(1, "orphan")]),
        ("IOB2", "B-A O I-A", "B-A O B-A", [(2, "orphan")]),
        ("IOB2", "B-A E-A I-A", "B-A O B-A", [(1, "unknown-tag"), (2, "orphan")]),
        ("IOB2", "B I- O-A b-A 0", "O O O O O", [(n, "unknown-tag") for n in range(5)]),
        ("IOB1", "I-A S-A I-A", "B-A O B-A", [(1, "unknown-tag")]),
        ("IO", "Gene I-Gene", "O B-Gene", [(0, "unknown-tag")]),
        ("BIOES", "I-A E-A", "B-A I-A", [(0, "orphan")]),
        ("BIOES", "O E-A", "O B-A", [(1, "orphan")]),
        ("BIOES", "S-A E-A", "B-A B-A", [(1, "orphan")]),
        ("BIOES", "B-A E-A I-A E-A", "B-A I-A B-A I-A", [(2, "orphan")]),
        ("BIOES", "B-A I-A", "B-A I-A", [(1, "unclosed")]),
        ("BIOES", "B-A O", "B-A O", [(0, "unclosed")]),
        ("BIOES", "B-A B-A E-A", "B-A B-A I-A", [(0, "unclosed")]),
        ("BIOES", "B-A S-A", "B-A B-A", [(0, "unclosed")]),
        ("BIOES", "B-A X-A E-A", "B-A O B-A", [(0, "unclosed"), (1, "unknown-tag"), (2, "orphan")]),
    ],
)
def test_every_fault_is_named_once_and_mended_as_evaluators_read_it(scheme, tags, iob2, faults):
    assert converted(tags, scheme) == (iob2, faults)


@pytest.mark.parametrize(("second", "iob2"), [("I-B", "B-A B-B"), ("E-B", "B-A B-B")])
def test_another_type_inside_an_entity_leaves_one_unclosed_and_makes_an_orphan(second, iob2):
    result, faults = converted(f"B-A {second}", "BIOES")
    assert result == iob2
    assert (0, "unclosed") in faults
    assert (1, "orphan") in faults


@pytest.mark.parametrize(
    ("tags", "scheme", "found", "expected"),
    [
        (["O", "I-A"], "IOB2", "'I-A' after 'O'", "a B- or I- of the same type before it"),
        (
            ["I-A"],
            "IOB2",
            "'I-A' after the start of the sentence",
            "a B- or I- of the same type before it",
        ),
        (["E-A"], "IO", "'E-A'", "O or a prefix of IO (B-, I-) and a type"),
        (
            ["B-A"],
            "BIOES",
            "'B-A' as the last tag of an entity",
            "its end marked E- (S- for one token)",
        ),
    ],
)
def test_a_fault_says_what_was_found_and_what_was_expected(tags, scheme, found, expected):
    (fault,) = to_iob2(tags, scheme)[1]
    assert (fault.found, fault.expected) == (found, expected)


@pytest.mark.parametrize(
    ("sequences", "scheme"),
    [
        ([["O", "I-A"], ["B-A"]], "IOB2"),
        ([["O", "I-A"], ["I-B", "O"]], "IO"),
        ([["O", "B"]], "IO"),
        ([["O"], []], "IO"),
        ([], "IO"),
    ],
)
def test_one_b_anywhere_makes_a_corpus_iob2(sequences, scheme):
    assert detect(iter(sequences)) == scheme


@pytest.mark.parametrize(
    ("tags", "lengths"),
    [
        ("B-A I-A O B-A", [2, 1]),
        ("B-A B-A I-A", [1, 2]),
        ("B-A I-B I-B O", [3]),
        ("B-A O I-A", [1]),
        ("I-A I-A", []),
        ("O", []),
    ],
    ids=["usual", "adjacent", "any I- goes on", "not over an O", "no B- no entity", "none"],
)
def test_table_ii_lengths_count_from_b_over_any_i(tags, lengths):
    assert type_blind_lengths(tags.split()) == lengths


# From spans to tags in each scheme, written from their definitions.
def as_io(entities, length):
    tags = ["O"] * length
    for start, end, type_ in entities:
        tags[start:end] = [f"I-{type_}"] * (end - start)
    return tags


def as_iob1(entities, length):
    tags = as_io(entities, length)
    for left, right in pairwise(entities):
        if left.end == right.start and left.type == right.type:
            tags[right.start] = f"B-{right.type}"
    return tags


def as_closed(first, inside, last, single):
    def encode(entities, length):
        tags = ["O"] * length
        for start, end, type_ in entities:
            letters = [single] if end - start == 1 else [first, *inside * (end - start - 2), last]
            tags[start:end] = [f"{letter}-{type_}" for letter in letters]
        return tags

    return encode


ENCODERS = {
    "IOB2": ("IOB2", tags_from_spans),
    "IOB1": ("IOB1", as_iob1),
    "IO": ("IO", as_io),
    "BIOES": ("BIOES", as_closed("B", "I", "E", "S")),
    "BILOU": ("BIOES", as_closed("B", "I", "L", "U")),
    "BMEWO": ("BIOES", as_closed("B", "M", "E", "W")),
}


@st.composite
def sentences_with_spans(draw, apart=False):
    """Flat spans and the length of their sentence; `apart`: none touches another of its type."""
    entities, position = [], 0
    pieces = st.tuples(st.integers(0, 2), st.integers(1, 4), st.sampled_from(TYPES))
    for gap, length, type_ in draw(st.lists(pieces, max_size=8)):
        touches = not gap and entities and entities[-1].type == type_
        start = position + (1 if apart and touches else gap)
        position = start + length
        entities.append(Span(start, position, type_))
    return entities, position + draw(st.integers(0, 2))


@pytest.mark.parametrize("name", ENCODERS)
@given(data=st.data())
def test_spans_survive_every_scheme_without_a_fault(name, data):
    scheme, encode = ENCODERS[name]
    entities, length = data.draw(sentences_with_spans(apart=name == "IO"))
    tags, faults = to_iob2(encode(entities, length), scheme)
    assert spans(tags) == entities
    assert len(tags) == length
    assert faults == []


JUNK = st.lists(
    st.builds(
        "{}{}{}".format,
        st.sampled_from(["", *"BIOESLUMWX0b"]),
        st.sampled_from(["", "-"]),
        st.sampled_from("AB"),
    )
    | st.sampled_from(["O", "", "-", "--", "B-", "I-cell-line"])
    | st.text(max_size=4)
)


@pytest.mark.parametrize("scheme", ROLES)
@given(tags=JUNK)
def test_whatever_the_tags_what_comes_out_is_valid_iob2_of_their_length(scheme, tags):
    result, faults = to_iob2(tags, scheme)
    assert violation(result) is None
    assert len(result) == len(tags)
    assert all(0 <= fault.position < len(tags) for fault in faults)


@given(st.lists(st.sampled_from(tag_set(TYPES))))
def test_valid_iob2_stays_as_it_is(tags):
    valid = repair(tags).tags
    assert to_iob2(valid, "IOB2") == (valid, [])


@given(JUNK)
def test_iob2_without_faults_is_iob2_without_violations_and_the_reverse(tags):
    assert (to_iob2(tags, "IOB2")[1] == []) == (violation(tags) is None)


@given(JUNK)
def test_mending_is_the_repair_that_predictions_get(tags):
    """Gold and predictions are read by one rule."""
    result, faults = to_iob2(tags, "IOB2")
    illegal = sum(fault.kind == "unknown-tag" for fault in faults)
    assert repair(tags) == (
        result,
        illegal,
        [fault.position for fault in faults if fault.kind == "orphan"],
    )


@pytest.mark.parametrize("tags", ["B-A E-A", "S-A", "B-A L-A", "U-A", "W-A"])
def test_marks_of_an_end_or_a_single_token_are_bioes(tags):
    assert detect(iter([["O"], tags.split()])) == "BIOES"


@pytest.mark.parametrize(
    ("scheme", "tags", "number"),
    [
        ("IOB2", "B-A I-A B-A O I-A I-B", 4),
        ("IOB1", "I-A I-A B-A O I-A I-B", 4),
        ("IO", "I-A I-A O I-A I-B", 3),
        ("BIOES", "B-A I-A E-A S-A E-A I-A B-A B-A", 6),
        ("IOB2", "b-A i-A O x B-A B_A i", 4),
        ("IOB2", "B- -A B", 1),
    ],
    ids=["IOB2", "IOB1", "IO", "BIOES", "runs of unknown tags", "prefix or type missing"],
)
def test_annotations_are_entities_and_runs_of_unknown_tags(scheme, tags, number):
    assert count_annotations(tags.split(), scheme) == number


@pytest.mark.parametrize("scheme", ROLES)
@given(tags=JUNK)
def test_every_annotation_is_an_entity_or_a_run_of_unknown_tags(scheme, tags):
    result, faults = to_iob2(tags, scheme)
    unknown = {fault.position for fault in faults if fault.kind == "unknown-tag"}
    runs = sum(position - 1 not in unknown for position in unknown)
    assert count_annotations(tags, scheme) == len(spans(result)) + runs


@pytest.mark.parametrize(
    ("tags", "shown"),
    [
        ("B-A I-A E-A O S-A", "E-A"),
        ("B-A L-A U-A", "L-A"),
        ("B-A M-A E-A W-A", "E-A"),
        ("I-A I-A E-A", "E-A"),
        ("B-A I-A E-cadherin L-DOPA S-nitrosylation", None),
        ("B-A I-A A-A X-A E- E", None),
        ("S-A S-A", None),
    ],
    ids=["IOBES", "BILOU", "BMEWO", "no B-", "words", "other letters", "no type known otherwise"],
)
def test_the_end_or_single_of_a_type_that_is_begun_elsewhere_shows_bioes(tags, shown):
    for scheme in ("IOB2", "IOB1", "IO"):
        assert find_bioes([["O"], tags.split()], scheme) == shown
    assert find_bioes([tags.split()], "BIOES") is None
