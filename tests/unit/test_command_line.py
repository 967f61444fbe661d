"""The command line around the commands: one line for what goes wrong, the exit code that tells
which kind it is, and options that reach what they are for.
"""

import errno
import os
import pty
import signal
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest
from typer.testing import CliRunner

from bioner.cli import app
from bioner.data.instances import Prediction, read_predictions, write_instances, write_predictions
from bioner.data.raw_outputs import Generated, write_raw
from bioner.settings.config import Scoring
from tests import forked
from tests.conftest import REPOSITORY, instance

BIONER = str(Path(sys.executable).parent / "bioner")


def bioner(*arguments: str) -> subprocess.CompletedProcess[str]:
    return forked.run(["bioner", *arguments], REPOSITORY)


def ended_by(error: str) -> subprocess.CompletedProcess[str]:
    """The command line where the command raises this."""
    code = f"""
import sys, bioner.cli
def app(*_, **__): raise {error}
bioner.cli.app, sys.argv = app, ["bioner", "score"]
bioner.cli.main()
"""
    return forked.run(["python", "-c", code], REPOSITORY)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            ["train", "m", "--out", "o"],
            "train: missing option '--data'. See `bioner train --help`.",
        ),
        (["train"], "train: missing argument 'model'. See `bioner train --help`."),
        (
            ["train", "m", "--data"],
            "train: option '--data' requires an argument. See `bioner train --help`.",
        ),
        (
            ["summary", "a", "b"],
            "summary: got unexpected extra argument(s) (b). See `bioner summary --help`.",
        ),
        (
            ["compare-all", "--nope"],
            "compare-all: no such option: --nope. See `bioner compare-all --help`.",
        ),
        (["--nope"], "no such option: --nope. See `bioner --help`."),
        (["nope"], "no such command 'nope'. See `bioner --help`."),
        (["", "x"], "no such command ''. See `bioner --help`."),
        (["no\npe"], "no such command"),
    ],
    ids=[
        "option",
        "argument",
        "value",
        "extra",
        "unknown option",
        "before",
        "unknown command",
        "empty",
        "two lines",
    ],
)
def test_a_usage_error_is_one_line(arguments, said):
    done = bioner(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"bioner: {said}")
    assert done.stderr.count("\n") == 1


def test_a_value_that_an_option_does_not_take_names_the_option():
    done = bioner("train", "m", "--data", "d", "--out", "o", "--seed", "many")
    assert done.returncode == 2
    assert done.stderr.startswith("bioner: train: invalid value for '--seed': ")
    assert done.stderr.count("\n") == 1


def test_help_is_shown_when_asked_for_and_where_there_is_no_argument():
    for arguments, code in ((["--help"], 0), (["train", "--help"], 0), ([], 2)):
        done = bioner(*arguments)
        assert (done.returncode, done.stderr) == (code, "")
        assert "Usage: bioner" in done.stdout


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (
            "bioner.cli.InputError('a.csv', 'this', 'that', 'Mend it.')",
            2,
            "a.csv: found this; expected that. Mend it.",
        ),
        (
            "bioner.cli.Interrupted('m', 15, '')",
            143,
            "m: SIGTERM; the same command goes on from there.",
        ),
        (
            f"OSError({errno.ENOSPC}, 'No space left on device', '/a/file')",
            2,
            "/a/file: No space left on device. Make room, then run the same again.",
        ),
        (
            f"OSError({errno.EDQUOT}, 'Disk quota exceeded')",
            2,
            "system: Disk quota exceeded. Make room, then run the same again.",
        ),
        (
            "RuntimeError('I/O error: No space left on device (os error 28)')",
            2,
            (
                "system: I/O error: No space left on device (os error 28). Make room, then run the"
                " same again."
            ),
        ),
        (
            "PermissionError(13, 'Permission denied', 'b')",
            2,
            "b: Permission denied. Check the path and who may write",
        ),
        (
            "OSError('of a library')",
            2,
            "system: of a library. Check the path and who may write there.",
        ),
    ],
)
def test_what_ends_a_command_is_told_in_one_line(error, code, said):
    done = ended_by(error)
    assert done.returncode == code
    assert done.stderr.startswith(f"bioner: {said}")
    assert done.stderr.count("\n") == 1


def test_a_fault_of_the_program_itself_shows_where_it_is():
    done = ended_by("ZeroDivisionError('oh')")
    assert done.returncode == 1
    assert "Traceback" in done.stderr
    assert "ZeroDivisionError: oh" in done.stderr


