"""Text with stand-off annotations to instances: tokens, borders, overlaps, cuts, listed losses."""

import subprocess
import sys
from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bioner.corpora.changes import ARTEFACTS, LOSSES, NESTED, REPAIRS, Changes
from bioner.corpora.readers.standoff import Annotation, Document, Passage
from bioner.corpora.segment import Rules, segment, split, tokenize, widened
from bioner.data.tags import spans, violation
from bioner.errors import InputError
from tests.unit.corpora.readers import words_and_tags


def document(*texts, annotations=()):
    """Return passages one character apart; annotations as (start, end, type) or with their text."""
    passages, offset = [], 0
    for text in texts:
        passages.append(Passage(offset, text))
        offset += len(text) + 1
    whole = " ".join(texts)
    marked = [
        Annotation(f"raw:{line}", start, end, type_, other[0] if other else whole[start:end])
        for line, (start, end, type_, *other) in enumerate(annotations, 2)
    ]
    return Document("raw:1", "d", passages, marked)


def laid(text, *annotations, borders="widen", on_error="fail", **rules):
    """Instances as `word/TAG` words, and the changes listed as (kind, type, line)."""
    changes = Changes(on_error)
    texts = [text] if isinstance(text, str) else text
    sentences = segment(
        document(*texts, annotations=annotations), Rules(borders=borders, **rules), changes
    )
    instances = [words_and_tags(sentence) for sentence in sentences]
    return instances, [
        (change.kind, change.type, int(change.where.rpartition(":")[2]))
        for change in changes.listed
    ]


def test_the_module_can_be_the_first_to_be_imported():
    code = "import bioner.corpora.segment"
    assert (
        subprocess.run([sys.executable, "-c", code], check=False, capture_output=True).returncode
        == 0
    )


# Tokens are those of spaCy's rules.


def test_tokens_have_their_text_and_place_in_the_document():
    tokens = tokenize(Passage(100, "TNF-α (2.5 mg)"))
    assert [(token.start, token.end, token.text) for token in tokens] == [
        (100, 103, "TNF"),
        (103, 104, "-"),
        (104, 105, "α"),
        (106, 107, "("),
        (107, 110, "2.5"),
        (111, 113, "mg"),
        (113, 114, ")"),
    ]


SPACES = " \t\n\r\u00a0\u2003\u2028\u3000\u0085\x1c"


@pytest.mark.parametrize("space", SPACES)
def test_every_kind_of_white_space_divides_tokens_and_is_in_none(space):
    assert [token.text for token in tokenize(Passage(0, f"{space}so{space}{space}ill{space}"))] == [
        "so",
        "ill",
    ]


WORDS = st.sampled_from(
    ["TNF-alpha", "BRCA1/2", "p53", ".", "(", "mice", "don't", "IL-2's", "5mg", "ill.", "α", "e.g."]
)
SPACE = st.sampled_from(["", " ", "  ", "\u00a0", "\n", "\t "])
TEXTS = st.lists(st.tuples(WORDS, SPACE), min_size=1, max_size=12).map(
    lambda parts: "".join(map("".join, parts))
)


@given(
    text=TEXTS | st.text(f"abAB01-./'(){SPACES}"),
    offset=st.integers(0, 1000),
    sentences=st.booleans(),
)
def test_tokens_are_the_text_at_their_offsets_in_order_and_hold_all_but_white_space(
    text, offset, sentences
):
    tokens = tokenize(Passage(offset, text), sentences)
    assert [token.text for token in tokens] == [
        text[token.start - offset : token.end - offset] for token in tokens
    ]
    assert all(left.end <= right.start for left, right in pairwise(tokens))
    assert all(token.text.split() == [token.text] for token in tokens)
    assert "".join(token.text for token in tokens) == "".join(text.split())


# Borders of annotations inside tokens.

