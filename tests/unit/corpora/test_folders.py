"""A folder as one split: its files one after the other, by relative path, through fetch and
normalize.
"""

import gzip
import json

import pytest

from bioner.corpora.changes import Changes
from bioner.corpora.fetching.fetch import fetch
from bioner.corpora.normalize import normalize
from bioner.data.instances import SPLITS
from bioner.settings.catalogue import parse_entry
from bioner.settings.dataset_entry import DatasetEntry
from tests.unit.corpora.readers import read, refusal, write

BIOC = {
    "id": "9",
    "passages": [
        {
            "offset": 0,
            "text": "so ill",
            "annotations": [
                {
                    "infons": {"type": "X"},
                    "locations": [{"offset": 3, "length": 3}],
                    "text": "ill",
                }
            ],
        }
    ],
}
XML = (
    "<collection><document><id>9</id><passage><offset>0</offset><text>so ill</text>"
    '<annotation><infon key="type">X</infon><location offset="3" length="3"/><text>ill</text>'
    "</annotation></passage></document></collection>"
)
# Each file holds `so ill`, with ill an X; documents are named 8 and 9 if the format names any.
FILES = {
    "conll": "so O\nill B-X\n",
    "conll-or-lists": "so O\nill B-X\n",
    "jsonl": '{"tokens": ["so", "ill"], "tags": ["O", "B-X"], "doc": 9}\n',
    "pubtator": "9|t|so ill\n9\t3\t6\till\tX\n",
    "bioc-xml": XML,
    "bioc-json": json.dumps({"documents": [BIOC]}),
    "inline": "# 9\nso {X|ill}\n",
    "dygie": '{"doc_key": "9", "sentences": [["so", "ill"]], "ner": [[[1, 1, "X"]]]}\n',
    "dygie-misread": '{"doc_key": "9", "sentences": [["so", "ill"]], "ner": [[[1, 1, "X"]]]}\n',
}


@pytest.mark.parametrize("form", FILES)
def test_every_format_reads_a_folder_from_source_to_instances(tmp_path, form):
    for split in SPLITS:
        write(tmp_path / "mine" / split / "b" / "9.txt", FILES[form])
        write(tmp_path / "mine" / split / "8.txt", FILES[form].replace("9", "8"))
        write(tmp_path / "mine" / split / ".DS_Store", b"\0")
        write(tmp_path / "mine" / split / ".git" / "HEAD", b"\0")
    splits = {split: str(tmp_path / "mine" / split) for split in SPLITS}
    entry = parse_entry(DatasetEntry, "toy", {"format": form, "splits": splits})
    fetch("toy", entry, tmp_path / "raw", mirror=None)
    train = normalize("toy", entry, tmp_path / "raw", tmp_path / "out")["train"]
    last = "b/9" if form.startswith("conll") else "9"
    assert [(item.id, item.doc, item.tokens, item.tags) for item in train] == [
        ("train-00001", "8", ["so", "ill"], ["O", "B-X"]),
        ("train-00002", last, ["so", "ill"], ["O", "B-X"]),
    ]


def test_a_gzipped_file_names_its_document_as_the_file_in_it_would(tmp_path):
    write(tmp_path / "split" / "8.tsv.gz", gzip.compress(b"so O\n"))
    write(tmp_path / "split" / "9.tsv", "ill B-X\n")
    assert [sentence.document for sentence in read(tmp_path / "split", "conll")] == ["8", "9"]


def test_files_are_ordered_by_their_relative_path(tmp_path):
    for name in ("b/a", "a2", "a10", "B", "a/z"):
        write(tmp_path / "split" / name, f"{name} O\n")
    assert [sentence.tokens for sentence in read(tmp_path / "split", "conll")] == [
        ["B"],
        ["a/z"],
        ["a10"],
        ["a2"],
        ["b/a"],
    ]


def test_documents_of_a_conll_file_are_numbered_within_its_name(tmp_path):
    write(tmp_path / "split" / "1.tsv", "-DOCSTART- O\n\na O\n\n-DOCSTART- O\n\nb O\n")
    write(tmp_path / "split" / "2.tsv", "c O\n\nd O\n")
    assert [(s.tokens[0], s.document) for s in read(tmp_path / "split", "conll")] == [
        ("a", "1-doc0001"),
        ("b", "1-doc0002"),
        ("c", "2"),
        ("d", "2"),
    ]


def test_each_file_of_a_folder_may_be_of_lists_or_of_columns(tmp_path):
    write(tmp_path / "split" / "1.csv", "tokens,tags\n\"['a']\",\"['O']\"\n")
    write(tmp_path / "split" / "2.tsv", "b\tO\n")
    found = read(tmp_path / "split", "conll-or-lists")
    assert [(s.tokens, s.document) for s in found] == [(["a"], None), (["b"], "2")]


