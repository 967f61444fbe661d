"""Normalizing: raw files to instances and statistics; nothing is written unless all is sound."""

from hashlib import sha256

import polars as pl
import pytest

from bioner.corpora.changes import REPAIRS, Change
from bioner.corpora.normalize import normalize
from bioner.data.instances import read_instances
from bioner.errors import InputError
from bioner.settings.catalogue import parse_entry
from bioner.settings.dataset_entry import DatasetEntry

SPLITS = {"train": "train.txt", "dev": "dev.txt", "test": "test.txt"}


def entry(**changes):
    files = {name: {} for name in SPLITS.values()}
    return parse_entry(
        DatasetEntry, "toy", {"format": "conll", "splits": SPLITS, "files": files} | changes
    )


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode())
    return path


TRAIN = (
    "-DOCSTART-\tO\n\nx\tB-A\ny\tI-A\n.\tO\n\nz\tB-B\n\n"
    "-DOCSTART-\tO\n\nu\tB-A\nv\tI-A\nw\tI-A\ny\tB-A\n"
)


def raw_folder(tmp_path, **texts):
    for split, name in SPLITS.items():
        usual = "a\tB-A\n" if split == "train" else "a\tO\n"
        write(tmp_path / "raw" / name, texts.get(split, usual))
    return tmp_path / "raw"


def test_ids_number_the_split_and_docs_group_its_sentences(tmp_path):
    normalize("toy", entry(), raw_folder(tmp_path, train=TRAIN), tmp_path / "out")
    train = read_instances(tmp_path / "out" / "train.jsonl")
    assert [instance.id for instance in train] == ["train-00001", "train-00002", "train-00003"]
    assert [instance.doc for instance in train] == [
        "train-doc0001",
        "train-doc0001",
        "train-doc0002",
    ]


def test_doc_is_the_id_where_documents_are_unknown_and_the_name_where_they_are_named(tmp_path):
    raw = raw_folder(tmp_path)
    assert [i.doc for i in normalize("toy", entry(), raw, tmp_path / "a")["dev"]] == ["dev-00001"]
    for name in SPLITS.values():
        write(raw / name, "# cardio-1\n{A|x} .\n")
    assert [
        i.doc for i in normalize("toy", entry(format="inline"), raw, tmp_path / "b")["dev"]
    ] == ["cardio-1"]


def statistics(folder, split):
    stats = pl.read_csv(folder / "stats.csv").filter(split=split, dataset="toy")
    return {(statistic, stratum): value for _, _, statistic, stratum, value in stats.rows()}


def test_stats_count_instances_documents_tokens_and_entities_by_length_and_type(tmp_path):
    normalize("toy", entry(), raw_folder(tmp_path, train=TRAIN), tmp_path / "out")
    assert statistics(tmp_path / "out", "train") == {
        ("instances", "all"): 3,
        ("documents", "all"): 2,
        ("tokens", "all"): 3 + 1 + 4,
        ("entities", "all"): 4,
        ("entities", "1"): 2,
        ("entities", "2"): 1,
        ("entities", "3+"): 1,
        ("entities", "type:A"): 3,
        ("entities", "type:B"): 1,
        ("tags", "B-A"): 3,
        ("tags", "B-B"): 1,
        ("tags", "I-A"): 3,
        ("tags", "O"): 1,
        ("table2_entities", "all"): 4,
        ("table2_entities", "1"): 2,
        ("table2_entities", "2"): 1,
        ("table2_entities", "3+"): 1,
        ("tokens_per_instance", "mean"): 8 / 3,
        ("tokens_per_instance", "p50"): 3,
        ("tokens_per_instance", "p90"): 4,
        ("tokens_per_instance", "p95"): 4,
        ("tokens_per_instance", "p99"): 4,
        ("tokens_per_instance", "p100"): 4,
        ("annotations_lost", "all"): 0,
    }


def test_stats_say_what_a_split_shares_with_train(tmp_path):
    # Four mentions: X Y is known as an A, z as a B only, u v w as an A, y in train always in an A.
    test = "X\tB-A\nY\tI-A\n\nz\tB-A\n\nz\tB-B\n\nz\tB-B\n\nnew\tB-A\n\n"
    normalize("toy", entry(), raw_folder(tmp_path, train=TRAIN, test=test), tmp_path / "out")
    counted = statistics(tmp_path / "out", "test")
    assert counted["instances_in_train", "all"] == 3  # z, three times
    assert counted["instances_in_train", "distinct"] == 1
    assert counted["mentions_seen_in_train", "text"] == 4 / 5
    assert counted["mentions_seen_in_train", "text and type"] == 3 / 5
    assert ("instances_in_train", "all") not in statistics(tmp_path / "out", "train")