MICE = "BRCA1/2 mutant mice"  # tokens 0-7, 8-14, 15-19
GENE, TWO, VARIANT = (0, 5, "Gene"), (6, 7, "Two"), (6, 14, "Variant")


@pytest.mark.parametrize("borders", ["widen", "split"])
def test_an_annotation_of_whole_tokens_is_an_entity_and_nothing_is_listed(borders):
    whole = [(0, 7, "Gene"), (8, 19, "Animal")]
    assert laid(MICE, *whole, borders=borders) == (
        ["BRCA1/2/B-Gene mutant/B-Animal mice/I-Animal"],
        [],
    )


def test_widen_takes_whole_tokens():
    assert laid(MICE, GENE) == (["BRCA1/2/B-Gene mutant mice"], [("widened", "Gene", 2)])
    assert laid(MICE, VARIANT) == (
        ["BRCA1/2/B-Variant mutant/I-Variant mice"],
        [("widened", "Variant", 2)],
    )


def test_split_ends_a_token_where_an_annotation_ends():
    assert laid(MICE, GENE, borders="split") == (
        ["BRCA1/B-Gene /2 mutant mice"],
        [("split-token", "Gene", 2)],
    )
    late = (8, 17, "Animal")
    assert laid(MICE, late, borders="split") == (
        ["BRCA1/2 mutant/B-Animal mi/I-Animal ce"],
        [("split-token", "Animal", 2)],
    )


def test_split_leaves_out_what_begins_inside_a_token():
    """Even if another annotation has split the token there: borders are those of the text alone."""
    assert laid(MICE, VARIANT, borders="split") == (
        ["BRCA1/2 mutant mice"],
        [("inside-token", "Variant", 2)],
    )
    touching = (5, 7, "Rest")
    assert laid(MICE, GENE, touching, borders="split") == (
        ["BRCA1/B-Gene /2 mutant mice"],
        [("split-token", "Gene", 2), ("inside-token", "Rest", 3)],
    )


def test_split_keeps_its_place_after_a_token_that_was_split():
    assert laid(MICE, GENE, (8, 12, "A"), (15, 19, "B"), borders="split")[0] == [
        "BRCA1/B-Gene /2 muta/B-A nt mice/B-B",
    ]


def test_of_two_annotations_on_one_token_the_longer_has_it():
    """BRCA1 has five characters, 2 has one; then one token against two."""
    assert laid(MICE, TWO, GENE) == (
        ["BRCA1/2/B-Gene mutant mice"],
        [("shared-token", "Two", 2), ("widened", "Gene", 3)],
    )
    assert laid(MICE, GENE, VARIANT) == (
        ["BRCA1/2/B-Variant mutant/I-Variant mice"],
        [("shared-token", "Gene", 2), ("widened", "Variant", 3)],
    )


def test_the_longer_one_in_characters_need_not_be_the_left_one():
    """B has one character of the token, /2 has two, RCA1 the most."""
    assert laid(MICE, (0, 1, "B"), (5, 7, "Rest"), (1, 5, "Gene")) == (
        ["BRCA1/2/B-Gene mutant mice"],
        [("shared-token", "Rest", 3), ("shared-token", "B", 2), ("widened", "Gene", 4)],
    )


def test_of_two_annotations_of_one_type_on_one_token_one_is_listed_too():
    assert laid(MICE, (0, 5, "Gene"), (6, 7, "Gene")) == (
        ["BRCA1/2/B-Gene mutant mice"],
        [("shared-token", "Gene", 3), ("widened", "Gene", 2)],
    )


def test_artefacts_are_no_faults():
    """They stop nothing with `on_error: fail`, and the table of changes says what was done."""
    changes = Changes("fail")
    list(segment(document(MICE, annotations=[GENE]), Rules(), changes))
    (change,) = changes.listed
    assert change[1:] == ("raw:2", "d", "widened", "Gene", 0, 5, "BRCA1", ARTEFACTS["widened"])


