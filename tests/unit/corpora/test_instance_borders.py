"""Borders between instances of a text: at full stops or sentences, never inside an annotation."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bioner.corpora.changes import Changes
from bioner.corpora.segment import Rules, segment
from tests.unit.corpora.test_segment import TEXTS, document, laid

STOPS = "a a . b b . c c c ."  # sentences of 3, 3 and 4 tokens


@pytest.mark.parametrize(
    ("text", "longest", "lengths"),
    [
        (STOPS, 10, [10]),
        (STOPS, 9, [6, 4]),
        (STOPS, 7, [6, 4]),
        (STOPS, 6, [6, 4]),
        (STOPS, 5, [3, 3, 4]),
        (STOPS, 3, [3, 3, 4]),
        (STOPS, 1, [3, 3, 4]),
        ("a a a . b b . c c .", 6, [4, 6]),
        ("a . b . c . d .", 5, [4, 4]),
        ("a a . b b", 4, [3, 2]),
        ("a a a a a a . b .", 3, [7, 2]),
        ("b . a a a a a a . c . d .", 4, [2, 7, 4]),
        ("a a a a a a", 3, [6]),
        ("a . .", 2, [2, 1]),
        ("a 2.5 e.g. b", 3, [4]),
    ],
)
def test_a_long_passage_is_cut_after_full_stops_and_put_together_up_to_max_tokens(
    text, longest, lengths
):
    instances, changes = laid(text, max_tokens=longest)
    assert [len(instance.split()) for instance in instances] == lengths
    assert " ".join(instances) == text
    assert changes == []


def test_each_passage_is_measured_on_its_own():
    assert laid(["a a . b b .", "c . d ."], max_tokens=5)[0] == ["a a .", "b b .", "c . d ."]


@pytest.mark.parametrize(
    ("annotation", "instances"),
    [
        ((2, 7, "X"), ["a a/B-X ./I-X b/I-X b .", "c c c ."]),
        ((2, 5, "X"), ["a a/B-X ./I-X b b .", "c c c ."]),
        ((6, 9, "X"), ["a a .", "b/B-X b/I-X .", "c c c ."]),
        ((0, 19, "X"), ["a/B-X a/I-X ./I-X b/I-X b/I-X ./I-X c/I-X c/I-X c/I-X ./I-X"]),
    ],
    ids=[
        "over a full stop",
        "with a full stop at its end",
        "behind a full stop",
        "over everything",
    ],
)
def test_no_cut_falls_on_an_annotation(annotation, instances):
    assert laid(STOPS, annotation, max_tokens=3) == (instances, [])


PROSE = "So it is. Is it ? Dr. Who fell !"


def test_segmentation_by_sentences_takes_spacys_whatever_their_length():
    expected = ["So it is .", "Is it ?", "Dr. Who fell !"]
    assert laid(PROSE, segmentation="sentences", max_tokens=1) == (expected, [])
    assert laid(PROSE) == ([" ".join(expected)], [])


def test_a_sentence_begins_at_its_first_word_also_behind_white_space():
    assert laid("\n So .\n\n\u00a0 It .\n", segmentation="sentences")[0] == ["So .", "It ."]


@pytest.mark.parametrize(
    ("annotation", "instances"),
    [
        ((6, 12, "X"), ["So it is/B-X ./I-X Is/I-X it ?", "Dr. Who fell !"]),
        ((10, 12, "X"), ["So it is .", "Is/B-X it ?", "Dr. Who fell !"]),
    ],
    ids=["over a border", "behind one"],
)
def test_no_sentence_begins_inside_an_annotation(annotation, instances):
    assert laid(PROSE, annotation, segmentation="sentences") == (instances, [])


def test_a_split_token_opens_one_sentence_not_two():
    assert laid("So it . BRCA1/2 it .", (8, 13, "X"), borders="split", segmentation="sentences")[
        0
    ] == [
        "So it .",
        "BRCA1/B-X /2 it .",
    ]


@given(text=TEXTS, longest=st.integers(1, 12))
def test_an_instance_is_over_max_tokens_only_where_it_is_one_sentence(text, longest):
    sentences = list(segment(document(text), Rules(max_tokens=longest), Changes()))
    assert all(len(s.tokens) <= longest or "." not in s.tokens[:-1] for s in sentences)
    words = [sentence.tokens for sentence in sentences]
    first = [tokens.index(".") + 1 if "." in tokens else len(tokens) for tokens in words]
    assert all(
        len(left) + following > longest for left, following in zip(words, first[1:], strict=False)
    )
