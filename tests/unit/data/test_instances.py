"""The two JSON Lines contracts, instances and predictions: what is accepted, and the errors."""

import json
from dataclasses import replace

import pytest

from bioner.data.instances import (
    Instance,
    Prediction,
    digest,
    entity_types,
    read_instances,
    read_predictions,
    unseen_types,
    write_instances,
    write_predictions,
)
from bioner.errors import InputError
from tests.conftest import instance

GOLD = [
    Instance(
        "t-1", "doc1", ["TNF-α", "(", "NAD(P)H:quinone", ")"], ["B-Gene", "O", "B-Chemical", "O"]
    ),
    Instance("t-2", "doc1", ['"', "\\"], ["O", "O"]),
    Instance("t-3", "t-3", ["heart", "attack"], ["B-Disease", "I-Disease"]),
]
GOOD = {"id": "t-9", "doc": "d", "tokens": ["a", "b"], "tags": ["O", "B-Gene"]}


def write_lines(path, *records):
    path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    return path


def lines_of(*predictions):
    return [{"id": identity, "tags": tags} for identity, tags in predictions]


@pytest.mark.parametrize("name", ["test.jsonl", "test.jsonl.gz"])
def test_instances_survive_writing_and_reading(tmp_path, name):
    write_instances(tmp_path / name, GOLD)
    assert read_instances(tmp_path / name) == GOLD


@pytest.mark.parametrize("name", ["predictions.jsonl", "predictions.jsonl.gz"])
def test_predictions_survive_writing_and_reading(tmp_path, name):
    predictions = [Prediction(instance.id, ["O"] * len(instance.tokens)) for instance in GOLD]
    write_predictions(tmp_path / name, predictions)
    assert read_predictions(tmp_path / name, GOLD) == predictions


def test_an_instance_is_one_json_object_a_line_with_four_keys(tmp_path):
    write_instances(tmp_path / "test.jsonl", GOLD)
    lines = (tmp_path / "test.jsonl").read_text(encoding="utf-8").splitlines()
    assert [list(json.loads(line)) for line in lines] == [["id", "doc", "tokens", "tags"]] * 3
    assert "TNF-α" in lines[0]


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ({"tokens": [], "tags": []}, "no token"),
        ({"tokens": ["a"]}, "1 tokens and 2 tags"),
        ({"tokens": ["a", ""]}, "token 1 is text of 0 characters, empty"),
        ({"tokens": ["a b", "c"]}, "token 0 is text of 3 characters, empty or with white space"),
        ({"tokens": ["a", "\u00a0"]}, "token 1 is"),
        ({"tags": ["O", "I-Gene"]}, "tag 1: 'I-Gene' continues no Gene entity"),
        ({"tags": ["Gene", "O"]}, "tag 0: 'Gene' is neither"),
        ({"id": "t-8"}, "the id 't-8' again"),
    ],
    ids=[
        "empty",
        "lengths",
        "empty token",
        "space",
        "no-break space",
        "orphan",
        "malformed tag",
        "doubled id",
    ],
)
def test_a_broken_instance_is_named_by_file_and_line(tmp_path, change, found):
    path = write_lines(tmp_path / "test.jsonl", GOOD | {"id": "t-8"}, GOOD | change)
    with pytest.raises(InputError) as caught:
        read_instances(path)
    assert str(caught.value).startswith(f"{path}:2: found {found}")
    assert "bioner normalize" in str(caught.value)


@pytest.mark.parametrize(
    "change",
    [
        {"tokens": "ab"},
        {"tokens": [1, 2]},
        {"tokens": None},
        {"tags": [None, "O"]},
        {"tags": "OO"},
        {"tags": None},
        {"id": 9},
        {"id": ["t-9"]},
        {"doc": None},
    ],
    ids=str,
)
def test_a_value_of_another_type_is_bad_input_at_its_line(tmp_path, change):
    path = write_lines(tmp_path / "test.jsonl", GOOD | {"id": "t-8"}, GOOD | change)
    with pytest.raises(InputError) as caught:
        read_instances(path)
    assert str(caught.value).startswith(f"{path}:2: ")


@pytest.mark.parametrize("key", ["id", "doc", "tokens", "tags"])
def test_every_key_is_required(tmp_path, key):
    path = write_lines(
        tmp_path / "test.jsonl", {name: value for name, value in GOOD.items() if name != key}
    )
    with pytest.raises(InputError, match=rf"test\.jsonl:1: found a record without {key}; "):
        read_instances(path)


ALL_O = [("t-1", ["O"] * 4), ("t-2", ["O"] * 2), ("t-3", ["O"] * 2)]


