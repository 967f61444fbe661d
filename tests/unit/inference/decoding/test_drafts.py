"""Drafts: guesses from the training set or another system, the most specific first."""

import gzip
import json

import pytest

from bioner.data.instances import Prediction, write_predictions
from bioner.errors import InputError
from bioner.inference.decoding.drafts import (
    TABLE_FILE,
    _rank_tags,
    _table_draft,
    draft_of,
    predicted,
    saved_table,
    tag_table,
    write_table,
)
from tests.conftest import instance

TRAIN = [
    instance("a", "T/B-cell_type cells/I-cell_type grow/O"),
    instance("b", "T/B-cell_type cells/I-cell_type die/O"),
    instance("c", "of/O T/B-cell_line line/I-cell_line cells/O"),
]
GOLD = [instance("g", "T/B-cell_type cells/I-cell_type and/O T/B-cell_line line/I-cell_line")]


def drafted(draft):
    """The tags one would draft, each after the one before."""
    tags = []
    for position in range(len(GOLD[0].tokens)):
        tags.append(guesses(draft, position, tags[-1] if tags else "")[0])
    return tags


def guesses(draft, position, before):
    """The different tags guessed for a word, likeliest first."""
    return list(dict.fromkeys(draft.guess(GOLD[0], position, before)))


def test_the_table_heeds_the_tag_before_and_the_word_behind():
    table = tag_table(TRAIN)
    assert drafted(table) == ["B-cell_type", "I-cell_type", "O", "B-cell_line", "I-cell_line"]
    assert guesses(table, 1, "I-cell_line")[0] == "O"


def test_a_word_is_told_apart_by_the_one_behind_it():
    table = tag_table([*TRAIN[:2], instance("d", "T/B-cell_line line/I-cell_line")])
    for behind, tag in (("cells", "B-cell_type"), ("line", "B-cell_line")):
        text = instance("n", f"T {behind}")
        assert next(iter(table.guess(text, 0, ""))) == tag


def test_the_table_ranks_all_it_has_seen():
    assert guesses(tag_table(TRAIN), 0, "") == ["B-cell_type", "O"]
    assert guesses(tag_table(TRAIN), 2, "never seen") == ["O"]


def test_the_table_looks_up_no_more_than_is_asked_for():
    class Counted(dict):
        looked_up = 0

        def get(self, *args):
            self.looked_up += 1
            return super().get(*args)

    table = Counted(_rank_tags(TRAIN))
    assert next(iter(_table_draft(table).guess(GOLD[0], 0, ""))) == "B-cell_type"
    assert table.looked_up == 1


def test_another_system_s_tags_come_first_as_long_as_the_model_goes_along():
    theirs = ["O", "B-cell_line", "O", "O", "O"]
    draft = predicted("theirs", [Prediction("g", theirs)], tag_table(TRAIN))
    assert drafted(draft) == theirs
    assert guesses(draft, 1, "B-cell_type")[0] == "I-cell_type"


@pytest.mark.parametrize(
    ("source", "tags"),
    [
        ("all-o", ["O"] * 5),
        ("table", ["B-cell_type", "I-cell_type", "O", "B-cell_line", "I-cell_line"]),
        ("dictionary", ["B-cell_type", "I-cell_type", "O", "B-cell_line", "I-cell_line"]),
    ],
)
def test_sources_that_need_no_model(source, tags):
    draft = draft_of(source, TRAIN, GOLD)
    assert draft.name == source
    assert drafted(draft) == tags


@pytest.mark.parametrize("source", ["all-o", "table", "dictionary"])
def test_without_training_instances_all_is_outside(source):
    assert drafted(draft_of(source, [], GOLD)) == ["O"] * 5


def test_a_file_of_predictions_is_a_draft(tmp_path):
    write_predictions(tmp_path / "p.jsonl", [Prediction("g", ["B-cell_line", "O", "O", "O", "O"])])
    draft = draft_of("bert-mini", TRAIN, GOLD, tmp_path / "p.jsonl")
    assert draft.name == "bert-mini"
    assert guesses(draft, 0, "")[0] == "B-cell_line"


def test_predictions_on_another_gold_are_no_draft(tmp_path):
    write_predictions(tmp_path / "p.jsonl", [Prediction("x", ["O"] * 5)])
    with pytest.raises(InputError, match="'x', not in the gold"):
        draft_of("bert-mini", TRAIN, GOLD, tmp_path / "p.jsonl")


def test_a_model_s_name_without_its_predictions_is_refused():
    with pytest.raises(
        InputError,
        match=r"'bert-mini' and no predictions of it; expected a file\. Give --draft FILE",
    ):
        draft_of("bert-mini", TRAIN, GOLD)


def test_a_table_is_saved_with_a_model_in_the_same_bytes_each_time(tmp_path):
    for name in ("one", "other"):
        write_table(tmp_path / name, TRAIN)
    one, other = ((tmp_path / name / TABLE_FILE).read_bytes() for name in ("one", "other"))
    assert one == other
    saved = saved_table(tmp_path / "one")
    assert saved.name == "table"
    assert drafted(saved) == drafted(tag_table(TRAIN))


def test_a_saved_table_has_no_pair_of_words_whose_first_says_the_same(tmp_path):
    often = [instance(id_, "of/O T/B-cell_type cells/I-cell_type") for id_ in "de"]
    write_table(tmp_path, [*TRAIN, *often])
    content = gzip.decompress((tmp_path / TABLE_FILE).read_bytes()).decode()
    pairs = [key[1:] for key, _ in json.loads(content) if key[0] == "word and next"]
    assert pairs == [["O", "t", "line"]]


def test_a_model_without_a_table_drafts_o(tmp_path):
    assert saved_table(tmp_path).name == "all-o"


@pytest.mark.parametrize("content", ["no gzip", "3", "[1"])
def test_a_broken_table_is_named(tmp_path, content):
    whole = gzip.compress(content.encode())
    (tmp_path / TABLE_FILE).write_bytes(content.encode() if content == "no gzip" else whole)
    with pytest.raises(InputError, match=TABLE_FILE):
        saved_table(tmp_path)
