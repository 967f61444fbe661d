"""Programs beside a check: their ends told, none left running."""

import sys

import psutil
import pytest

from bioner.ops.doctor.processes import failure, run_together

SLEEP = [sys.executable, "-c", "import time; time.sleep(600)"]


def python(code):
    return [sys.executable, "-c", code]


def children():
    return [
        child for child in psutil.Process().children() if child.status() != psutil.STATUS_ZOMBIE
    ]


def test_what_ends_well_is_told_with_its_last_line():
    ended = run_together([python("print('much'); print(1.5)"), python("")], 30)
    assert [one.code for one in ended] == [0, 0]
    assert ended[0].said == "1.5"
    assert failure(ended, 30) is None


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (
            "import sys; print('on stdout'); print('on stderr', file=sys.stderr); sys.exit(1)",
            "on stdout",
        ),
        ("import sys; print('on stderr', file=sys.stderr); sys.exit(1)", "on stderr"),
        ("import sys; sys.exit(7)", "exit code 7"),
        ("import os; print('said before'); os.kill(os.getpid(), 11)", "it was ended by SIGSEGV"),
        (
            (
                "from bioner.ops.doctor.processes import give_up;"
                " give_up(RuntimeError('first\\nsecond\\nlast'))"
            ),
            "RuntimeError: first … last",
        ),
        (
            "from bioner.ops.doctor.processes import give_up; give_up(OSError('alone'))",
            "OSError: alone",
        ),
    ],
)
def test_a_failure_is_told_by_what_it_said(code, reason):
    assert failure(run_together([python(code)], 300), 300) == reason


def test_one_that_fails_ends_the_others():
    before = len(children())
    ended = run_together([SLEEP, python("print('broken'); exit(2)")], 300)
    assert [one.code for one in ended] == [None, 2]
    assert failure(ended, 300) == "broken"
    assert len(children()) == before


def test_one_that_hangs_is_ended_when_its_time_is_over():
    before = len(children())
    ended = run_together([SLEEP, ["true"]], 1)
    assert [one.code for one in ended] == [None, 0]
    assert failure(ended, 1) == "no end within 1 s"
    assert len(children()) == before


def test_a_program_that_cannot_be_started_leaves_none_running():
    before = len(children())
    with pytest.raises(FileNotFoundError):
        run_together([SLEEP, ["/no/such/program"]], 30)
    assert len(children()) == before
