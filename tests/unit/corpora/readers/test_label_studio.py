"""Label Studio's exports: which text, which annotator's spans, and how their offsets count."""

import json
import logging

import pytest

from bioner.corpora.changes import Changes
from tests.unit.corpora.readers import read, refusal, words_and_tags, write

TEXT = "Aspirin cures gout."
EXPECTED = "Aspirin/B-Drug cures gout/B-Disease ."


def value(start, end, text, *labels):
    return {"start": start, "end": end, "text": text, "labels": list(labels)}


VALUES = [value(0, 7, "Aspirin", "Drug"), value(14, 18, "gout", "Disease")]


def region(held, kind="labels"):
    return {"id": "x1", "from_name": "label", "to_name": "text", "type": kind, "value": held}


def annotation(*values, **keys):
    return (
        {"id": 1, "completed_by": 1, "was_cancelled": False}
        | keys
        | {"result": [region(held) for held in values]}
    )


def task(*annotations, **keys):
    return {
        "id": 7,
        "data": {"text": TEXT},
        "annotations": list(annotations),
        "predictions": [],
    } | keys


def export(tmp_path, *tasks):
    return write(tmp_path / "raw.json", json.dumps(tasks))


def tags(path):
    return [(s.document, words_and_tags(s)) for s in read(path, "label-studio")]


MINIMAL = {
    **{"id": 7, "text": TEXT, "label": VALUES, "annotator": 1, "annotation_id": 2},
    **{"created_at": "2026-01-01T00:00:00Z", "updated_at": "2026-01-01T00:00:00Z"},
    "lead_time": 8.4,
}
HYPERTEXT = [
    {"hypertextlabels": held["labels"], "start": held["start"], "end": held["end"]}
    for held in VALUES
]
FORMS = {
    "labels of hypertext": task(
        {"id": 1, "result": [region(held, "hypertextlabels") for held in HYPERTEXT]}
    ),
    "JSON": task(annotation(*VALUES)),
    "JSON-MIN": MINIMAL,
    "JSON-MIN with other names": {
        **{key: held for key, held in MINIMAL.items() if key not in ("text", "label")},
        **{"abstract": TEXT, "ner": VALUES, "sentiment": "positive"[:0] or None},
    },
    "older": {"id": 7, "data": {"text": TEXT}, "completions": [annotation(*VALUES)]},
    "the only text": task(annotation(*VALUES), data={"abstract": TEXT, "year": 2026}),
    "the text among texts": task(annotation(*VALUES), data={"text": TEXT, "source": "clinic"}),
    "an id in the data": task(annotation(*VALUES), id=99, data={"text": TEXT, "pmid": "7"}),
    "relations and choices": task(
        annotation(*VALUES)
        | {
            "result": [
                *map(region, VALUES),
                {"type": "relation", "from_id": "x1", "to_id": "x2", "direction": "right"},
                region({"choices": ["good"]}, "choices"),
                region({"start": 0, "end": 7, "text": "Aspirin", "choices": ["new"]}, "choices"),
                region({"start": 0, "end": 7, "text": ["A remark"]}, "textarea"),
            ]
        }
    ),
}


@pytest.mark.parametrize("record", FORMS.values(), ids=list(FORMS))
def test_tasks_are_documents(tmp_path, record):
    assert tags(export(tmp_path, record)) == [("7", EXPECTED)]


def test_cancelled_annotations_do_not_count_and_tasks_without_one_are_left_out(tmp_path):
    cancelled = annotation(value(8, 13, "cures", "Act"), was_cancelled=True)
    path = export(tmp_path, task(annotation(*VALUES), cancelled), task(cancelled, id=8), task(id=9))
    changes = Changes()
    assert [s.document for s in read(path, "label-studio", changes)] == ["7"]
    assert tags(path) == [("7", EXPECTED)]
    assert changes.remarks == {(logging.INFO, "", "tasks without an annotation, left out"): 2}


def test_skipped_completions_of_old_exports_do_not_count(tmp_path):
    made = [annotation(value(8, 13, "cures", "Act"), skipped=True), annotation(*VALUES)]
    old = {"id": 7, "data": {"text": TEXT}, "completions": made}
    assert tags(export(tmp_path, old)) == [("7", EXPECTED)]


def test_a_task_in_which_nothing_is_annotated_has_no_entity(tmp_path):
    assert tags(export(tmp_path, task(annotation()))) == [("7", "Aspirin cures gout .")]


OTHER = annotation(VALUES[0])


def test_annotators_who_agree_count_once(tmp_path):
    path = export(tmp_path, task(annotation(*VALUES), annotation(*reversed(VALUES))))
    assert tags(path) == [("7", EXPECTED)]


def test_of_annotators_who_differ_the_ground_truth_counts(tmp_path):
    truth = annotation(*VALUES, ground_truth=True)
    assert tags(export(tmp_path, task(OTHER, truth))) == [("7", EXPECTED)]


