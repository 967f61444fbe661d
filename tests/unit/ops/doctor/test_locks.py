"""Locks between processes, and renames: real ones, and file systems that have none."""

import contextlib
import errno
import subprocess
import sys

import filelock
import pytest

from bioner.ops.doctor import locks
from bioner.ops.doctor.locks import check_locks, check_rename, is_free

HOLD = """
import sys
from filelock import FileLock
with FileLock(sys.argv[1]):
    print("held", flush=True)
    sys.stdin.read()
"""


def line(findings):
    (finding,) = findings
    return str(finding)


def test_a_lock_that_another_process_holds_is_taken(tmp_path):
    path = tmp_path / "lock"
    command = [sys.executable, "-c", HOLD, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout.readline() == b"held\n"
        assert not is_free(path)
        holder.stdin.close()
        holder.wait(30)
        assert is_free(path)


def test_a_file_system_with_locks_is_fine(tmp_path):
    assert line(check_locks(tmp_path / "runs")).startswith("ok   locks")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("while_held", "afterwards", "reason"),
    [
        (True, True, "two processes hold one lock"),
        (False, False, "a lock stays taken when it is given back"),
    ],
)
def test_locks_that_do_not_exclude_or_do_not_end_fail(
    tmp_path, monkeypatch, while_held, afterwards, reason
):
    answers = iter([while_held, afterwards])
    monkeypatch.setattr(locks, "is_free", lambda path: next(answers))
    told = line(check_locks(tmp_path))
    assert told.startswith("FAIL locks")
    assert reason in told
    assert "another file system" in told


def test_a_lock_that_locks_nothing_is_found_out(tmp_path, monkeypatch):
    class Idle:
        def __init__(self, path):
            pass

        def acquire(self, timeout):
            return contextlib.nullcontext()

    monkeypatch.setattr(locks, "FileLock", Idle)
    assert "two processes hold one lock" in line(check_locks(tmp_path))


@pytest.mark.parametrize(
    "error", [OSError(errno.ENOLCK, "No locks available"), filelock.Timeout("lock")]
)
def test_a_file_system_without_locks_fails(tmp_path, monkeypatch, error):
    def refused(self, *_, **__):
        raise error

    monkeypatch.setattr(filelock.FileLock, "acquire", refused)
    told = line(check_locks(tmp_path))
    assert told.startswith(f"FAIL locks      no lock is to be had in {tmp_path}")
    assert "-o flock" in told


def test_files_and_folders_are_replaced(tmp_path):
    assert line(check_rename(tmp_path)).startswith("ok   rename")
    assert list(tmp_path.iterdir()) == []


def test_a_rename_that_leaves_the_old_content_fails(tmp_path, monkeypatch):
    @contextlib.contextmanager
    def first_only(path):
        temporary = path.with_name(f"{path.name}.new")
        yield temporary
        if not path.exists():
            temporary.replace(path)
        elif temporary.is_dir():
            temporary.rename(path.with_name("aside"))

    monkeypatch.setattr(locks, "atomic_path", first_only)
    assert line(check_rename(tmp_path)).startswith("FAIL rename")
