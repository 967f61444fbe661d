"""One source divided into splits by document: by id alone, completely, and only where ids exist."""

import json
import re

import pytest

from bioner.corpora.fetching.fetch import fetch
from bioner.corpora.normalize import normalize
from bioner.corpora.splitting import split_of
from bioner.data.instances import SPLITS
from bioner.errors import InputError
from bioner.settings.catalogue import parse_entry
from bioner.settings.dataset_entry import DatasetEntry, SplitByDocument
from tests.unit.corpora.readers import write

RULE = {"seed": 1, "dev": 0.25, "test": 0.25}
NAMES = [f"patient-{number}" for number in range(40)]


def entry(source, form="brat", **keys):
    described = {"format": form, "splits": {"all": str(source)}, "split": RULE}
    return parse_entry(DatasetEntry, "toy", described | keys)


def brat(folder, names=NAMES):
    for name in names:
        write(folder / f"{name}.txt", f"Gout of {name}.")
        write(folder / f"{name}.ann", "T1\tDisease 0 4\tGout\n")
    return folder


def documents(splits):
    return {split: {item.doc for item in instances} for split, instances in splits.items()}


def divided(tmp_path, described):
    """The documents of each split, from source to instances."""
    fetch("toy", described, tmp_path / "raw", mirror=None)
    assert [path.name for path in (tmp_path / "raw").iterdir()] == list(described.files)
    return documents(normalize("toy", described, tmp_path / "raw", tmp_path / "out"))


def test_every_document_is_in_one_split_and_their_number_near_its_share(tmp_path):
    found = divided(tmp_path, entry(brat(tmp_path / "mine")))
    assert sorted(name for split in SPLITS for name in found[split]) == sorted(NAMES)
    assert {split: len(names) for split, names in found.items()} == pytest.approx(
        {"train": 20, "dev": 10, "test": 10}, abs=6
    )


def test_shares_are_met_in_the_long_run():
    rule = SplitByDocument(seed=3, dev=0.1, test=0.2)
    found = [split_of(str(number), rule) for number in range(10_000)]
    assert found.count("dev") == pytest.approx(1000, abs=150)
    assert found.count("test") == pytest.approx(2000, abs=200)


def test_the_split_of_a_document_never_changes():
    """Of `1 a` to `1 f`, SHA-256 begins with 27, 62, 15, f8, d6, e3: 0.15, 0.38, 0.08, 0.97, …"""
    rule = SplitByDocument(**RULE)
    found = [split_of(name, rule) for name in "abcdef"]
    assert found == ["test", "dev", "test", "train", "train", "train"]


def test_another_document_moves_no_other(tmp_path):
    before = divided(tmp_path / "a", entry(brat(tmp_path / "mine", NAMES[:30])))
    after = divided(tmp_path / "b", entry(brat(tmp_path / "mine")))
    assert all(before[split] <= after[split] for split in SPLITS)


def test_another_seed_gives_another_split():
    one, two = (
        [split_of(name, SplitByDocument(seed=seed, dev=0.25, test=0.25)) for name in NAMES]
        for seed in (1, 2)
    )
    assert one != two


def jsonl(*records):
    return "".join(f"{json.dumps(record)}\n" for record in records)


FILES = {
    "jsonl": jsonl(
        *(
            {"tokens": [word], "tags": ["B-X"], "doc": name}
            for name in NAMES
            for word in ("Gout", "Sick")
        )
    ),
    "spans": jsonl(*({"text": "Gout", "label": [[0, 4, "X"]], "id": name} for name in NAMES)),
    "pubtator": "\n".join(f"{name}|t|Gout\n{name}\t0\t4\tGout\tX\n" for name in NAMES),
    "inline": "".join(f"# {name}\n{{X|Gout}} hurts\n" for name in NAMES),
    "dygie": jsonl(
        *({"doc_key": name, "sentences": [["Gout"]], "ner": [[[0, 0, "X"]]]} for name in NAMES)
    ),
    "conll": "-DOCSTART- O\n\nGout B-X\n\n" * 40,
}


@pytest.mark.parametrize("form", FILES)
def test_every_format_with_document_ids_can_be_divided(tmp_path, form):
    path = write(tmp_path / "mine" / "all.txt", FILES[form])
    found = divided(tmp_path, entry(path, form))
    assert sum(len(names) for names in found.values()) == 40
    assert all(found.values())


def test_changes_are_listed_in_the_split_of_their_document(tmp_path):
    folder = brat(tmp_path / "mine")
    for name in NAMES:
        write(folder / f"{name}.ann", "T1\tX 0 4\tGout\nT2\tX 0 4;8 15\tx\nT3\tX 5 7\tno\n")
    described = entry(folder, on_error="repair", max_lost=1)
    fetch("toy", described, tmp_path / "raw", mirror=None)
    found = documents(normalize("toy", described, tmp_path / "raw", tmp_path / "out"))
    listed = (tmp_path / "out" / "changes.csv").read_text().splitlines()[1:]
    for split, names in found.items():
        changed = [line.split(",")[2] for line in listed if line.startswith(f"{split},")]
        assert sorted(changed) == sorted([*names] * 2), "a discontinuous one and a wrong text each"


def test_changes_of_numbered_documents_are_listed_too(tmp_path):
    """Their names have the split, so that a hash of the name is that of no document."""
    path = write(tmp_path / "mine.tsv", "-DOCSTART- O\n\nGout I-X\nso O\n\n" * 40)
    described = entry(path, "conll", on_error="repair")
    fetch("toy", described, tmp_path / "raw", mirror=None)
    normalize("toy", described, tmp_path / "raw", tmp_path / "out")
    assert (tmp_path / "out" / "changes.csv").read_text().count(",orphan,") == 40


def test_what_is_passed_over_is_counted_in_the_split_of_its_document(tmp_path, caplog):
    caplog.set_level("INFO")
    rejected = [{"text": "Ill", "answer": "reject", "id": f"no {name}"} for name in NAMES]
    divided(
        tmp_path, entry(write(tmp_path / "raw.jsonl", FILES["spans"] + jsonl(*rejected)), "spans")
    )
    counts = re.findall(r"(\w+): examples not accepted, left out: (\d+)", caplog.text)
    assert [split for split, _ in counts] == list(SPLITS)
    assert sum(int(count) for _, count in counts) == 40


def refused(tmp_path, described):
    fetch("toy", described, tmp_path / "raw", mirror=None)
    with pytest.raises(InputError) as caught:
        normalize("toy", described, tmp_path / "raw", tmp_path / "out")
    assert not (tmp_path / "out").exists()
    return str(caught.value).replace(str(tmp_path), "")


def test_unknown_documents_cannot_be_divided(tmp_path):
    path = write(tmp_path / "mine.tsv", "Gout B-X\n\nSick O\n")
    assert refused(tmp_path, entry(path, "conll")) == (
        "/raw/all.tsv:1: found a sentence without a document id; expected one: `split`"
        " divides by document. Divide the file yourself, and name three files under `splits`."
    )


def test_a_split_without_a_document_is_refused(tmp_path):
    rule = RULE | {"dev": 1e-9}
    assert refused(tmp_path, entry(brat(tmp_path / "mine"), split=rule)) == (
        "/raw/all: found none of 40 documents in dev; expected documents in every split."
        " Set another `seed` or a larger share under `split`."
    )
