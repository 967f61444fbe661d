"""A corpus of one's own, the commands of docs/corpora.md; and corpora that are not at hand, or not
to be shown.
"""

import re
import subprocess

import polars as pl
import pytest
import yaml

from bioner.data.instances import read_instances
from tests import forked
from tests.workflow.snakemake import REPOSITORY, dry_run, jobs, snakemake


def test_the_commands_of_the_manual_run_from_start_to_finish(tmp_path):
    text = (REPOSITORY / "docs" / "corpora.md").read_text(encoding="utf-8")
    section = text.split("## A corpus of your own")[1].split("\n## ")[0]
    script = "\n".join(re.findall(r"^```bash\n(.*?)^```", section, flags=re.MULTILINE | re.DOTALL))
    # The reader stands in the repository; here files go to a folder of the test.
    script = script.replace("mine", str(tmp_path / "mine"))
    script = script.replace(
        "snakemake", f"snakemake --snakefile {REPOSITORY}/Snakefile --directory {tmp_path}"
    )
    script = f'export PATH="{forked.servers().programs}:$PATH"\nset -euo pipefail\n{script}'
    done = subprocess.run(
        ["bash", "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "dictionary" in done.stdout
    test = read_instances(tmp_path / "runs" / "gout" / "data" / "gout" / "test.jsonl")
    assert [instance.tags[:4] for instance in test] == [
        ["B-Chemical", "O", "B-Disease", "I-Disease"],
        ["B-Disease", "O", "O", "B-Disease"],
    ]
    scores = pl.read_csv(
        tmp_path / "runs" / "gout" / "results" / "gout" / "dictionary" / "scores.csv"
    )
    strict = scores.filter(scorer="semeval", scheme="strict", stratum="all", label="all")
    assert strict.select("correct", "possible").row(0) == (3, 5)


SECRET = "Zanzibar"


@pytest.fixture
def matrix(tmp_path):
    """Two corpora, one of which its users have to supply; and a mirror that holds the other."""
    for name, words in {"open": ("gout", "ache"), "closed": (SECRET, "ache")}.items():
        folder = tmp_path / "mirror" / name
        folder.mkdir(parents=True)
        for split in ("train", "dev", "test"):
            (folder / f"{split}.tsv").write_text(
                f"{words[0]}\tB-Disease\nand\tO\n{words[1]}\tI-Disease\n"
            )
    described = {
        "format": "conll",
        "splits": {split: f"{split}.tsv" for split in ("train", "dev", "test")},
    }
    config = {
        "datasets": ["open", "closed"],
        "models": ["dictionary"],
        "mirror": str(tmp_path / "mirror"),
        "dataset_overrides": {
            "open": described | {"on_error": "repair"},
            "closed": (
                described
                | {
                    "on_error": "repair",
                    "redistributable": False,
                    "obtain": "Ask the harbour master.",
                }
            ),
        },
    }
    (tmp_path / "matrix.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
    return tmp_path


def run(folder, *arguments):
    done = snakemake(
        folder, "--configfile", str(folder / "matrix.yaml"), "--cores", "2", *arguments
    )
    return done, done.stdout + done.stderr


def test_a_corpus_that_is_not_at_hand_is_left_out_and_the_report_says_so(matrix):
    for path in (matrix / "mirror" / "closed").iterdir():
        path.unlink()
    note = "left out: train.tsv, dev.tsv, test.tsv not at hand. Ask the harbour master."

    planned = jobs(dry_run(matrix, "--configfile", str(matrix / "matrix.yaml")))
    assert planned["normalize"] == 2, "a dry-run needs no source"

    done, said = run(matrix)
    assert done.returncode == 0, said
    assert f"closed: {note}" in said
    assert f"closed: {note}" in (matrix / "logs" / "report.log").read_text()
    page = (matrix / "reports" / "report.html").read_text()
    assert f"<strong>closed</strong>: {note}" in page
    assert pl.read_csv(matrix / "reports" / "table1_instances.csv")[
        "dataset"
    ].unique().to_list() == ["open"]
    assert jobs(dry_run(matrix, "--configfile", str(matrix / "matrix.yaml"))) == {}, (
        "a second run does nothing"
    )

    for split in ("train", "dev", "test"):
        (matrix / "mirror" / "closed" / f"{split}.tsv").write_text("ache\tB-Disease\n")
    planned = jobs(dry_run(matrix, "--configfile", str(matrix / "matrix.yaml")))
    assert (planned["fetch"], planned["report"]) == (1, 1), "it joins once its files are there"


def test_a_cell_of_a_corpus_that_is_not_at_hand_says_how_to_obtain_it(matrix):
    for path in (matrix / "mirror" / "closed").iterdir():
        path.unlink()
    done, said = run(matrix, "results/closed/dictionary/scores.csv")
    assert done.returncode != 0
    assert "Ask the harbour master." in (matrix / "logs" / "fetch" / "closed.log").read_text()
    assert "Traceback" not in said


def test_a_run_without_any_corpus_at_hand_says_so(matrix):
    for path in (matrix / "mirror" / "closed").iterdir():
        path.unlink()
    done, said = run(matrix, "--config", "datasets=[closed]")
    assert done.returncode != 0
    assert "No corpus of the configuration is at hand." in said
    assert "Traceback" not in said


@pytest.mark.parametrize("shown", [False, True])
def test_text_that_may_not_be_redistributed_reaches_no_log_and_no_report(matrix, shown):
    (matrix / "mirror" / "closed" / "test.tsv").write_text(
        f"ache\tB-Disease\n\n{SECRET} and ache\n"
    )
    asked = ["--config", "show_restricted_text=[closed]"] if shown else []
    done, said = run(matrix, *asked)
    assert done.returncode != 0
    log = (matrix / "logs" / "normalize" / "closed.log").read_text()
    assert "test.tsv:3" in log
    assert (SECRET in log, SECRET in said) == (shown, shown)
    if shown:
        return
    (matrix / "mirror" / "closed" / "test.tsv").write_text(f"{SECRET}\tI-Disease\n")
    done, said = run(matrix, "--forcerun", "fetch")
    assert done.returncode == 0, said
    written = [
        said,
        *(
            path.read_text()
            for kind in ("logs", "reports")
            for path in (matrix / kind).rglob("*.*")
        ),
    ]
    assert not any(SECRET in text for text in written)


@pytest.fixture
def brat(tmp_path):
    """A corpus in brat folders, described in one order of keys or another."""
    for split in ("train", "dev", "test"):
        folder = tmp_path / "texts" / split / "part"
        folder.mkdir(parents=True)
        (folder / "a.txt").write_text("Gout hurts.")
        (folder / "a.ann").write_text("T1\tDisease 0 4\tGout\n")

    def describe(**changes):
        entry = {
            "format": "brat",
            "splits": {s: str(tmp_path / "texts" / s) for s in ("train", "dev", "test")},
        }
        described = {
            "datasets": ["mine"],
            "models": ["oracle"],
            "dataset_overrides": {"mine": entry | changes},
        }
        (tmp_path / "matrix.yaml").write_text(yaml.safe_dump(described, sort_keys=False))

    describe()
    return tmp_path, describe


def planned(folder):
    return jobs(dry_run(folder, "data", "--configfile", str(folder / "matrix.yaml")))


def test_a_corpus_is_read_again_when_it_changes_and_only_then(brat):
    folder, describe = brat
    done, said = run(folder, "data")
    assert done.returncode == 0, said
    assert planned(folder) == {}

    splits = {s: str(folder / "texts" / s) for s in ("test", "dev", "train")}
    for same in (
        {"obtain": "Ask.", "license": "MIT", "description": "Texts.", "mirror_folder": "x"},
        {"segmentation": "passages", "labels": [], "type_key": "type", "splits": splits},
    ):
        describe(**same)
        assert planned(folder) == {}, (
            "neither words nor the order of keys nor defaults change a corpus"
        )
    describe(segmentation="sentences")
    assert planned(folder) == {"normalize": 1, "data": 1, "total": 2}

    describe()
    (folder / "texts" / "test" / "part" / "a.ann").write_text(
        "T1\tDisease 0 4\tGout\nT2\tVerb 5 10\thurts\n"
    )
    assert planned(folder) == {
        "fetch": 1,
        "normalize": 1,
        "data": 1,
        "total": 3,
    }, "a file deep in a folder counts"
    done, said = run(folder, "data")
    assert done.returncode == 0, said
    assert read_instances(folder / "data" / "mine" / "test.jsonl")[0].tags == [
        "B-Disease",
        "B-Verb",
        "O",
    ]

    moved = {s: str(folder / "elsewhere" / s) for s in ("train", "dev", "test")}
    (folder / "texts").rename(folder / "elsewhere")
    describe(splits=moved)
    assert planned(folder) == {}, "the same texts in another place are the same corpus"


def test_one_folder_is_fetched_once_and_divided_by_document(brat):
    folder, describe = brat
    for name in range(30):
        (folder / "texts" / f"{name}.txt").write_text("Gout hurts.")
        (folder / "texts" / f"{name}.ann").write_text("T1\tDisease 0 4\tGout\n")
    describe(splits={"all": str(folder / "texts")}, split={"seed": 1, "dev": 0.2, "test": 0.2})
    done, said = run(folder, "data")
    assert done.returncode == 0, said
    assert [path.name for path in (folder / "data" / "mine" / "raw").glob("[!.]*")] == ["all"]
    sizes = [
        len(read_instances(folder / "data" / "mine" / f"{split}.jsonl"))
        for split in ("train", "dev", "test")
    ]
    assert sum(sizes) == 33
    assert min(sizes) > 0


def test_a_path_that_is_no_longer_there_is_told(brat):
    folder, describe = brat
    run(folder, "data")
    describe(
        splits={
            s: str(folder / "texts" / s) + ("s" if s == "dev" else "")
            for s in ("train", "dev", "test")
        }
    )
    done, said = run(folder, "data")
    assert done.returncode != 0
    assert f"{folder}/texts/devs: found no such file" in said
    assert "Traceback" not in said


def test_files_of_a_mirror_that_nothing_vouches_for_are_watched(matrix):
    done, said = run(matrix, "data")
    assert done.returncode == 0, said
    (matrix / "mirror" / "open" / "dev.tsv").write_text("cramp\tB-Disease\n")
    assert planned(matrix) == {"fetch": 1, "normalize": 1, "data": 1, "total": 3}


def test_results_stay_in_the_report_when_their_corpus_is_no_longer_at_hand(matrix):
    done, said = run(matrix)
    assert done.returncode == 0, said
    (matrix / "mirror" / "closed").rename(matrix / "mirror" / "gone")
    assert jobs(dry_run(matrix, "--configfile", str(matrix / "matrix.yaml"))) == {}


def test_a_mirror_may_begin_with_a_tilde(matrix, monkeypatch):
    monkeypatch.setenv("HOME", str(matrix))
    done, said = run(matrix, "data", "--config", "mirror=~/mirror")
    assert done.returncode == 0, said


@pytest.mark.parametrize(
    "form", ["two columns, IO", "lists in CSV, IOB2", "lists in CSV, named in an overlay"]
)
def test_reddit_impacts_from_its_users_folder(tmp_path, monkeypatch, form):
    """The catalogue's own entry on made-up posts; labels are those of the data."""
    folder = tmp_path / "mirror" / "Reddit-Impacts"
    folder.mkdir(parents=True)
    for split, name in {"train": "train", "dev": "valid", "test": "test"}.items():
        if form.startswith("two"):
            text = (
                f"lost O\nmy O\njob{split} I-Social_Impacts\nagain I-Social_Impacts\n\nso O\nsick"
                " I-Clinical_Impacts\n"
            )
            (folder / f"{split}.txt").write_text(text)
        else:
            rows = [
                (
                    f"1,\"['lost', 'my', 'job{split}', 'again']\",\"['O', 'O', 'B-Social_Impacts',"
                    " 'I-Social_Impacts']\""
                ),
                "2,\"['so', 'sick']\",\"['O', 'B-Clinical_Impacts']\"",
            ]
            (folder / f"{name}.csv").write_text("ID,tokens,ner_tags\n" + "\n".join(rows) + "\n")
    config = {"datasets": ["Reddit-Impacts"], "models": ["oracle"]}
    if form.endswith("overlay"):
        monkeypatch.delenv("BIONER_MIRROR", raising=False)
        names = {"train": "train.csv", "dev": "valid.csv", "test": "test.csv"}
        paths = {split: str(folder / name) for split, name in names.items()}
        config["dataset_overrides"] = {"Reddit-Impacts": {"splits": paths}}
    else:
        config["mirror"] = str(tmp_path / "mirror")
    (tmp_path / "matrix.yaml").write_text(yaml.safe_dump(config))
    # To the reports for one form: after normalizing they are all the same.
    done, said = run(tmp_path, *(["data"] if form.startswith("lists") else []))
    assert done.returncode == 0, said
    tags = [
        instance.tags
        for instance in read_instances(tmp_path / "data" / "Reddit-Impacts" / "dev.jsonl")
    ]
    assert tags == [["O", "O", "B-Social_Impacts", "I-Social_Impacts"], ["O", "B-Clinical_Impacts"]]
    shown = [
        said,
        *(
            path.read_text()
            for kind in ("logs", "reports")
            for path in (tmp_path / kind).rglob("*.*")
        ),
    ]
    assert not any("jobdev" in text or "jobtest" in text for text in shown)
