"""Normalizing: raw files to instances and statistics; nothing is written unless all is sound."""

import json
from hashlib import sha256

import polars as pl
import pytest
from typer.testing import CliRunner

from bioner.cli import app
from bioner.corpora.changes import REPAIRS, Change, Changes
from bioner.corpora.fates import check_fates
from bioner.corpora.normalize import normalize
from bioner.corpora.readers.conll import LONE
from bioner.data.instances import read_instances
from bioner.errors import InputError
from bioner.scoring.limits import FEWEST_DOCUMENTS
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
        ("instances_with_entity", "all"): 3,
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
        ("mentions_of_several_types", "all"): 0,
        ("texts_also_untagged", "all"): 0,
        ("tokens_per_instance", "mean"): 8 / 3,
        ("tokens_per_instance", "p50"): 3,
        ("tokens_per_instance", "p90"): 4,
        ("tokens_per_instance", "p95"): 4,
        ("tokens_per_instance", "p99"): 4,
        ("tokens_per_instance", "p100"): 4,
        ("annotations", "found"): 4,
        ("annotations", "kept"): 4,
        ("annotations", "nested"): 0,
        ("annotations", "lost"): 0,
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


def test_another_number_of_entities_than_the_catalogue_states_is_refused(tmp_path):
    raw = raw_folder(tmp_path, train=TRAIN, dev="a\tB-A\nb\tI-A\n")
    with pytest.raises(InputError) as caught:
        normalize("toy", entry(entities={"train": 4, "dev": 2}), raw, tmp_path / "out")
    assert str(caught.value).startswith(
        f"{raw / 'dev.txt'}: found 1 entities in dev; expected 2 (`entities`)."
    )
    with pytest.raises(InputError, match=r"found 1 entities in dev; expected 0 "):
        normalize("toy", entry(entities={"dev": 0}), raw, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    normalize("toy", entry(entities={"train": 4, "test": 0}), raw, tmp_path / "out")


def test_a_workflow_passes_the_number_of_entities_in_a_variable(tmp_path, monkeypatch):
    """Not in the entry: that is a parameter of the rule, whose change would train all again."""
    raw = raw_folder(tmp_path, train=TRAIN)
    given = json.dumps(entry().canonical())
    folders = ["--raw", str(raw), "--out", str(tmp_path / "out")]

    def run(stated):
        planned = {"toy": entry(entities={"train": stated}, license="other").canonical()}
        monkeypatch.setenv("BIONER_DATASETS", json.dumps(planned))
        return CliRunner().invoke(app, ["normalize", "toy", "--entry", given, *folders]).exception

    assert "found 4 entities in train; expected 5" in str(run(5))
    assert run(4) is None


def test_every_change_is_listed_with_its_place(tmp_path):
    raw = raw_folder(
        tmp_path, dev="a\tO\n\nb\tB-A\nc\tI-B\n", test="-DOCSTART- (9)\n\nd\tX-A\ne\tB-A\n"
    )
    normalize("toy", entry(on_error="repair", max_lost=0.5), raw, tmp_path / "out")
    changes = pl.read_csv(tmp_path / "out" / "changes.csv")
    assert changes.select(
        "split", "where", "document", "kind", "type", "start", "end", "text"
    ).rows() == [
        ("dev", "dev.txt:4", "dev-00002", "orphan", "B", 1, 2, "c"),
        ("test", "test.txt:3", "9", "unknown-tag", "A", 0, 1, "d"),
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


@pytest.mark.parametrize("split", ["dev", "test"])
def test_either_split_that_is_scored_may_be_too_small(tmp_path, caplog, split):
    others = {"dev": "c O\n\n" * 50, "test": "c O\n\n" * 50} | {split: "c O\n\nd O\n"}
    normalize("toy", entry(), raw_folder(tmp_path, **others), tmp_path / "out")
    assert f"normalize toy: {split}: 2 sentences: too few for" in caplog.text
    assert caplog.text.count("too few") == 1


@pytest.mark.parametrize(
    ("documents", "warning"),
    [
        (1, "1 document: too few"),
        (FEWEST_DOCUMENTS - 1, f"{FEWEST_DOCUMENTS - 1} documents: too few"),
        (FEWEST_DOCUMENTS, ""),
    ],
)
def test_a_split_with_too_few_documents_for_intervals_says_so(tmp_path, caplog, documents, warning):
    many = "".join(f"-DOCSTART- ({n})\n\na O\n\nb O\n\n" for n in range(documents))
    raw = raw_folder(tmp_path, train="-DOCSTART- (1)\na B-A\n", dev="c O\n\n" * 50, test=many)
    normalize("toy", entry(), raw, tmp_path / "out")
    assert [record.getMessage() for record in caplog.records if "too few" in record.message] == (
        [f"normalize toy: test: {warning} for intervals and tests"] if warning else []
    )


def test_the_log_counts_comments_and_names_a_start_of_a_document_that_divides_nothing(
    tmp_path, caplog
):
    caplog.set_level("INFO")
    sentences = "a O\n\n" * 20
    raw = raw_folder(tmp_path, test=f"-DOCSTART- -X- O\n{sentences}", dev=f"# v1\n{sentences}")
    found = normalize("toy", entry(tag_scheme="auto"), raw, tmp_path / "out")
    assert [instance.doc for instance in found["test"][:2]] == ["test-00001", "test-00002"]
    messages = [record.getMessage() for record in caplog.records]
    assert messages.count("normalize toy: dev: comment lines left out: 1") == 1
    assert messages.count(f"normalize toy: test: {LONE}: 1") == 1


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
    raw = raw_folder(tmp_path, dev="a\tB-A\n", test="a\tB-A\n\nb\tO\n\nc\tO\n")
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
    assert "documents are known" not in caplog.text
    write(raw / "test.txt", "b\tB-A\n\na\tO\n\nc\tO\n")
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
        ("a\tO\n\n\tO\n", ":3: found an empty token"),
        ("a\tO\n\nb\n", ":3: found 1 tab-separated column"),
        ("\n\n", ": found no sentence; expected the test split of toy"),
        ("# a\n# b\n", ": found no sentence (comment lines left out: 2); expected the test split"),
    ],
    ids=["IOB2", "empty token", "columns", "empty", "comments"],
)
def test_nothing_is_written_when_the_last_split_is_broken(tmp_path, test, found):
    raw = raw_folder(tmp_path, test=test)
    with pytest.raises(InputError) as caught:
        normalize("toy", entry(), raw, tmp_path / "out")
    assert str(caught.value).startswith(f"{raw / 'test.txt'}{found}")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("dev", "found"),
    [
        ("a\tB-A\t\nb\tO\t\n", "1 of 1 annotations lost (1 unknown-tag; the first at dev.txt:1)"),
        ("a\tb-A\nb\ti-A\nc\tO\n\nd\tB-A\n", "1 of 2 annotations lost (1 unknown-tag; "),
        ("a\tO\nb\tA-B\nc\tI_A\n\nd\tA\n", "2 of 2 annotations lost (2 unknown-tag; "),
    ],
    ids=["an empty last column", "lower case", "other orders and marks"],
)
def test_repair_does_not_empty_a_corpus_whose_tags_it_cannot_read(tmp_path, dev, found):
    """A run of unknown tags counts as one annotation: nobody knows how many it holds."""
    raw = raw_folder(tmp_path, dev=dev)
    with pytest.raises(InputError) as caught:
        normalize("toy", entry(on_error="repair"), raw, tmp_path / "out")
    message = str(caught.value)
    assert message.startswith(f"{raw / 'dev.txt'}: found {found}")
    assert (
        "expected at most 0.02 of them. State the right `tag_scheme` or `tag_column`, or" in message
    )
    assert not (tmp_path / "out").exists()