def test_white_space_at_the_edge_of_an_annotation_loses_it_under_neither_rule():
    wide = (7, 14, "A", " mutant")
    assert laid(MICE, wide)[0] == ["BRCA1/2 mutant/B-A mice"]
    assert laid(MICE, wide, borders="split")[0] == ["BRCA1/2 mutant/B-A mice"]


# Faults: refused with the place and the way out, or listed and mended by one rule.

RENAL = "chronic renal failure now"  # words at 0, 8, 14, 22
TWO_PASSAGES = ["Ill mice .", "They fell ."]  # 0 to 10, 11 to 22


@pytest.mark.parametrize(
    ("text", "annotations", "kind", "place", "found", "instances"),
    [
        (
            RENAL,
            [(8, 13, "A"), (8, 21, "B")],
            "overlap",
            2,
            "the annotations 8 to 13 (A) and 8 to 21 (B) of d, which overlap; expected flat",
            ["chronic renal/B-B failure/I-B now"],
        ),
        (
            RENAL,
            [(8, 21, "B"), (0, 13, "A")],
            "overlap",
            2,
            "the annotations 8 to 21 (B) and 0 to 13 (A) of d, which overlap",
            ["chronic/B-A renal/I-A failure now"],
        ),
        (
            RENAL,
            [(0, 7, "B"), (0, 7, "A")],
            "overlap",
            3,
            "the annotations 0 to 7 (A) and 0 to 7 (B) of d, which overlap",
            ["chronic/B-B renal failure now"],
        ),
        (
            RENAL,
            [(0, 7, "A"), (0, 7, "A")],
            "overlap",
            3,
            "the annotations 0 to 7 (A) and 0 to 7 (A) of d, which overlap",
            ["chronic/B-A renal failure now"],
        ),
        (
            RENAL,
            [(8, 13, "A", "renals")],
            "text-mismatch",
            2,
            "the annotation 'renals' at 8 to 13 of d; expected 'renal', its text there.",
            [RENAL],
        ),
        (
            RENAL,
            [(7, 8, "A")],
            "text-mismatch",
            2,
            "the annotation 7 to 8 of d, which is white space; expected a mention",
            [RENAL],
        ),
        (
            RENAL,
            [(22, 26, "A")],
            "outside",
            2,
            "the annotation 22 to 26 of d; expected a start before its end inside 0 to 25.",
            [RENAL],
        ),
        (RENAL, [(8, 8, "A")], "outside", 2, "the annotation 8 to 8 of d", [RENAL]),
        (RENAL, [(13, 8, "A")], "outside", 2, "the annotation 13 to 8 of d", [RENAL]),
        (RENAL, [(-1, 7, "A")], "outside", 2, "the annotation -1 to 7 of d", [RENAL]),
        (
            TWO_PASSAGES,
            [(9, 15, "A")],
            "crosses-passages",
            2,
            "the annotation 9 to 15 over 2 passages of d; expected an annotation inside a passage",
            TWO_PASSAGES,
        ),
        (TWO_PASSAGES, [(4, 11, "A")], "outside", 2, "the annotation 4 to 11 of d", TWO_PASSAGES),
        (TWO_PASSAGES, [(10, 11, "A")], "outside", 2, "the annotation 10 to 11 of d", TWO_PASSAGES),
        ([], [], "empty-document", 1, "a document without text; expected text.", []),
        ([" \n", "\u00a0"], [], "empty-document", 1, "a document without text; expected text.", []),
    ],
    ids=[
        "the longer wins",
        "ties: the leftmost",
        "then the first in the file",
        "twice the same",
        "another text",
        "white space alone",
        "behind the end",
        "nothing",
        "backwards",
        "before the beginning",
        "over two passages",
        "over the end of one",
        "between them",
        "no passage",
        "no text in them",
    ],
)
def test_a_fault_is_refused_with_its_place_or_listed_once(
    text, annotations, kind, place, found, instances
):
    with pytest.raises(InputError) as caught:
        laid(text, *annotations)
    message = str(caught.value)
    assert message.startswith(f"raw:{place}: found {found}")
    assert message.endswith(
        f"Mend the file, or set `on_error: repair` in the catalogue: {REPAIRS[kind]}."
    )
    mended, changes = laid(text, *annotations, on_error="repair")
    assert mended == instances
    assert [(listed, line) for listed, _, line in changes] == [(kind, place)]


