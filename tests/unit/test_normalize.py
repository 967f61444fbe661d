"""Normalizing: raw files to instances with ids and documents, statistics, and nothing written unless all is sound."""

import polars as pl
import pytest

from bioner.config import complete_entry
from bioner.corpora.normalize import normalize
from bioner.errors import InputError
from bioner.instances import read_instances

SPLITS = {"train": "train.txt", "dev": "dev.txt", "test": "test.txt"}


def entry(**changes):
    files = {name: {} for name in SPLITS.values()}
    return complete_entry("datasets", "toy", {"format": "conll", "splits": SPLITS, "files": files} | changes)


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode())
    return path


TRAIN = "-DOCSTART-\tO\n\nx\tB-A\ny\tI-A\n.\tO\n\nz\tB-B\n\n-DOCSTART-\tO\n\nu\tB-A\nv\tI-A\nw\tI-A\ny\tB-A\n"


def raw_folder(tmp_path, **texts):
    for split, name in SPLITS.items():
        write(tmp_path / "raw" / name, texts.get(split, "a\tO\n"))
    return tmp_path / "raw"


def test_ids_number_the_split_and_docs_group_its_sentences(tmp_path):
    normalize("toy", entry(), raw_folder(tmp_path, train=TRAIN), tmp_path / "out")
    train = read_instances(tmp_path / "out" / "train.jsonl")
    assert [instance.id for instance in train] == ["train-00001", "train-00002", "train-00003"]
    assert [instance.doc for instance in train] == ["train-doc0001", "train-doc0001", "train-doc0002"]


def test_doc_is_the_id_where_documents_are_unknown_and_the_name_where_they_are_named(tmp_path):
    raw = raw_folder(tmp_path)
    assert [i.doc for i in normalize("toy", entry(), raw, tmp_path / "a")["dev"]] == ["dev-00001"]
    for name in SPLITS.values():
        write(raw / name, "# cardio-1\n{A|x} .\n")
    assert [i.doc for i in normalize("toy", entry(format="inline"), raw, tmp_path / "b")["dev"]] == ["cardio-1"]


def test_stats_count_instances_documents_tokens_and_entities_by_length_and_type(tmp_path):
    normalize("toy", entry(), raw_folder(tmp_path, train=TRAIN), tmp_path / "out")
    stats = pl.read_csv(tmp_path / "out" / "stats.csv").filter(split="train", dataset="toy")
    counted = {(statistic, stratum): value for _, _, statistic, stratum, value in stats.rows()}
    assert counted == {
        ("instances", "all"): 3,
        ("documents", "all"): 2,
        ("tokens", "all"): 3 + 1 + 4,
        ("entities", "all"): 4,
        ("entities", "1"): 2,
        ("entities", "2"): 1,
        ("entities", "3+"): 1,
        ("entities", "type:A"): 3,
        ("entities", "type:B"): 1,
    }


@pytest.mark.parametrize(
    ("test", "found"),
    [
        ("a\tO\n\nb\tO\nc\tI-A\n", ":3: found a sentence with tag 1"),
        ("a\tO\n\n\tO\n", ":3: found a sentence with token 0"),
        ("a\tO\n\nb\n", ":3: found 1 tab-separated columns"),
        ("\n\n", ": found no sentence"),
    ],
    ids=["IOB2", "empty token", "columns", "empty"],
)
def test_nothing_is_written_when_the_last_split_is_broken(tmp_path, test, found):
    raw = raw_folder(tmp_path, test=test)
    with pytest.raises(InputError) as caught:
        normalize("toy", entry(), raw, tmp_path / "out")
    assert str(caught.value).startswith(f"{raw / 'test.txt'}{found}")
    assert not (tmp_path / "out").exists()


def test_a_declared_format_without_a_reader_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"the format chemprot-json; expected one this version reads"):
        normalize("toy", entry(format="chemprot-json"), raw_folder(tmp_path), tmp_path / "out")
