"""The verdict on damaged files objects to what is silent, and to nothing else."""

from pathlib import Path

import pytest

from tests.unit.corpora.fuzz.made import Entity, Gold
from tests.unit.corpora.fuzz.verdict import Read, objection_to_reading, objection_to_refusal

GOUT, COUGH = Entity(2, 6, "Disease"), Entity(9, 14, "Disease")
SOUND = Gold("nogoutbutcough", [GOUT, COUGH])


def change(kind, text):
    return {"kind": kind, "type": "Disease", "text": text}


def objection(entities, *changes, on_error="repair", max_lost=0.5, text=SOUND.text, warnings=()):
    found = Read(Gold(text, list(entities)), list(changes), {}, list(warnings))
    return objection_to_reading(found, on_error, max_lost, [SOUND], []) or ""


def test_the_gold_itself_and_a_listed_loss_within_the_bound_are_right():
    assert not objection([GOUT, COUGH])
    assert not objection([GOUT], change("text-mismatch", "cough"))
    assert not objection([GOUT], change("overlap", "cough"), max_lost=0)
    assert not objection([GOUT, Entity(6, 14, "Disease")], change("widened", "cough"))
    assert not objection([], warnings=["the dev split has no entity"])


@pytest.mark.parametrize(
    ("entities", "changes", "keys", "words"),
    [
        ([GOUT], [], {}, "lost without a word"),
        ([], [change("outside", "cough")], {}, "lost without a word"),
        ([GOUT], [change("outside", "cough")], {"max_lost": 0.4}, "1 of 2 lost"),
        ([GOUT], [change("outside", "cough")], {"on_error": "fail"}, "repaired under"),
        ([GOUT, COUGH, Entity(6, 9, "Drug")], [], {}, "not in the file"),
        ([GOUT, Entity(0, 2, "Disease")], [change("widened", "no")], {}, "lost without a word"),
        ([GOUT, COUGH], [], {"text": "gout"}, "the text is"),
    ],
)
def test_what_is_silent_or_beyond_the_bound_is_wrong(entities, changes, keys, words):
    assert words in objection(entities, *changes, **keys)


def test_a_lost_document_is_wrong_even_if_nothing_is_known_of_the_rest():
    found = Read(Gold("nogout", [GOUT]), [], {}, [])
    assert "gone" in (objection_to_reading(found, "repair", 1, [], [SOUND]) or "")


def test_annotations_found_are_kept_nested_or_lost():
    for lost, words in ((0, None), (1, "2 found")):
        fates = {"found": 2.0, "kept": 2.0, "nested": 0.0, "lost": float(lost)}
        counts = {("annotations", fate): count for fate, count in fates.items()}
        said = objection_to_reading(Read(SOUND, [], counts, []), "repair", 1, [SOUND], [])
        assert said is None if words is None else words in (said or "")


def test_a_refusal_is_one_short_line_that_names_a_place():
    raw = Path("/raw")
    assert objection_to_refusal("/raw/x:1: found a; expected b. Mend it.", raw) is None
    assert objection_to_refusal("/raw/x:1: found '1001x'; expected b.", raw) is None
    for message, keys, words in (
        ("/raw/x:1: a\nb", {}, "2 lines"),
        ("KeyError: 'x'", {}, "no place"),
        ("/raw/x:1: a", {"must_read": True}, "nothing is wrong"),
        ("/raw/x:1: found '1001x'", {"quote": False}, "shows text"),
        ("/raw/x: found 3; this is an error in bioner", {}, "error in bioner"),
    ):
        assert words in (objection_to_refusal(message, raw, **keys) or "")