@pytest.mark.parametrize(
    "tasks",
    [
        [task(annotation(*VALUES), OTHER)],
        [task(annotation(*VALUES), annotation(VALUES[0], value(14, 18, "gout", "Symptom")))],
        [task(*[made | {"ground_truth": True} for made in (OTHER, annotation(*VALUES))])],
        [MINIMAL, MINIMAL | {"label": VALUES[:1], "annotator": 2}],
    ],
    ids=["JSON", "another type", "two ground truths", "JSON-MIN"],
)
def test_annotators_who_differ_are_refused(tmp_path, tasks):
    path = export(tmp_path, *tasks)
    assert refusal(path, "label-studio") == (
        f"{path}: object 1: found 2 annotations that differ; expected one per task."
        " Mark one as ground truth, or cancel the others."
    )


def test_one_id_in_two_projects_is_two_texts(tmp_path):
    other = MINIMAL | {"text": "Gout.", "label": [value(0, 4, "Gout", "Disease")], "pmid": 8}
    assert tags(export(tmp_path, MINIMAL, other)) == [("7", EXPECTED), ("8", "Gout/B-Disease .")]


EMOJI = "\U0001f48a Aspirin cures gout."


def test_offsets_count_utf_16_units(tmp_path):
    """The pill has two."""
    path = export(tmp_path, task(annotation(value(3, 10, "Aspirin", "Drug")), data={"text": EMOJI}))
    assert tags(path) == [("7", "\U0001f48a Aspirin/B-Drug cures gout .")]


def test_offsets_that_only_agree_as_characters_count_characters(tmp_path):
    path = export(tmp_path, task(annotation(value(2, 9, "Aspirin", "Drug")), data={"text": EMOJI}))
    assert tags(path) == [("7", "\U0001f48a Aspirin/B-Drug cures gout .")]


@pytest.mark.parametrize("text", [None, ""])
def test_spans_without_text_do_not_speak_for_either(tmp_path, text):
    """In characters, 21 is behind the text: the empty text there does not make it agree."""
    path = export(tmp_path, task(annotation(value(21, 22, text, "Stop")), data={"text": EMOJI}))
    assert tags(path) == [("7", "\U0001f48a Aspirin cures gout ./B-Stop")]


def test_offsets_outside_the_text_stay_outside(tmp_path):
    path = export(tmp_path, task(annotation(value(90, 97, "x", "Drug")), data={"text": EMOJI}))
    assert "found the annotation 90 to 97 of 7" in refusal(path, "label-studio")


def test_a_line_end_in_a_span_is_shown_as_a_backslash_and_n(tmp_path):
    spanning = value(0, 9, "Late\\ngout", "Disease")
    path = export(tmp_path, task(annotation(spanning), data={"text": "Late\ngout."}))
    assert tags(path) == [("7", "Late/B-Disease gout/I-Disease .")]


BROKEN = {
    "no object": (7, ": found no object; expected a task"),
    "no text": (task(annotation(), data={"year": 7}), ": found no text; expected one text"),
    "two texts": (
        task(annotation(), data={"title": "a", "body": "b"}),
        ": found texts under title, body; expected one text, or a `text`",
    ),
    "a file of texts": (
        task(annotation(), data={"text": "/data/upload/1/notes.txt"}),
        ": found the address of a text; expected the text",
    ),
    "a text in a cloud": (
        task(annotation(), data={"text": "s3://clinic/notes.txt"}),
        ": found the address of a text; expected the text",
    ),
    "no label": (task(annotation(value(0, 7, "Aspirin"))), ", span 1: found a span without a"),
    "HTML": (
        task(annotation({"start": "/p[1]/text()[1]", "end": "/p[1]", "labels": ["Drug"]})),
        ", span 1: found the span ",
    ),
    "no start": (task(annotation({"end": 7, "labels": ["Drug"]})), ", span 1: found the span "),
    "no value": (
        task({"id": 1, "result": [{"type": "labels", "id": "x"}]}),
        ": found a broken task",
    ),
    "annotations are an object": (task(annotations={"a": 1}), ": found a broken task"),
    "no result": (task({"id": 1}), ": found a broken task"),
    "result is a number": (task({"id": 1, "result": 7}), ": found a broken task"),
}


@pytest.mark.parametrize(("record", "found"), BROKEN.values(), ids=list(BROKEN))
def test_a_broken_task_is_named_by_its_number(tmp_path, record, found):
    path = export(tmp_path, task(annotation(*VALUES), id=1), record)
    assert refusal(path, "label-studio").startswith(f"{path}: object 2{found}")


def test_a_span_with_two_labels_is_two_annotations_that_overlap(tmp_path):
    path = export(tmp_path, task(annotation(value(0, 7, "Aspirin", "Drug", "Name"))))
    assert "which overlap" in refusal(path, "label-studio")
