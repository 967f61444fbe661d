"""DyGIE's JSON Lines: spans by token of the document, read by the paper as of the sentence."""

import json

import pytest

from bioner.corpora.changes import LOSSES
from tests.unit.corpora.readers import mended, read, refusal, words_and_tags, write

# Sentences of 3, 2 and 4 tokens: they begin at token 0, 3 and 5 of the document.
SENTENCES = [["aspirin", "cures", "gout"], ["it", "helps"], ["renal", "failure", "is", "ill"]]


def dygie(tmp_path, ner, sentences=SENTENCES):
    record = {"doc_key": "d", "sentences": sentences, "ner": ner, "relations": [[], [], []]}
    return write(tmp_path / "raw.json", json.dumps(record) + "\n")


def test_spans_count_the_tokens_of_the_document_and_hold_their_last(tmp_path):
    path = dygie(tmp_path, [[[0, 0, "Drug"], [2, 2, "Illness"]], [], [[5, 6, "Illness"]]])
    sentences = read(path, "dygie")
    assert [words_and_tags(sentence) for sentence in sentences] == [
        "aspirin/B-Drug cures gout/B-Illness",
        "it helps",
        "renal/B-Illness failure/I-Illness is ill",
    ]
    assert {(sentence.document, sentence.where) for sentence in sentences} == {("d", f"{path}:1")}


def test_the_paper_took_them_for_offsets_of_the_sentence(tmp_path):
    """Token 1 of sentence 2 is `helps`; sentence 3 has four tokens: 5 to 6 is outside."""
    path = dygie(tmp_path, [[[0, 0, "Drug"]], [[1, 3, "X"]], [[5, 6, "Illness"], [3, 6, "Y"]]])
    assert [words_and_tags(sentence) for sentence in read(path, "dygie-misread")] == [
        "aspirin/B-Drug cures gout",
        "it helps/B-X",
        "renal failure is ill/B-Y",
    ]
    _, changes = mended(path, "dygie-misread")
    assert [(change.kind, change.type, change.start, change.end) for change in changes] == [
        ("misread", "X", 1, 4),
        ("misread", "Illness", 5, 7),
        ("misread", "Y", 3, 7),
    ]
    assert "misread" in LOSSES


def test_misread_spans_are_written_over_earlier_ones_and_may_leave_an_inside_without_its_beginning(
    tmp_path,
):
    path = dygie(tmp_path, [[[0, 2, "A"], [0, 0, "B"], [2, 2, "C"]], [], []])
    assert read(path, "dygie-misread")[0].tags == ["B-B", "I-A", "B-C"]


def test_of_overlapping_spans_the_longer_stays(tmp_path):
    path = dygie(tmp_path, [[], [], [[6, 6, "A"], [5, 6, "B"], [6, 7, "C"], [8, 8, "D"]]])
    sentences, changes = mended(path, "dygie")
    assert words_and_tags(sentences[2]) == "renal/B-B failure/I-B is ill/B-D"
    listed = [
        (change.where, change.kind, change.type, change.start, change.end, change.text)
        for change in changes
    ]
    assert listed == [
        ("raw.json:1", "overlap", "C", 6, 8, "failure is"),
        ("raw.json:1", "overlap", "A", 6, 7, "failure"),
    ]
    found = "the spans 6 to 7 (C) and 5 to 6 (B) in d, which overlap; expected flat spans"
    assert refusal(path, "dygie").startswith(f"{path}:1: found {found}")


@pytest.mark.parametrize("span", [[2, 3], [3, 2], [5, 5], [0, 0], [-1, 3], [4, 9]])
def test_a_span_outside_its_sentence_is_refused_or_listed(tmp_path, span):
    first, last = span
    path = dygie(tmp_path, [[], [[first, last, "A"], [3, 3, "B"]], []])
    found = f"the span {first} to {last} in d; expected offsets of its sentence, 3 to 4"
    message = refusal(path, "dygie")
    assert message.startswith(f"{path}:1: found {found}")
    assert "`on_error: repair`" in message
    sentences, (change,) = mended(path, "dygie")
    assert (change.kind, change.start, change.end) == ("outside", first, last + 1)
    assert sentences[1].tags == ["B-B", "O"]


@pytest.mark.parametrize("form", ["dygie", "dygie-misread"])
@pytest.mark.parametrize(
    ("line", "found"),
    [
        ('{"doc_key": "d", "sentences": [["a"]]', "broken JSON"),
        ("<html>", "broken JSON"),
        ('{"sentences": [["a"]], "ner": [[]]}', "a record without doc_key"),
        ('{"doc_key": "d", "ner": [[]]}', "a record without sentences"),
        ('{"tokens": ["a"], "tags": ["O"]}', "a record without doc_key, ner, sentences"),
        (
            '{"doc_key": "d", "sentences": [["a"]], "ner": []}',
            "`sentences` and `ner` of different length (1 and 0)",
        ),
        (
            '{"doc_key": "d", "sentences": "a", "ner": []}',
            "`sentences` and `ner` of different length (no list and 0)",
        ),
        (
            '{"doc_key": "d", "sentences": ["a"], "ner": [[]]}',
            "a sentence that is no list of tokens",
        ),
        (
            '{"doc_key": "d", "sentences": [[1]], "ner": [[]]}',
            "a sentence that is no list of tokens",
        ),
        ('{"doc_key": "d", "sentences": [["a"]], "ner": [5]}', "the span 5"),
        ('{"doc_key": "d", "sentences": [["a"]], "ner": [[[0, 0]]]}', "the span [0, 0]"),
        (
            '{"doc_key": "d", "sentences": [["a"]], "ner": [[["0", 0, "A"]]]}',
            "the span ['0', 0, 'A']",
        ),
        (
            '{"doc_key": "d", "sentences": [["a"]], "ner": [[[0, true, "A"]]]}',
            "the span [0, True, 'A']",
        ),
        (
            '{"doc_key": "d", "sentences": [["a"]], "ner": [[[0, 0.5, "A"]]]}',
            "the span [0, 0.5, 'A']",
        ),
    ],
)
def test_a_broken_document_is_named_by_file_and_line(tmp_path, form, line, found):
    path = write(
        tmp_path / "raw.json", f'{{"doc_key": "c", "sentences": [["a"]], "ner": [[]]}}\n{line}\n'
    )
    assert refusal(path, form).startswith(f"{path}:2: found {found}")


@pytest.mark.parametrize("type_", [None, ["A"], ""])
def test_a_type_that_is_no_text_is_named_by_file_and_line(tmp_path, type_):
    path = dygie(tmp_path, [[[0, 0, type_]], [], []])
    assert refusal(path, "dygie").startswith(f"{path}:1: found the span")


def test_a_file_in_another_encoding_is_named_by_line(tmp_path):
    path = write(tmp_path / "raw.json", b"{}\n\xef\xff\n")
    assert "raw.json:1: found a record without" in refusal(path, "dygie")
    assert refusal(write(path, b"\xef\xff\n"), "dygie").startswith(
        f"{path}:1: found bytes that are not UTF-8"
    )