def one_unknown_in(number):
    return "a\tB-A\n\n" * (number - 1) + "a\tX-A\n"


def test_the_bound_is_a_share_of_all_annotations_of_a_split(tmp_path):
    """One of fifty is 0.02."""
    raw = raw_folder(tmp_path, train=one_unknown_in(50))
    normalize("toy", entry(on_error="repair"), raw, tmp_path / "out")
    counted = statistics(tmp_path / "out", "train")
    fates = {fate: counted["annotations", fate] for fate in ("found", "kept", "nested", "lost")}
    assert fates == {"found": 50, "kept": 49, "nested": 0, "lost": 1}
    write(raw / "train.txt", one_unknown_in(49))
    with pytest.raises(InputError, match="found 1 of 49 annotations lost"):
        normalize("toy", entry(on_error="repair"), raw, tmp_path / "out")
    normalize("toy", entry(on_error="repair", max_lost=0.03), raw, tmp_path / "out")


PUBTATOR = "1|t|BRCA1/2 mutant\n1|a|Gout .\n"
MUTANT, GENE, TWO, GOUT = (
    f"1\t{start}\t{end}\t{text}\tA\n"
    for start, end, text in ((8, 14, "mutant"), (0, 5, "BRCA1"), (6, 7, "2"), (15, 19, "Gout"))
)


