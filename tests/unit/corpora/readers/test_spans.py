"""Texts with spans as doccano, Prodigy, spaCy and others write them, and GLiNER's token spans."""

import json
import logging

import pytest

from bioner.corpora.changes import Changes
from tests.unit.corpora.readers import mended, read, refusal, words_and_tags, write

TEXT = "Aspirin cures gout."
EXPECTED = "Aspirin/B-Drug cures gout/B-Disease ."
SPANS = [[0, 7, "Drug"], [14, 18, "Disease"]]
OBJECTS = [{"start": start, "end": end, "label": type_} for start, end, type_ in SPANS]
OFFSETS = [
    {"id": 3, "label": type_, "start_offset": start, "end_offset": end}
    for start, end, type_ in SPANS
]
TYPED = [{"start": start, "end": end, "type": type_} for start, end, type_ in SPANS]
FORMS = {
    "doccano": {"id": 7, "text": TEXT, "label": SPANS},
    "doccano, older": {"id": 7, "text": TEXT, "labels": SPANS, "Comments": []},
    "doccano, data": {"id": 7, "data": TEXT, "label": SPANS},
    "doccano, relations": {
        **{"id": 7, "text": TEXT, "Comments": [], "entities": OFFSETS},
        "relations": [{"id": 1, "from_id": 3, "to_id": 4, "type": "cures"}],
    },
    "Prodigy": {
        **{"text": TEXT, "meta": {"id": "7"}, "spans": OBJECTS, "answer": "accept"},
        **{"_input_hash": 1, "tokens": [{"text": "Aspirin", "start": 0, "end": 7, "id": 0}]},
    },
    "an id of the part": {"id": 1, "text": TEXT, "spans": TYPED, "meta": {"pmid": "7"}},
    "an id of its meta": {"id": 7, "text": TEXT, "spans": TYPED, "meta": {"id": 1}},
    "entities": {"doc_id": "7", "text": TEXT, "entities": TYPED},
    "a document of spaCy": {"id": "7", "text": TEXT, "ents": OBJECTS, "tokens": [{"id": 0}]},
    "labels of the text too": {"pmid": 7, "text": TEXT, "entities": TYPED, "labels": ["good"]},
}


def lines(*records):
    return "".join(f"{json.dumps(record)}\n" for record in records)


@pytest.mark.parametrize("record", FORMS.values(), ids=list(FORMS))
def test_objects_are_documents(tmp_path, record):
    for content in (lines(record), json.dumps([record]), json.dumps([record], indent=2)):
        path = write(tmp_path / "raw.jsonl", content)
        assert [(s.document, words_and_tags(s)) for s in read(path, "spans")] == [("7", EXPECTED)]


@pytest.mark.parametrize("record", [{"id": 0}, {"id": 5, "meta": {"doc_id": 0}}])
def test_zero_is_an_id(tmp_path, record):
    path = write(tmp_path / "raw.jsonl", lines({"text": TEXT, "label": SPANS} | record))
    assert [s.document for s in read(path, "spans")] == ["0"]


@pytest.mark.parametrize("pack", [lambda *all_: lines(*all_), lambda *all_: json.dumps(all_)])
def test_training_data_of_spacy_are_pairs(tmp_path, pack):
    path = write(
        tmp_path / "train.json", pack([TEXT, {"entities": SPANS}], ["Ill.", {"entities": []}])
    )
    assert [words_and_tags(s) for s in read(path, "spans")][:1] == [EXPECTED]
    assert [s.document for s in read(path, "spans")] == ["train-0001", "train-0002"]


def test_paragraphs_are_passages(tmp_path):
    record = {"text": "Late\ngout.\n\nGout again.", "label": [[5, 9, "X"], [12, 16, "X"]]}
    path = write(tmp_path / "raw.jsonl", lines(record))
    assert [words_and_tags(s) for s in read(path, "spans")] == [
        "Late gout/B-X .",
        "Gout/B-X again .",
    ]


def test_only_accepted_examples_are_read_and_the_others_counted(tmp_path):
    records = [{"text": f"Gout {answer}", "answer": answer} for answer in ("reject", "ignore")]
    path = write(tmp_path / "raw.jsonl", lines(*records, {"text": "Fine", "answer": "accept"}))
    changes = Changes()
    assert [s.tokens for s in read(path, "spans", changes)] == [["Fine"]]
    assert changes.remarks == {(logging.INFO, "", "examples not accepted, left out"): 2}