def test_stats_count_near_duplicates_of_train(tmp_path):
    """Of 13 words the last differs: 8 of 10 5-grams are shared. Short sentences do not count."""
    words = [*"abcdefghijklm"]
    same, near = ("".join(f"{word}\tO\n" for word in text) for text in (words, [*words[:12], "n"]))
    train = f"Z\tB-A\n\n{same}"
    raw = raw_folder(tmp_path, train=train, dev=f"Z\tB-A\n\n{near}", test=f"{near}\n{same}")
    normalize("toy", entry(), raw, tmp_path / "out")
    for split, (found, exact, units) in {"dev": (1, 0, 1), "test": (2, 1, 2)}.items():
        counted = statistics(tmp_path / "out", split)
        assert counted["near_duplicates_in_train", "all"] == found
        assert counted["near_duplicates_in_train", "exact"] == exact
        assert counted["near_duplicate_units", "sentence"] == units


def test_counts_are_whole_numbers_in_the_file(tmp_path):
    normalize("toy", entry(), raw_folder(tmp_path, train=TRAIN), tmp_path / "out")
    lines = (tmp_path / "out" / "stats.csv").read_text().splitlines()
    assert lines[1] == "toy,train,instances,all,3"


def test_table_two_counts_the_tags_of_the_file_and_entities_those_of_the_instances(tmp_path):
    """B-A I-B: Table II of the paper sees one entity of two tokens, every evaluator two of one."""
    raw = raw_folder(tmp_path, test="a\tB-A\nb\tI-B\nc\tO\nd\tI-A\n")
    normalize("toy", entry(on_error="repair"), raw, tmp_path / "out")
    counted = statistics(tmp_path / "out", "test")
    assert [counted["table2_entities", stratum] for stratum in ("all", "1", "2")] == [1, 0, 1]
    assert [counted["entities", stratum] for stratum in ("all", "1", "2")] == [3, 3, 0]
    assert counted["changes", "orphan"] == 2
    assert read_instances(tmp_path / "out" / "test.jsonl")[0].tags == ["B-A", "B-B", "O", "B-A"]


@pytest.mark.parametrize(
    ("scheme", "test"),
    [("IOB1", "a\tI-A\nb\tI-A\nc\tI-B\n"), ("BIOES", "a\tB-A\nb\tE-A\nc\tS-B\n")],
)
def test_table_two_counts_entities_of_other_schemes_too(tmp_path, scheme, test):
    raw = raw_folder(tmp_path, train=test, test=test)
    normalize("toy", entry(tag_scheme=scheme), raw, tmp_path / "out")
    counted = statistics(tmp_path / "out", "test")
    assert [counted["table2_entities", stratum] for stratum in ("all", "1", "2")] == [2, 1, 1]