def test_passages_may_follow_without_a_gap():
    """As sentences of BioC do: an annotation that begins with one is not over the one before."""
    passages = [Passage(0, "Ill mice."), Passage(9, "Gout .")]
    marked = [Annotation("raw:2", 4, 8, "A", "mice"), Annotation("raw:3", 9, 13, "B", "Gout")]
    sentences = segment(Document("raw:1", "d", passages, marked), Rules(), Changes())
    assert [words_and_tags(sentence) for sentence in sentences] == ["Ill mice/B-A .", "Gout/B-B ."]


def test_of_three_in_a_row_the_outer_ones_stay_where_the_middle_one_is_not_longer():
    """chronic renal (13), failure now (11) and renal failure (13): the tie goes to the left."""
    row = [(0, 13, "A"), (8, 21, "B"), (14, 25, "C")]
    instances, changes = laid(RENAL, *row, on_error="repair")
    assert instances == ["chronic/B-A renal/I-A failure/B-C now/I-C"]
    assert changes == [("overlap", "B", 3)]


def test_a_change_holds_what_the_file_says():
    changes = Changes("repair")
    changes.split = "dev"
    list(segment(document(RENAL, annotations=[(8, 13, "A", "renals")]), Rules(), changes))
    assert changes.listed == [
        ("dev", "raw:2", "d", "text-mismatch", "A", 8, 13, "renals", REPAIRS["text-mismatch"]),
    ]
    assert changes.counts("dev") == {"text-mismatch": 1}
    assert changes.counts("test") == {}


def test_white_space_may_differ_between_an_annotation_and_its_text():
    assert laid("chronic\nrenal  failure", (0, 22, "A", " chronic renal failure ")) == (
        ["chronic/B-A renal/I-A failure/I-A"],
        [],
    )


@pytest.mark.parametrize(
    ("text", "annotated"),
    [
        ("Sj\u00f6gren disease", "Sjo\u0308gren"),
        ("Sjo\u0308gren disease", "Sj\u00f6gren"),
        ("5 \u00b5M of it", "5 \u03bcM"),
        ("\ufb01brosis of it", "fibrosis"),
        ("Fibrosis of it", "fibrosis"),
    ],
    ids=["NFC", "NFD", "micro sign", "ligature", "case"],
)
def test_a_text_that_differs_in_its_form_alone_cannot_come_from_a_wrong_offset(text, annotated):
    end = text.index(" of") if " of" in text else text.index(" d")
    with pytest.raises(InputError) as caught:
        laid(text, (0, end, "A", annotated))
    found, there = str(caught.value).partition(" at 0 to ")[::2]
    assert found.rpartition("annotation ")[2] != there.partition("expected ")[2].split(",")[0]
    (instance,), changes = laid(text, (0, end, "A", annotated), on_error="repair")
    assert instance.count("/B-A") == 1
    assert [kind for kind, _, _ in changes if kind != "widened"] == ["text-differs"]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Sj\u00f6gren", "'Sj\u00f6gren'"),
        ("Sjo\u0308gren", "'Sjo\\u0308gren'"),
        ("5\u00a0\u00b5M", "'5\\xa0\\xb5M'"),
        ("5 \u03bcM", "'5 \u03bcM'"),
    ],
)
def test_messages_show_what_looks_like_another_character_as_its_code_point(text, shown):
    assert Changes().quoted(text) == shown


def test_an_annotation_without_text_is_no_mismatch():
    instances, changes = laid(RENAL, (8, 21, "A", ""))
    assert (instances, changes) == (["chronic renal/B-A failure/I-A now"], [])


