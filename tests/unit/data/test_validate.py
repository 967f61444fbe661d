"""`bioner validate`: every broken invariant of a file, with its line."""

import gzip
import json

import pytest

from bioner.data.validation import validate
from bioner.errors import InputError
from tests.conftest import instance

GOLD = [instance("a", "gout/B-Disease came"), instance("b", "back"), instance("c", "again")]


def write(path, *records):
    lines = [record if isinstance(record, str) else json.dumps(record) for record in records]
    path.write_text("".join(f"{line}\n" for line in lines))
    return path


def gold(identity, tokens, tags):
    return {"id": identity, "doc": identity, "tokens": tokens, "tags": tags}


def test_every_fault_of_instances_is_named(tmp_path):
    path = write(
        tmp_path / "gold.jsonl",
        gold("a", ["x", "y"], ["O", "O"]),
        gold("a", ["x", " "], ["I-A", "Q", "O"]),
        {"id": "b", "tokens": ["x"]},
        '{"id": "c", "tokens"',
        gold("d", [], []),
        gold("e", ["x"], "O"),
        gold("f", ["x"], ["O"]),
    )
    kind, count, faults = validate(path)
    assert (kind, count) == ("instances", 7)
    expected = [
        (2, "the id 'a' again"),
        (2, "2 tokens and 3 tags"),
        (2, "token 1 is text of 1 characters, empty or with white space"),
        (2, "tag 0: 'I-A' continues no A entity"),
        (2, "tag 1: 'Q' is neither O nor B-TYPE nor I-TYPE"),
        (3, "a record without doc, tags"),
        (4, "broken JSON"),
        (5, "no token"),
        (6, "no list under tags"),
    ]
    assert len(faults) == len(expected)
    for fault, (line, reason) in zip(faults, expected, strict=True):
        assert fault.startswith(f"{path}:{line}: ")
        assert reason in fault


def test_every_fault_of_predictions_is_named_and_held_against_the_gold(tmp_path):
    path = write(
        tmp_path / "predictions.jsonl",
        {"id": "a", "tags": ["I-Disease", "O", "O"]},
        {"id": "c", "tags": ["O"]},
    )
    assert validate(path)[2] == [f"{path}:1: tag 0: 'I-Disease' continues no Disease entity"]
    assert validate(path, GOLD)[2] == [
        f"{path}:1: tag 0: 'I-Disease' continues no Disease entity",
        f"{path}:1: 3 tags, expected 2, one a gold token",
        f"{path}: the gold's id 'b' is missing",
    ]
    more = write(
        tmp_path / "more.jsonl",
        *({"id": i.id, "tags": ["O"] * len(i.tokens)} for i in [*GOLD, GOLD[0]]),
    )
    assert validate(more, GOLD)[2] == [
        f"{more}:4: the id 'a' again",
        f"{more}: 'a' is behind ids that follow it in the gold: not in the gold's order",
    ]


def test_a_gold_file_is_no_prediction(tmp_path):
    path = write(tmp_path / "gold.jsonl", gold("a", ["x"], ["O"]))
    assert "is this a gold file?" in validate(path, GOLD[:1])[2][0]


def test_sound_files_have_no_fault(tmp_path):
    instances = write(tmp_path / "gold.jsonl", gold("a", ["x"], ["O"]))
    assert validate(instances) == ("instances", 1, [])
    predictions = write(tmp_path / "predictions.jsonl", {"id": "a", "tags": ["O", "B-A"]})
    assert validate(predictions) == ("predictions", 1, [])


def test_an_empty_file_is_bad_input(tmp_path):
    with pytest.raises(InputError, match="found no line"):
        validate(write(tmp_path / "empty.jsonl"))


def test_the_first_sound_record_tells_the_kind(tmp_path):
    path = write(tmp_path / "gold.jsonl", "broken", gold("a", ["x"], ["O"]))
    assert validate(path)[:2] == ("instances", 2)
    with pytest.raises(InputError, match="no JSON object in any line"):
        validate(write(tmp_path / "table.csv", "a,b", "1,2"))


def test_one_fault_hides_no_other(tmp_path):
    """A field of the wrong type, a line that is not UTF-8, an unknown id, another order."""
    path = tmp_path / "predictions.jsonl"
    lines = [
        {"id": "c", "tags": ["O"]},
        {"id": 7, "tags": "O", "more": 1},
        b"\xff",
        {"id": "b", "tags": ["X"]},
        {"id": "z", "tags": []},
    ]
    path.write_bytes(
        b"\n".join(line if isinstance(line, bytes) else json.dumps(line).encode() for line in lines)
        + b"\n"
    )
    kind, count, faults = validate(path, GOLD)
    assert (kind, count) == ("predictions", 5)
    assert sorted(
        fault.removeprefix(str(path)).partition("; expected")[0] for fault in faults
    ) == sorted(
        [
            ":2: id = 7, expected a string",
            ":2: no list under tags, expected a list of strings",
            ":2: the key 'more', expected id and tags alone (is this a gold file?)",
            ":3: found bytes that are not UTF-8 (invalid start byte)",
            ":4: tag 0: 'X' is neither O nor B-TYPE nor I-TYPE",
            ":5: the id 'z' is not in the gold",
            ": 'b' is behind ids that follow it in the gold: not in the gold's order",
            ": the gold's id 'a' is missing",
        ]
    )


def test_an_id_that_is_no_text_is_a_fault_like_others(tmp_path):
    path = write(
        tmp_path / "predictions.jsonl", {"id": ["a"], "tags": []}, {"id": ["a"], "tags": []}
    )
    assert validate(path)[2] == [f"{path}:{line}: id = ['a'], expected a string" for line in (1, 2)]


def test_a_truncated_gzip_file_is_bad_input(tmp_path):
    path = tmp_path / "predictions.jsonl.gz"
    path.write_bytes(gzip.compress(b'{"id": "a", "tags": []}\n')[:-6])
    with pytest.raises(InputError, match="a broken gzip file"):
        validate(path)


def test_a_missing_file_is_bad_input(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        validate(tmp_path / "nowhere.jsonl")