def test_a_train_split_without_an_entity_is_refused(tmp_path):
    raw = raw_folder(tmp_path, train="a\tO\n", dev="a\tB-A\n")
    with pytest.raises(InputError, match=r"train\.txt: found no entity in 1 sentences"):
        normalize("toy", entry(), raw, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_every_change_is_listed_with_its_place(tmp_path):
    raw = raw_folder(
        tmp_path, dev="a\tO\n\nb\tB-A\nc\tI-B\n", test="-DOCSTART-\n\nd\tX-A\ne\tB-A\n"
    )
    normalize("toy", entry(on_error="repair"), raw, tmp_path / "out")
    changes = pl.read_csv(tmp_path / "out" / "changes.csv")
    assert changes.select(
        "split", "where", "document", "kind", "type", "start", "end", "text"
    ).rows() == [
        ("dev", "dev.txt:4", "dev-00002", "orphan", "B", 1, 2, "c"),
        ("test", "test.txt:3", "test-doc0001", "unknown-tag", "A", 0, 1, "d"),
    ]
    assert changes["result"].to_list() == [REPAIRS["orphan"], REPAIRS["unknown-tag"]]
    assert statistics(tmp_path / "out", "test")["annotations_lost", "all"] == 1


def test_a_sound_corpus_has_an_empty_list_of_changes(tmp_path):
    normalize("toy", entry(), raw_folder(tmp_path), tmp_path / "out")
    assert (tmp_path / "out" / "changes.csv").read_text() == f"{','.join(Change._fields)}\n"


@pytest.mark.parametrize(
    ("train", "first"),
    [("a\tI-A\nb\tI-A\n", ["B-A", "I-A"]), ("a\tB-A\nb\tB-A\n", ["B-A", "B-A"])],
    ids=["IO", "IOB2"],
)
def test_the_scheme_of_a_corpus_is_found_out_over_all_its_files(tmp_path, train, first):
    raw = raw_folder(tmp_path, train=train, dev="a\tO\n")
    found = normalize("toy", entry(tag_scheme="auto"), raw, tmp_path / "out")
    assert found["train"][0].tags == first


def test_csv_with_lists_and_two_columns_are_told_apart(tmp_path):
    lists = "tokens,ner_tags\n\"['so', 'tired']\",\"['O', 'I-Clinical_Impacts']\"\n"
    raw = raw_folder(
        tmp_path,
        train=lists,
        dev="so O\ntired I-Clinical_Impacts\n",
        test="well\tI-Social_Impacts\n",
    )
    found = normalize(
        "toy", entry(format="conll-or-lists", tag_scheme="auto"), raw, tmp_path / "out"
    )
    assert found["train"][0].tags == found["dev"][0].tags == ["O", "B-Clinical_Impacts"]
    assert found["test"][0].tags == ["B-Social_Impacts"]


def test_documents_of_a_table_hold_for_the_very_file(tmp_path, caplog):
    raw = raw_folder(tmp_path, test="a\tO\n\nb\tO\n\nc\tO\n")
    table = write(
        tmp_path / "documents.csv",
        "split,first,sentences,document\ntrain,1,1,9\ndev,1,1,8\ntest,1,2,101\ntest,3,1,7\n",
    )
    files = {
        name: {"sha256": sha256((raw / name).read_bytes()).hexdigest()} for name in SPLITS.values()
    }
    described = entry(documents=str(table), files=files)
    assert [i.doc for i in normalize("toy", described, raw, tmp_path / "a")["test"]] == [
        "101",
        "101",
        "7",
    ]
    assert caplog.text == ""
    write(raw / "test.txt", "b\tO\n\na\tO\n\nc\tO\n")
    found = normalize("toy", described, raw, tmp_path / "b")["test"]
    assert [instance.doc for instance in found] == ["test-00001", "test-00002", "test-00003"]
    assert "not the file whose documents are known" in caplog.text


@pytest.mark.parametrize("quote", [True, False])
def test_messages_show_text_only_where_it_may_be_shown(tmp_path, quote):
    raw = raw_folder(tmp_path, test="a\tO\n\nSECRET\n")
    with pytest.raises(InputError) as caught:
        normalize("toy", entry(), raw, tmp_path / "out", quote)
    assert ("SECRET" in str(caught.value)) == quote
    raw = raw_folder(tmp_path, test="a\tO\n\nSECRET WORD\tO\n")
    with pytest.raises(InputError) as caught:
        normalize("toy", entry(), raw, tmp_path / "out", quote)
    assert ("SECRET" in str(caught.value)) == quote


@pytest.mark.parametrize(
    ("test", "found"),
    [
        ("a\tO\n\nb\tO\nc\tI-A\n", ":4: found the tag 'I-A' after 'O'"),
        ("a\tO\n\n\tO\n", ":3: found token 0"),
        ("a\tO\n\nb\n", ":3: found 1 tab-separated column"),
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


def test_repair_does_not_empty_a_corpus_whose_tags_it_cannot_read(tmp_path):
    """A trailing tab makes an empty column the last one."""
    raw = raw_folder(tmp_path, dev="a\tB-A\t\nb\tO\t\n")
    with pytest.raises(
        InputError, match=r"dev\.txt: found 2 tags that IOB2 does not know, and 0 that it does"
    ):
        normalize("toy", entry(on_error="repair"), raw, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_web_page_is_told_whatever_the_format(tmp_path):
    raw = raw_folder(tmp_path, dev="\n<!DOCTYPE html>\n<html>Sign in</html>\n")
    with pytest.raises(InputError, match=r"dev\.txt:1: found an HTML page"):
        normalize("toy", entry(), raw, tmp_path / "out")


def test_raw_files_may_still_have_the_names_they_came_with(tmp_path):
    raw = raw_folder(tmp_path)
    (raw / "dev.txt").rename(raw / "valid.csv")
    (raw / "test.txt").rename(raw / "final.tsv")
    files = {
        "train.txt": {},
        "dev.txt": {"names": ["valid.tsv", "valid.csv"]},
        "test.txt": {"path": "mine/final.tsv"},
    }
    assert len(normalize("toy", entry(files=files), raw, tmp_path / "out")) == 3


@pytest.mark.parametrize("type_", ["all", "macro"])
def test_a_type_that_bears_the_name_of_a_score_row_is_refused_before_anything_is_trained(
    tmp_path, type_
):
    raw = raw_folder(tmp_path, dev=f"x\tB-{type_}\n")
    with pytest.raises(
        InputError, match=rf"dev\.txt: found the entity type '{type_}'; expected another name"
    ):
        normalize("toy", entry(), raw, tmp_path / "out")
    assert not (tmp_path / "out").exists()