def test_what_lies_in_a_longer_annotation_is_nested_and_not_lost(tmp_path):
    raw = raw_folder(tmp_path, **dict.fromkeys(SPLITS, PUBTATOR + GENE + TWO + GOUT))
    normalize("toy", entry(format="pubtator", max_lost=0), raw, tmp_path / "out")
    counted = statistics(tmp_path / "out", "train")
    fates = {fate: counted["annotations", fate] for fate in ("found", "kept", "nested", "lost")}
    assert fates == {"found": 3, "kept": 2, "nested": 1, "lost": 0}
    assert counted["changes", "shared-token"] == 1


def test_what_tokens_lose_counts_whatever_on_error_says(tmp_path):
    described = {"format": "pubtator", "token_alignment": "split"}
    raw = raw_folder(tmp_path, **dict.fromkeys(SPLITS, PUBTATOR + GENE + TWO + GOUT))
    with pytest.raises(InputError) as caught:
        normalize("toy", entry(**described), raw, tmp_path / "out")
    assert "1 of 3 annotations lost (1 inside-token; the first at train.txt:4)" in str(caught.value)
    assert "Take `token_alignment: widen`, or state the share" in str(caught.value)
    normalize("toy", entry(max_lost=0.34, **described), raw, tmp_path / "out")


def test_the_remedy_is_that_of_the_kind_that_loses_most(tmp_path):
    """The first loss is of the file, most are of the tokens."""
    bad = "1\t0\t5\tTNF-a\tA\n"
    others = "".join(f"1\t{n}\t{n + 1}\t{'BRCA1/2'[n]}\tA\n" for n in (1, 2))
    raw = raw_folder(tmp_path, **dict.fromkeys(SPLITS, PUBTATOR + bad + others + GOUT))
    described = entry(format="pubtator", token_alignment="split", on_error="repair")
    with pytest.raises(InputError) as caught:
        normalize("toy", described, raw, tmp_path / "out")
    assert "3 of 4 annotations lost (1 text-mismatch, 2 inside-token;" in str(caught.value)
    assert "Take `token_alignment: widen`" in str(caught.value)


def test_an_annotation_without_a_known_fate_is_an_error_of_the_program(tmp_path):
    changes = Changes("repair")
    changes.add_found(3)
    with pytest.raises(InputError, match="found 3 annotations, of which 1 are entities, 0 nested"):
        check_fates(tmp_path, changes, max_lost=1, kept=1)
    check_fates(tmp_path, changes, max_lost=1, kept=3)


def test_a_split_without_an_entity_is_no_silence(tmp_path, caplog):
    raw = raw_folder(tmp_path, dev="a\tB-A\n")
    normalize("toy", entry(), raw, tmp_path / "out")
    (warning,) = [message for message in caplog.messages if "no entity" in message]
    assert warning == f"{raw / 'test.txt'}: no entity in 1 sentences: nothing can be scored on it"


BIOES = "acute\tB-Dis\nrenal\tI-Dis\nfailure\tE-Dis\nand\tO\ngout\tS-Dis\n"