def test_annotations_stay_in_their_passage_and_empty_passages_vanish():
    instances, changes = laid(["Ill .", "", "So ill ."], (0, 3, "A"), (10, 13, "B"))
    assert (instances, changes) == (["Ill/B-A .", "So ill/B-B ."], [])


def test_sentences_are_divided_where_they_begin_also_at_an_entity_and_never_inside_one():
    """Full stop, capital: spaCy splits before `Pain` and `Gout`, and inside `St. Anthony`."""
    text = "Pain stays . Pain goes . Gout comes . St . Anthony's fire , too ."
    fire = text.index("St")
    assert laid(text, (13, 17, "A"), (fire, len(text) - 7, "B"), segmentation="sentences")[0] == [
        "Pain stays .",
        "Pain/B-A goes .",
        "Gout comes .",
        "St/B-B ./I-B Anthony/I-B 's/I-B fire/I-B , too .",
    ]


def test_annotations_of_a_document_without_text_are_listed_as_lost():
    _, changes = laid(" ", (0, 3, "A", "ill"), on_error="repair")
    assert [kind for kind, _, _ in changes if kind in LOSSES] == ["outside"]


# Whatever the text and the annotations.


@given(text=TEXTS, offset=st.integers(0, 50), data=st.data())
def test_annotations_at_token_borders_are_entities_of_just_these_characters(text, offset, data):
    tokens = tokenize(Passage(offset, text))
    borders = sorted(data.draw(st.sets(st.integers(0, len(tokens)), max_size=8)))
    annotations = [
        Annotation(
            "f:1", tokens[first].start, tokens[behind - 1].end, data.draw(st.sampled_from("AB")), ""
        )
        for first, behind in zip(borders[::2], borders[1::2], strict=False)
    ]
    whole = Document("f:1", "d", [Passage(offset, text)])
    for lay in (widened, split):
        changes = Changes()
        placed, entities = lay(tokens, annotations, whole, changes)
        assert placed == tokens
        assert [(placed[e.start].start, placed[e.end - 1].end, e.type) for e in entities] == [
            (annotation.start, annotation.end, annotation.type) for annotation in annotations
        ]
        assert changes.listed == []


@given(texts=st.lists(TEXTS, min_size=1, max_size=3), data=st.data())
@settings(max_examples=200, suppress_health_check=[HealthCheck.too_slow])
def test_every_annotation_is_an_entity_or_a_listed_loss(texts, data):
    """Annotations may overlap, repeat or leave their passage; one in seven has another text."""
    whole = " ".join(texts)
    spot = st.integers(-2, len(whole) + 2)
    drawn = data.draw(
        st.lists(
            st.tuples(spot, st.integers(0, 12), st.sampled_from("AB"), st.integers(0, 6)),
            max_size=8,
        )
    )
    annotations = [
        (start, start + length, type_, *([] if other else ["something else"]))
        for start, length, type_, other in drawn
    ]
    rules = Rules(
        data.draw(st.sampled_from(["passages", "sentences"])),
        data.draw(st.integers(1, 12)),
        data.draw(st.sampled_from(["widen", "split"])),
    )
    changes = Changes("repair")
    sentences = list(segment(document(*texts, annotations=annotations), rules, changes))
    assert all(violation(sentence.tags) is None for sentence in sentences)
    entities = sum(len(spans(sentence.tags)) for sentence in sentences)
    counts = Counter(change.kind for change in changes.listed)
    assert entities + sum(counts[kind] for kind in {*NESTED, *LOSSES}) == len(annotations)
    assert all(change.kind in {*REPAIRS, *ARTEFACTS} for change in changes.listed)
    assert len({(change.where, change.kind) for change in changes.listed}) == len(changes.listed)
    assert "".join(word for sentence in sentences for word in sentence.tokens) == "".join(
        whole.split()
    )
