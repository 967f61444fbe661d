"""What a tired user gives the commands of scores: one line, exit 2, nothing written over and
nothing left.
"""

import json
import shutil

import pytest

from tests.workflow.test_bad_input import bioner

GOLD = [("a", ["gout", "hurts"], ["B-D", "O"]), ("b", ["old", "gout"], ["O", "B-D"])]
SCORE = ["score", "--gold", "test.jsonl", "--pred", "p.jsonl"]
ENSEMBLE = ["ensemble", "--gold", "test.jsonl", "--combine", "vote"]
CHOSEN = ["--selection", "selection.csv"]
COMPARE = ["compare", "--gold", "test.jsonl", "--pred", "p.jsonl", "--versus", "q.jsonl"]


@pytest.fixture
def folder(files, tmp_path):
    """A test's own copy of the files."""
    return shutil.copytree(files, tmp_path, dirs_exist_ok=True)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Gold, three prediction files, an alignment, dev scores of a and b, and a selection that has
    chosen a.
    """
    tmp_path = tmp_path_factory.mktemp("scores")
    rows = [{"id": i, "doc": i, "tokens": tokens, "tags": tags} for i, tokens, tags in GOLD]
    (tmp_path / "test.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    for name, tag in (("p", "B-D"), ("q", "O"), ("victim", "O"), ("foreign", "B-Drug")):
        lines = [{"id": "a", "tags": [tag, "O"]}, {"id": "b", "tags": ["O", "O"]}]
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    (tmp_path / "train.jsonl").write_text((tmp_path / "test.jsonl").read_text())
    raw = [
        {"id": "a", "words": [0, 1], "tags": ["I-D", "O"]},
        {"id": "b", "words": [0, 1], "tags": ["O", "O"]},
    ]
    (tmp_path / "raw.jsonl").write_text("".join(json.dumps(line) + "\n" for line in raw))
    made = [
        "realign",
        "--gold",
        "test.jsonl",
        "--raw",
        "raw.jsonl",
        "--out",
        "r.jsonl",
        "--alignment",
        "alignment.csv",
    ]
    assert bioner(*made, cwd=tmp_path).returncode == 0
    names, first, *others = (tmp_path / "alignment.csv").read_text().splitlines()
    fields = first.split(",")
    fields[names.split(",").index("orphan_positions")] = "foo"
    (tmp_path / "garbage.csv").write_text("\n".join([names, ",".join(fields), *others]) + "\n")
    for name in "ab":
        whose = [
            "--dataset",
            "d",
            "--model",
            name,
            "--seed",
            "1",
            "--decoding",
            "direct",
            "--out",
            f"{name}.csv",
        ]
        assert bioner(*SCORE, *whose, cwd=tmp_path).returncode == 0
    made = bioner(
        "select-best",
        "--encoder",
        "a.csv",
        "--encoder",
        "b.csv",
        "--out",
        "selection.csv",
        cwd=tmp_path,
    )
    assert made.returncode == 0
    (tmp_path / "copy.csv").write_text((tmp_path / "a.csv").read_text())
    (tmp_path / "dir").mkdir()
    (tmp_path / "run[1]").mkdir()
    (tmp_path / "run1").mkdir()
    (tmp_path / "run1" / "scores.csv").write_text((tmp_path / "a.csv").read_text())
    return tmp_path


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ([*SCORE, "--out", "p.jsonl"], ["p.jsonl: found an input", "--out"]),
        ([*SCORE, "--out", "dir"], ["dir: found a folder", "names a file in it"]),
        ([*SCORE, "--out", "s.csv.gz"], ["s.csv.gz: found a compressed table", "plain .csv"]),
        (
            [
                "score",
                "--gold",
                "test.jsonl",
                "--pred",
                "foreign.jsonl",
                "--train",
                "train.jsonl",
                "--out",
                "s.csv",
            ],
            ["foreign.jsonl:1", "'B-Drug' for 'a'"],
        ),
        (
            [*SCORE, "--alignment", "test.jsonl", "--out", "s.csv"],
            ["test.jsonl: found an unreadable table"],
        ),
        (
            [*SCORE, "--alignment", "garbage.csv", "--out", "s.csv"],
            ["garbage.csv:2", "'foo'", "beside these predictions"],
        ),
        (
            [
                "score",
                "--gold",
                "test.jsonl",
                "--pred",
                "q.jsonl",
                "--alignment",
                "alignment.csv",
                "--out",
                "s.csv",
            ],
            ["alignment.csv:2", "orphan_positions '0'", "begin a predicted entity"],
        ),
        (
            [
                "realign",
                "--gold",
                "test.jsonl",
                "--raw",
                "raw.jsonl",
                "--out",
                "x.jsonl",
                "--alignment",
                "test.jsonl",
            ],
            ["test.jsonl: found an input", "--alignment"],
        ),
        (
            [
                "realign",
                "--gold",
                "test.jsonl",
                "--raw",
                "raw.jsonl",
                "--out",
                "x",
                "--alignment",
                "x",
            ],
            ["x: found an input or another output"],
        ),
        (
            ["merge-scores", "a.csv", "copy.csv", "--out", "s.csv"],
            ["rows twice", "model a, seed 1"],
        ),
        (
            ["merge-scores", "run[1]/scores.csv", "--out", "s.csv"],
            ["run[1]/scores.csv: found no such file"],
        ),
        (["merge-scores", "dir", "--out", "s.csv"], ["dir: found a folder"]),
        (
            ["merge-scores", "selection.csv", "--out", "s.csv"],
            ["selection.csv: found an unreadable table"],
        ),
        ([*COMPARE, "--pred", "p.jsonl", "--out", "c.csv"], ["p.jsonl twice"]),
        (
            ["compare-all", "--gold", "test.jsonl", "--system", "a=p.jsonl", "--out", "c.csv"],
            ["'a'", "MODEL:"],
        ),
        (
            ["compare-all", "--gold", "test.jsonl", "--system", "a:b=p.jsonl", "--out", "c.csv"],
            ["1 system"],
        ),
        (["select-best", "--out", "s.csv"], ["no score file", "--encoder or --llm"]),
        (
            ["select-best", "--searched-llm", "m:free=search.csv", "--out", "s.csv"],
            ["without --dataset"],
        ),
        (
            ["select-best", "--searched-llm", "m=a.csv", "--dataset", "d", "--out", "s.csv"],
            ["--searched-llm", "MODEL:DECODING=FILE"],
        ),
        (
            ["select-best", "--searched-llm", "m:free=a.csv", "--dataset", "d", "--out", "s.csv"],
            ["a.csv: found an unreadable table", "the columns trial, winner"],
        ),
        (
            [
                "select-best",
                "--encoder",
                "a.csv",
                "--llm",
                "copy.csv",
                "--encoder",
                "a.csv",
                "--out",
                "s.csv",
            ],
            ["a.csv twice"],
        ),
        ([*ENSEMBLE, "--pred", "p.jsonl", "--out", "e.jsonl"], ["1 member", "at least two"]),
        (
            [*ENSEMBLE, "--pred", "p.jsonl", "--pred", "p.jsonl", "--out", "e.jsonl"],
            ["p.jsonl twice"],
        ),
        (
            [
                *ENSEMBLE,
                *CHOSEN,
                "--pred",
                "p.jsonl",
                "--candidate",
                "b=victim.jsonl",
                "--out",
                "victim.jsonl",
            ],
            ["victim.jsonl: found an input"],
        ),
        (
            [
                *ENSEMBLE,
                "--pred",
                "p.jsonl",
                "--candidate",
                "q.jsonl",
                "--selection",
                "selection.csv",
                "--out",
                "e",
            ],
            ["'q.jsonl'", "NAME=FILE"],
        ),
        (
            [
                *ENSEMBLE,
                "--pred",
                "p.jsonl",
                "--candidate",
                "x=q.jsonl",
                "--selection",
                "selection.csv",
                "--out",
                "e",
            ],
            ["selection.csv: found no 'x'", "one of a, b"],
        ),
        (
            [
                *ENSEMBLE,
                "--pred",
                "p.jsonl",
                "--candidate",
                "b=q.jsonl",
                "--selection",
                "selection.csv",
                "--out",
                "e",
            ],
            ["none of the candidates chosen"],
        ),
        (
            [*ENSEMBLE, "--pred", "p.jsonl", "--candidate", "a=q.jsonl", "--out", "e"],
            ["--selection with --candidate"],
        ),
        ([*COMPARE, "--resamples", "1000000000", "--out", "c.csv"], ["--resamples"]),
        # Of so few max-T has no critical value.
        ([*COMPARE, "--resamples", "18", "--out", "c.csv"], ["--resamples"]),
    ],
    ids=lambda value: " ".join(value[:1] + value[3:]) if isinstance(value, list) else None,
)
def test_a_command_names_what_is_wrong_and_loses_nothing(folder, arguments, named):
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    done = bioner(*arguments, cwd=folder)
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    for words in named:
        assert words in done.stderr
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


def test_a_table_that_cannot_be_read_is_not_quoted(folder):
    """It may be any file, with text that is not to be shown."""
    done = bioner(*SCORE, "--alignment", "test.jsonl", "--out", "s.csv", cwd=folder)
    assert "gout" not in done.stderr


def test_the_gold_as_its_own_training_data_is_remarked(folder):
    done = bioner(*SCORE, "--train", "test.jsonl", "--out", "s.csv", cwd=folder)
    assert done.returncode == 0
    assert "the gold itself" in done.stderr


def test_what_realign_wrote_fits(folder):
    predictions = [
        "score",
        "--gold",
        "test.jsonl",
        "--pred",
        "r.jsonl",
        "--alignment",
        "alignment.csv",
    ]
    assert bioner(*predictions, "--out", "s.csv", cwd=folder).returncode == 0
    assert "strict-iob2" in (folder / "s.csv").read_text()