@pytest.mark.parametrize("on_error", ["fail", "repair"])
@pytest.mark.parametrize("scheme", ["IOB2", "IOB1", "IO"])
def test_bioes_is_named_whatever_on_error_says(tmp_path, scheme, on_error):
    raw = raw_folder(tmp_path, **dict.fromkeys(SPLITS, BIOES))
    described = entry(tag_scheme=scheme, on_error=on_error)
    with pytest.raises(InputError) as caught:
        normalize("toy", described, raw, tmp_path / "out")
    assert str(caught.value) == (
        f"{raw / 'train.txt'}:3: found the tag 'E-Dis', which looks like BIOES; expected tags in"
        f" {scheme}. State `tag_scheme: BIOES`."
    )
    found = normalize("toy", entry(tag_scheme="BIOES"), raw, tmp_path / "out")
    assert found["train"][0].tags == ["B-Dis", "I-Dis", "I-Dis", "O", "B-Dis"]


@pytest.mark.parametrize(
    ("scheme", "test", "warned"),
    [
        ("IOB2", "a\tI-A\nb\tI-A\n\nc\tI-A\n", "2 of 2 entities"),
        ("BIOES", "a\tB-A\nb\tI-A\n\nc\tB-A\n", "2 of 2 entities"),
        ("IOB2", "a\tB-A\n\n" * 9 + "b\tI-A\n", ""),
    ],
    ids=["IO as IOB2", "IOB2 as BIOES", "a tenth"],
)
def test_many_entities_that_break_their_scheme_are_kept_with_a_word(
    tmp_path, caplog, scheme, test, warned
):
    raw = raw_folder(tmp_path, train="a\tB-A\nb\tI-A\n" if scheme == "IOB2" else BIOES, test=test)
    found = normalize("toy", entry(on_error="repair", tag_scheme=scheme), raw, tmp_path / "out")
    entities = [tag for instance in found["test"] for tag in instance.tags if tag[0] == "B"]
    assert len(entities) == (2 if warned else 10)
    assert ("do the files follow another `tag_scheme`?" in caplog.text) == bool(warned)
    assert warned in caplog.text


def command(tmp_path, raw, given, planned, monkeypatch):
    """Normalize as the workflow does: by an entry with what changes instances, the rest beside."""
    described = {"format": "conll", "splits": SPLITS, "on_error": "repair"}
    files = {name: {"path": f"mine/{name}"} for name in SPLITS.values()}
    whole = parse_entry(DatasetEntry, "toy", described | planned | {"files": files}).canonical()
    assert ("max_lost" in whole) == ("max_lost" in planned), "older entries stay as they were"
    monkeypatch.setenv("BIONER_DATASETS", json.dumps({"toy": whole}))
    text = json.dumps(described | given | {"files": {name: {} for name in SPLITS.values()}})
    arguments = ["normalize", "toy", "--raw", raw, "--out", tmp_path / "out", "--entry", text]
    return CliRunner().invoke(app, list(map(str, arguments)))


@pytest.mark.parametrize(
    ("given", "planned", "allowed"),
    [({}, {}, False), ({}, {"max_lost": 0.5}, True), ({"max_lost": 0.1}, {"max_lost": 0.5}, False)],
)
def test_the_bound_comes_from_the_run_where_the_entry_given_has_none(
    tmp_path, monkeypatch, given, planned, allowed
):
    raw = raw_folder(tmp_path, dev=one_unknown_in(4))
    result = command(tmp_path, raw, given, planned, monkeypatch)
    assert (result.exit_code == 0) == allowed


def test_a_fault_names_the_file_that_the_raw_one_is_a_copy_of(tmp_path, monkeypatch):
    raw = raw_folder(tmp_path, dev="a\n")
    result = command(tmp_path, raw, {}, {}, monkeypatch)
    assert f"{raw / 'dev.txt'}:1: found 1 " in str(result.exception)
    assert str(result.exception).endswith(f" ({raw / 'dev.txt'} is a copy of mine/dev.txt.)")


def test_a_web_page_is_told_whatever_the_format(tmp_path):
    raw = raw_folder(tmp_path, dev="\n<!DOCTYPE html>\n<html>Sign in</html>\n")
    with pytest.raises(InputError, match=r"dev\.txt: found an HTML page"):
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