def test_the_text_of_a_span_is_checked_if_it_is_there(tmp_path):
    span = {"start": 0, "end": 7, "label": "Drug", "text": "gout"}
    path = write(tmp_path / "raw.jsonl", lines({"id": 7, "text": TEXT, "spans": [span]}))
    assert refusal(path, "spans").startswith(
        f"{path}: object 1, span 1: found the annotation 'gout' at 0 to 7 of 7; expected 'Aspirin"
    )


BROKEN = {
    "no text": (
        {"label": []},
        ": found an object without text; expected a string under text or data",
    ),
    "text that is none": ({"text": 7, "label": []}, ": found an object without text"),
    "no spans": ({"text": TEXT}, ": found no list of spans; expected a list under spans, ent"),
    "labels of the text": ({"text": TEXT, "label": ["good"]}, ": found no list of spans"),
    "spans are text": (
        {"text": TEXT, "spans": "none", "answer": "accept"},
        ": found no list of spans",
    ),
    "two lists": (
        {"text": TEXT, "spans": OBJECTS, "entities": TYPED},
        ": found spans under spans and under entities; expected one list",
    ),
    "no type": ({"text": TEXT, "spans": [[0, 7]]}, ", span 1: found the span {'start': 0, 'end'"),
    "empty type": ({"text": TEXT, "spans": [[0, 7, " "]]}, ", span 1: found the span "),
    "type is a number": ({"text": TEXT, "spans": [[0, 7, 1]]}, ", span 1: found the span "),
    "offset is text": ({"text": TEXT, "spans": [["0", 7, "X"]]}, ", span 1: found the span "),
    "offset is true": ({"text": TEXT, "spans": [[True, 7, "X"]]}, ", span 1: found the span "),
    "vast offset": ({"text": TEXT, "spans": [[0, 10**20, "X"]]}, ", span 1: found the span "),
    "no span": ({"text": TEXT, "spans": [[0, 7, "X"], 7]}, ", span 2: found the span 7; exp"),
    "a number": (7, ": found no object"),
    "a pair of something else": ([TEXT, "x"], ": found no object"),
}


@pytest.mark.parametrize(("record", "found"), BROKEN.values(), ids=list(BROKEN))
def test_a_broken_object_is_named_by_its_line(tmp_path, record, found):
    path = write(tmp_path / "raw.jsonl", lines(FORMS["doccano"], record))
    assert refusal(path, "spans").startswith(f"{path}:2{found}")
    secret = refusal(path, "spans", Changes(quote=False))
    assert "Aspirin" not in secret


def test_broken_json_is_named_by_its_line(tmp_path):
    path = write(tmp_path / "raw.jsonl", lines(FORMS["doccano"]) + '{"text": "Gout')
    assert refusal(path, "spans").startswith(f"{path}:2: found broken JSON")


def test_overlapping_spans_are_refused_or_flattened(tmp_path):
    record = {"id": 7, "text": TEXT, "label": [[0, 7, "Drug"], [0, 13, "Cure"]]}
    path = write(tmp_path / "raw.jsonl", lines(record))
    assert "which overlap" in refusal(path, "spans")
    sentences, [change] = mended(path, "spans")
    assert (change.kind, change.type, change.where) == (
        "overlap",
        "Drug",
        "raw.jsonl: object 1, span 1",
    )
    assert words_and_tags(*sentences) == "Aspirin/B-Cure cures/I-Cure gout ."


GLINER = {"tokenized_text": ["Late", "gout", "hurts"], "ner": [[0, 1, "disease"]]}


@pytest.mark.parametrize("pack", [lines, lambda *all_: json.dumps(all_)])
def test_spans_of_gliner_count_tokens_and_include_the_last(tmp_path, pack):
    path = write(tmp_path / "raw.json", pack(GLINER, {"tokenized_text": ["Fine"], "ner": []}))
    assert [words_and_tags(s) for s in read(path, "spans")] == [
        "Late/B-disease gout/I-disease hurts",
        "Fine",
    ]


@pytest.mark.parametrize(
    ("changed", "found"),
    [
        ({"ner": [[1, 3, "x"]]}, ": found the span 1 to 3 in raw-0002; expected offsets of its"),
        ({"ner": [[0, 1, "x"], [1, 1, "y"]]}, ": found the spans 1 to 1 (y) and 0 to 1 (x)"),
        ({"ner": None}, ": found the span None"),
        ({"ner": [[0, 1]]}, ": found the span [0, 1]"),
        ({"tokenized_text": "Late gout"}, ": found a sentence that is no list of tokens"),
    ],
)
def test_broken_spans_of_gliner_are_named_by_line(tmp_path, changed, found):
    path = write(tmp_path / "raw.json", lines(GLINER, GLINER | changed))
    assert refusal(path, "spans").startswith(f"{path}:2{found}")
