"""Programs that checks run: why they failed, and none left running."""

import sys

import psutil
import pytest

from bioner.ops.doctor.processes import ProgramFailed, run_program


def python(code):
    return [sys.executable, "-c", code]


def children():
    found = psutil.Process().children(recursive=True)
    return [child for child in found if child.status() != psutil.STATUS_ZOMBIE]


def test_what_ends_well_is_told_with_its_last_line():
    assert run_program(python("print('much'); print(1.5)"), 30) == "1.5"


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
        ("raise RuntimeError('first\\nlast')", "last"),
    ],
)
def test_a_failure_is_told_by_what_it_said(code, reason):
    with pytest.raises(ProgramFailed) as failed:
        run_program(python(code), 300)
    assert str(failed.value) == reason


def test_one_that_hangs_is_ended_with_its_own_processes_when_its_time_is_over():
    before = len(children())
    code = "import subprocess; subprocess.run(['sleep', '600'])"
    with pytest.raises(ProgramFailed, match=r"^no end within 1 s$"):
        run_program(python(code), 1)
    assert len(children()) == before


def test_a_program_that_cannot_be_started_is_an_error():
    with pytest.raises(FileNotFoundError):
        run_program(["/no/such/program"], 30)
