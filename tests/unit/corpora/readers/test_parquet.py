"""Parquet as Hugging Face's datasets publish it: list columns, and names of numbered tags."""

import json
import os

import polars as pl
import pytest

from bioner.corpora.changes import Changes
from tests.unit.corpora.readers import read, refusal, words_and_tags, write

NAMES = ["O", "B-X", "I-X"]
CLASSES = {"names": NAMES, "_type": "ClassLabel"}


def parquet(path, features=None, **columns):
    """A file of list columns; `features` describes them as Hugging Face's datasets do."""
    path.parent.mkdir(parents=True, exist_ok=True)
    metadata = {"huggingface": json.dumps({"info": {"features": features}})} if features else None
    pl.DataFrame(columns, strict=False).write_parquet(path, metadata=metadata)
    return path


def test_lists_of_tokens_and_tags_in_rows(tmp_path):
    path = parquet(
        tmp_path / "a.parquet",
        id=["1", "2"],
        tokens=[["so", "ill"], ["gout"]],
        ner_tags=[["O", "B-X"], ["B-Y"]],
        pmid=[7, 8],
    )
    first, second = read(path, "parquet")
    assert (words_and_tags(first), first.document) == ("so ill/B-X", "7")
    assert (first.where, first.place(1)) == (f"{path}: row 1", f"{path}: row 1")
    assert (words_and_tags(second), second.document) == ("gout/B-Y", "8")


@pytest.mark.parametrize(
    "feature",
    [
        {"feature": CLASSES, "length": -1, "_type": "Sequence"},
        {"feature": CLASSES, "_type": "List"},
        [CLASSES],
    ],
    ids=["Sequence", "List", "list"],
)
def test_the_file_names_the_numbers_of_its_tags(tmp_path, feature):
    path = parquet(
        tmp_path / "a.parquet",
        {"tokens": {"feature": {"dtype": "string"}}, "ner_tags": feature},
        tokens=[["so", "very", "ill"]],
        pos_tags=[[4, 5, 6]],
        ner_tags=[[0, 1, 2]],
    )
    assert words_and_tags(*read(path, "parquet")) == "so very/B-X ill/I-X"


def test_labels_of_the_catalogue_come_before_those_of_the_file(tmp_path):
    features = {"tags": {"feature": CLASSES}}
    path = parquet(tmp_path / "a.parquet", features, tokens=[["so", "ill"]], tags=[[0, 1]])
    labels = ["O", "B-Disease"]
    assert words_and_tags(*read(path, "parquet", labels=labels)) == "so ill/B-Disease"


@pytest.mark.parametrize("features", [None, {"tags": {"feature": {"dtype": "int64"}}}])
def test_numbers_without_names_are_refused_by_file_and_row(tmp_path, features):
    path = parquet(tmp_path / "a.parquet", features, tokens=[["a"], ["b"]], tags=[[0], [1]])
    message = refusal(path, "parquet")
    assert message.startswith(f"{path}: row 1: found the tag 0; expected text, or a number below 0")
    assert "`labels`" in message


def test_a_number_beyond_the_names_is_refused(tmp_path):
    features = {"ner_tags": {"feature": CLASSES}}
    path = parquet(tmp_path / "a.parquet", features, tokens=[["a"], ["b"]], ner_tags=[[0], [3]])
    assert refusal(path, "parquet").startswith(f"{path}: row 2: found the tag 3; expected")


def test_shards_of_a_folder_are_one_split(tmp_path):
    for number in (1, 0):
        parquet(
            tmp_path / "train" / f"train-0000{number}-of-00002.parquet",
            tokens=[[f"shard{number}"]],
            tags=[["O"]],
        )
    assert [s.tokens for s in read(tmp_path / "train", "parquet")] == [["shard0"], ["shard1"]]


@pytest.mark.parametrize("name", ["a*[0].parquet", "split=train.parquet"])
def test_the_name_of_a_file_is_no_pattern(tmp_path, name):
    path = parquet(tmp_path / name, tokens=[["a"]], tags=[["O"]])
    parquet(tmp_path / "a00.parquet", tokens=[["b"]], tags=[["O"]])
    assert [sentence.tokens for sentence in read(path, "parquet")] == [["a"]]


@pytest.mark.parametrize(
    ("columns", "found"),
    [
        ({"text": ["so ill"], "tags": [["O"]]}, "'text', which is no list"),
        ({"tokens": [["so"]], "entities": [["O"]]}, "no list under tags, ner_tags"),
        ({"tokens": [["so"]], "tags": [None]}, "'tags', which is no list"),
        ({"tokens": [[1]], "tags": [["O"]]}, "a token that is no text"),
        ({"tokens": [["so", None]], "tags": [["O", "O"]]}, "a token that is no text"),
        ({"tokens": [["so"]], "tags": [[None]]}, "the tag None"),
        ({"other": [1]}, "no list under tokens"),
    ],
)
def test_a_row_that_is_no_sentence_is_named(tmp_path, columns, found):
    path = parquet(tmp_path / "a.parquet", **columns)
    assert refusal(path, "parquet").startswith(f"{path}: row 1: found {found}")


def test_no_message_shows_text_that_it_may_not(tmp_path):
    path = parquet(tmp_path / "a.parquet", tokens=[["a"]], tags=[[["SECRET"]]])
    assert "SECRET" not in refusal(path, "parquet", Changes(quote=False))


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"", "an empty file"),
        (b'{"tokens": []}\n', "a file of another kind"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:4d\n", "a Git LFS pointer"),
        (b"PAR1 \tB-Gene\n", "something else, or broken ("),
        (b"PK\x03\x04", "a zip archive"),
    ],
)
def test_a_file_of_another_kind_is_named(tmp_path, content, found):
    path = write(tmp_path / "a.parquet", content)
    message = refusal(path, "parquet")
    assert message.startswith(f"{path}: found {found}")
    assert "expected a parquet file" in message


def test_a_file_that_was_cut_off_is_named(tmp_path):
    path = parquet(tmp_path / "a.parquet", tokens=[["a"]] * 99, tags=[["O"]] * 99)
    os.truncate(path, path.stat().st_size - 9)
    assert refusal(path, "parquet").startswith(f"{path}: found something else, or broken (")
    assert refusal(tmp_path / "b.parquet", "parquet").startswith(
        f"{tmp_path / 'b.parquet'}: found "
    )


def test_a_table_without_rows_has_no_sentence(tmp_path):
    assert read(parquet(tmp_path / "a.parquet", tokens=[], tags=[]), "parquet") == []