def test_a_git_lfs_pointer_in_a_folder_is_named_by_its_file(tmp_path):
    write(tmp_path / "split" / "1.tsv", "a\tO\n")
    write(tmp_path / "split" / "b" / "2.tsv", "version https://git-lfs.github.com/spec/v1\noid x\n")
    assert refusal(tmp_path / "split", "conll").startswith(
        f"{tmp_path / 'split' / 'b' / '2.tsv'}: found a Git LFS pointer"
    )


def test_files_that_differ_in_their_suffix_alone_are_documents_of_their_own(tmp_path):
    for name in ("10.1", "10.2", "4.tsv"):
        write(tmp_path / "split" / name, "a O\n")
    documents = [sentence.document for sentence in read(tmp_path / "split", "conll")]
    assert documents == ["10.1", "10.2", "4"]


def test_sentences_without_a_document_stay_without_one_in_a_shard(tmp_path):
    for shard in ("0.jsonl", "1.jsonl"):
        write(tmp_path / "split" / shard, '{"tokens": ["a"], "tags": ["O"]}\n')
    assert [sentence.document for sentence in read(tmp_path / "split", "jsonl")] == [None, None]


def test_a_file_of_another_kind_is_refused_by_name(tmp_path):
    write(tmp_path / "split" / "1.tsv", "a O\n")
    write(tmp_path / "split" / "README.md", "Our corpus .\n\nIts annotators disagree .\nA lot .\n")
    message = refusal(tmp_path / "split", "conll")
    assert message.startswith(f"{tmp_path / 'split' / 'README.md'}:4: found 3 space-separated")


def test_a_broken_link_in_a_folder_is_no_file_to_pass_over(tmp_path):
    write(tmp_path / "split" / "1.tsv", "a O\n")
    (tmp_path / "split" / "2.tsv").symlink_to(tmp_path / "gone")
    message = refusal(tmp_path / "split", "conll")
    assert message.startswith(f"{tmp_path / 'split' / '2.tsv'}: found no such file")


@pytest.mark.parametrize("form", FILES)
def test_a_folder_without_a_visible_file_is_refused(tmp_path, form):
    write(tmp_path / "split" / ".hidden", "a O\n")
    assert refusal(tmp_path / "split", form).startswith(
        f"{tmp_path / 'split'}: found a folder without files"
    )


def test_one_document_in_two_files_is_noticed(tmp_path):
    for name in ("1.txt", "2.txt"):
        write(tmp_path / "split" / name, FILES["pubtator"])
    assert refusal(tmp_path / "split", "pubtator").startswith(
        f"{tmp_path / 'split' / '2.txt'}:1: found document 9 again"
    )


@pytest.mark.parametrize("nothing", ["", "\n \n"])
@pytest.mark.parametrize("form", FILES)
def test_a_file_without_a_sentence_in_a_folder_is_refused_by_name(tmp_path, form, nothing):
    """A document may be missing, so that no repair passes it over."""
    write(tmp_path / "split" / "1.txt", FILES[form])
    empty = write(tmp_path / "split" / "2.txt", nothing)
    assert refusal(tmp_path / "split", form, Changes("repair")).startswith(str(empty))


@pytest.mark.parametrize("content", ["-DOCSTART- -X- O\n", "# a comment\n"])
def test_a_conll_file_of_a_folder_that_holds_no_token_is_refused_by_name(tmp_path, content):
    write(tmp_path / "split" / "1.tsv", "a O\n")
    write(tmp_path / "split" / "2.tsv", content)
    assert "2.tsv: found no sentence; expected at least one" in refusal(tmp_path / "split", "conll")


def test_a_json_file_of_a_folder_may_hold_nothing_that_is_read(tmp_path):
    """Of Prodigy's examples, an annotator may have accepted none."""
    write(tmp_path / "split" / "0.jsonl", "[]")
    write(tmp_path / "split" / "1.jsonl", '{"text": "a", "answer": "reject"}')
    write(tmp_path / "split" / "2.jsonl", '{"text": "ill", "label": [[0, 3, "X"]]}')
    assert [s.tags for s in read(tmp_path / "split", "spans")] == [["B-X"]]


def test_a_document_that_comes_again_in_another_file_of_a_folder_is_refused(tmp_path):
    gliner = '{"tokenized_text": ["so", "ill"], "ner": [[1, 1, "X"]], "doc_id": 9}\n'
    for form, content in (("dygie", FILES["dygie"]), ("spans", gliner)):
        first = write(tmp_path / form / "1", content)
        again = write(tmp_path / form / "2", content.replace("9", "8") + content)
        message = refusal(tmp_path / form, form)
        assert message.startswith(str(again))
        assert f"found document 9 again, first at {first}" in message