@pytest.mark.parametrize("ending", ["signal", "end of input"])
def test_a_question_that_is_broken_off_writes_nothing(tmp_path, ending):
    ours, theirs = pty.openpty()
    command = [BIONER, "profile", str(tmp_path / "site")]
    with subprocess.Popen(
        command, stdin=theirs, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as asked:
        assert asked.stdout.read(len("Partition")) == "Partition", "the first question"
        if ending == "signal":
            asked.send_signal(signal.SIGINT)
        else:
            os.write(ours, b"\x04")
        try:
            _, said = asked.communicate(timeout=300)
        finally:
            asked.kill()
    os.close(ours)
    os.close(theirs)
    assert asked.returncode == 130
    assert said == "\nbioner: broken off\n"
    assert list(tmp_path.iterdir()) == []


TEXT = "gout/B-D and/O chronic/B-D renal/I-D failure/I-D"
GOLD = [instance(str(number), TEXT) for number in range(45)]


def made(out: Path, *arguments: object) -> Path:
    """What a command writes to `out`."""
    done = CliRunner().invoke(app, [*map(str, arguments), "--out", str(out)])
    assert done.exit_code == 0, done.output
    return out


@pytest.fixture
def systems(tmp_path) -> Path:
    """A folder with gold and two systems: one finds the long mention in two of three sentences, the
    other in one.
    """
    write_instances(tmp_path / "gold.jsonl", GOLD)
    write_instances(tmp_path / "train.jsonl", GOLD[:1])
    for name, rest in (("p", (0, 1)), ("q", (2,))):
        found = [
            item.tags if number % 3 in rest else ["B-D", *"OOOO"]
            for number, item in enumerate(GOLD)
        ]
        told = [Prediction(item.id, tags) for item, tags in zip(GOLD, found, strict=True)]
        write_predictions(tmp_path / f"{name}.jsonl", told)
    return tmp_path


def test_options_of_scoring_do_what_they_say(systems):
    def scored(*options: object) -> pl.DataFrame:
        files = ("--gold", systems / "gold.jsonl", "--pred", systems / "p.jsonl")
        return pl.read_csv(made(systems / "scores.csv", "score", *files, *options))

    plain = scored()
    twice = ("--length-cut", 2, "--length-cut", 1, "--length-cut", 2)
    assert scored(*twice).equals(plain), "cuts in any order, one of them twice"
    assert not scored("--length-cut", 3).equals(plain)
    assert ("D" in plain["label"], "D" in scored("--no-per-type")["label"]) == (True, False)
    assert set(plain["stratum"]) < set(scored("--train", systems / "train.jsonl")["stratum"])
    assert scored("--bootstrap", Scoring().bootstrap).equals(plain), "the configuration's default"
    points = scored("--bootstrap", 0)["f1_ci_low"]
    assert points.null_count() == len(points)
    lows = [
        scored("--bootstrap", 40, "--bootstrap-seed", seed)["f1_ci_low"].to_list()
        for seed in (1, 1, 2)
    ]
    assert lows[0] == lows[1] != lows[2]


def test_options_of_comparing_do_what_they_say(systems):
    def compared(*options: object) -> bytes:
        files = (
            "--gold",
            systems / "gold.jsonl",
            "--pred",
            systems / "p.jsonl",
            "--versus",
            systems / "q.jsonl",
        )
        return made(systems / "compared.csv", "compare", *files, *options).read_bytes()

    settings = [(100, 1, 1), (100, 1, 3), (100, 2, 1), (200, 1, 1)]
    found = [
        compared("--resamples", resamples, "--resampling-seed", seed, "--length-cut", cut)
        for resamples, seed, cut in (*settings, settings[0])
    ]
    assert found[0] == found[-1]
    assert len(set(found)) == len(settings)


def test_members_of_an_ensemble_are_combined_as_asked_for(systems):
    """Each finds `gout` everywhere; of the 45 long mentions the first finds 30, the second the
    15 others.
    """
    files = (
        "--gold",
        systems / "gold.jsonl",
        "--pred",
        systems / "p.jsonl",
        "--pred",
        systems / "q.jsonl",
    )
    counts = {}
    for combine in ("union", "intersection"):
        out = made(systems / "both.jsonl", "ensemble", *files, "--combine", combine)
        counts[combine] = sum(one.tags.count("B-D") for one in read_predictions(out, GOLD))
    assert counts == {"union": 90, "intersection": 45}


def test_answers_are_realigned_by_the_method_asked_for_and_keep_types_of_gold_or_training(tmp_path):
    gold = [instance("a", "IL-2/B-Gene grows/O"), instance("b", "gout/B-Disease hurts/O")]
    write_instances(tmp_path / "gold.jsonl", gold)
    write_instances(tmp_path / "train.jsonl", gold[:1])
    texts = ("IL2:B-Gene\ngrows:O\n", "gout:B-Disease\nhurts:B-Drug\n")
    raw = [Generated(item.id, text, 9, True) for item, text in zip(gold, texts, strict=True)]
    write_raw(tmp_path / "raw.jsonl", raw)
    files = (
        "--gold",
        tmp_path / "gold.jsonl",
        "--raw",
        tmp_path / "raw.jsonl",
        "--train",
        tmp_path / "train.jsonl",
    )
    found = {
        method: [
            one.tags
            for one in read_predictions(
                made(tmp_path / "p.jsonl", "realign", *files, "--method", method), gold
            )
        ]
        for method in ("robust", "paper")
    }
    assert found == {
        "robust": [["B-Gene", "O"], ["B-Disease", "O"]],
        "paper": [["O", "O"], ["B-Disease", "O"]],
    }