@pytest.mark.parametrize(
    ("predictions", "line", "found"),
    [
        ([ALL_O[0], ALL_O[2]], 2, "'t-2'"),
        (ALL_O[:2], 2, "'t-3' is missing"),
        ([*ALL_O, ("t-4", ["O"])], 4, "no more than the gold's 3 lines"),
        (
            [ALL_O[0], ALL_O[0], *ALL_O[1:]],
            2,
            "found id 't-1', a second time; expected the gold's next id 't-2'",
        ),
        (
            [ALL_O[1], ALL_O[0], ALL_O[2]],
            1,
            "found id 't-2', too early; expected the gold's next id 't-1'",
        ),
        (
            [ALL_O[0], ("t-9", ["O"])],
            2,
            "found id 't-9', not in the gold; expected the gold's next id 't-2'",
        ),
        ([ALL_O[0], ("t-2", ["O"]), ALL_O[2]], 2, "found 1 tags for 't-2'; expected 2"),
        (
            [*ALL_O[:2], ("t-3", ["O", "I-Disease"])],
            3,
            "tag 1: 'I-Disease' continues no Disease entity",
        ),
    ],
    ids=[
        "missing inside",
        "missing at the end",
        "extra",
        "doubled",
        "out of order",
        "unknown",
        "length",
        "IOB2",
    ],
)
def test_predictions_that_do_not_fit_the_gold_are_named_by_file_and_line(
    tmp_path, predictions, line, found
):
    path = write_lines(tmp_path / "predictions.jsonl", *lines_of(*predictions))
    with pytest.raises(InputError) as caught:
        read_predictions(path, GOLD)
    assert str(caught.value).startswith(f"{path}:{line}: ")
    assert found in str(caught.value)


def test_a_type_that_neither_gold_nor_train_has_is_no_label_of_the_corpus(tmp_path):
    """Without the training data this cannot be known, and the type is scored as wrong."""
    gold, train = GOLD[:1], [instance("a-1", "cells/B-Cell")]
    drug, cell = (lines_of(("t-1", [tag, *["O"] * 3])) for tag in ("B-Drug", "B-Cell"))
    foreign = write_lines(tmp_path / "predictions.jsonl", *drug)
    assert read_predictions(foreign, gold)[0].tags[0] == "B-Drug"
    with pytest.raises(
        InputError,
        match=r"predictions\.jsonl:1: found the tag 'B-Drug' for 't-1'; expected types of",
    ):
        read_predictions(foreign, gold, train)
    assert (
        read_predictions(write_lines(tmp_path / "p.jsonl", *cell), gold, train)[0].tags[0]
        == "B-Cell"
    )
    gene = lines_of(("t-1", GOLD[0].tags))
    assert (
        read_predictions(write_lines(tmp_path / "p.jsonl", *gene), gold, train)[0].tags
        == GOLD[0].tags
    )


def test_an_empty_prediction_file_lacks_the_first_id(tmp_path):
    with pytest.raises(
        InputError, match=r"predictions\.jsonl: found 0 lines; expected 3: 't-1' is missing"
    ):
        read_predictions(write_lines(tmp_path / "predictions.jsonl"), GOLD)


@pytest.mark.parametrize("tags", ["OOOO", None, [None] * 4, [0, 0, 0, 0]], ids=str)
def test_predicted_tags_of_another_type_are_bad_input_at_their_line(tmp_path, tags):
    path = write_lines(tmp_path / "predictions.jsonl", *lines_of(("t-1", tags), *ALL_O[1:]))
    with pytest.raises(InputError) as caught:
        read_predictions(path, GOLD)
    assert str(caught.value).startswith(f"{path}:1: ")


def test_entity_types_are_those_that_occur_by_alphabet():
    assert entity_types(GOLD) == ["Chemical", "Disease", "Gene"]
    assert entity_types(GOLD[1:2]) == []


def test_types_that_training_lacks_are_counted_by_entities():
    other = [
        instance("a-1", "a/B-Cell line/I-Cell and/O cells/B-Cell"),
        instance("a-2", "gout/B-Disease"),
    ]
    assert unseen_types(GOLD, other) == {"Cell": 2}
    assert unseen_types(GOLD, GOLD) == {}


@pytest.mark.parametrize(
    "changes",
    [
        {"id": "t-4"},
        {"doc": "doc2"},
        {"tokens": ["heart", "attac"]},
        {"tags": ["B-Disease", "B-Disease"]},
    ],
    ids=str,
)
def test_nothing_of_an_instance_changes_without_its_digest(changes):
    """A decoding job recognises its own shards by this."""
    assert digest(GOLD) == digest(iter(GOLD)) != digest([*GOLD[:2], replace(GOLD[2], **changes)])
    assert digest(GOLD[::-1]) != digest(GOLD) != digest(GOLD[:2])
