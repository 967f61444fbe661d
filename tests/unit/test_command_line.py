"""The command line around the commands: one line for what goes wrong, and the exit code that tells which kind it is."""

import errno
import os
import pty
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests import forked
from tests.conftest import REPOSITORY

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
        (["train", "m", "--out", "o"], "train: missing option '--data'. See `bioner train --help`."),
        (["train"], "train: missing argument 'model'. See `bioner train --help`."),
        (["train", "m", "--data"], "train: option '--data' requires an argument. See `bioner train --help`."),
        (["summary", "a", "b"], "summary: got unexpected extra argument(s) (b). See `bioner summary --help`."),
        (["compare-all", "--nope"], "compare-all: no such option: --nope. See `bioner compare-all --help`."),
        (["--nope"], "no such option: --nope. See `bioner --help`."),
        (["nope"], "no such command 'nope'. See `bioner --help`."),
        (["", "x"], "no such command ''. See `bioner --help`."),
        (["no\npe"], "no such command"),
    ],
    ids=["option", "argument", "value", "extra", "unknown option", "before", "unknown command", "empty", "two lines"],
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
        ("bioner.cli.InputError('a.csv', 'this', 'that', 'Mend it.')", 2, "a.csv: found this; expected that. Mend it."),
        ("bioner.cli.Interrupted('m', 15, '')", 143, "m: SIGTERM; the same command goes on from there."),
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
            "system: I/O error: No space left on device (os error 28). Make room, then run the same again.",
        ),
        ("PermissionError(13, 'Permission denied', 'b')", 2, "b: Permission denied. Check the path and who may write"),
        ("OSError('of a library')", 2, "system: of a library. Check the path and who may write there."),
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
    with subprocess.Popen(command, stdin=theirs, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as asked:
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
