"""Signs of life: a lock that is held, one that is left over, and what tells where locks do not."""

import errno
import fcntl
import json
import os
import socket
import threading
import time
from pathlib import Path

import pytest
from filelock import FileLock

from bioner.io.heartbeat import (
    FRESH,
    LOCK_TIMEOUT,
    Heartbeat,
    JobProgress,
    lock_is_held,
    read_heartbeat,
    write_heartbeat,
)

NOW = 1_000_000.0


def sign(host: str, age: float) -> Heartbeat:
    return Heartbeat(host=host, process=1, slurm_job=None, at=NOW - age)


def test_what_is_left_is_read_with_who_left_it(tmp_path, monkeypatch):
    monkeypatch.setenv("SLURM_JOB_ID", "77")
    write_heartbeat(tmp_path / "progress.json", JobProgress(step=3))
    found = read_heartbeat(tmp_path / "progress.json")
    assert found is not None
    assert (found.host, found.slurm_job, found.process) == (
        socket.gethostname(),
        "77",
        os.getpid(),
    )
    assert 0 <= found.age(time.time()) < 60
    assert (found.step, found.steps, found.dev_strict_f1) == (3, None, None)
    assert [path.name for path in tmp_path.iterdir()] == ["progress.json"]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b'{"host": "a", "at": 1',
        b"[1]",
        b'{"host": "a", "at": "noon"}',
        b'{"host": "a"}',
        b"\xff",
    ],
)
def test_half_a_file_is_no_sign_and_no_error(tmp_path, content):
    (tmp_path / "progress.json").write_bytes(content)
    assert read_heartbeat(tmp_path / "progress.json") is None
    assert read_heartbeat(tmp_path / "none.json") is None


def test_a_disk_that_is_full_ends_no_work(tmp_path):
    (tmp_path / "file").touch()
    write_heartbeat(tmp_path / "file" / "progress.json", JobProgress())


def test_a_lock_is_held_until_it_is_let_go(tmp_path):
    path = tmp_path / ".training.lock"
    assert not lock_is_held(path, None, NOW)
    with FileLock(path):
        assert lock_is_held(path, None, NOW)
    path.touch()  # as a killed process leaves it
    assert not lock_is_held(path, None, NOW)


@pytest.mark.parametrize(
    ("host", "age", "held"),
    [("elsewhere", FRESH - 1, True), ("elsewhere", FRESH + 1, False), (None, 1, False)],
)
def test_where_a_lock_seems_free_a_fresh_sign_of_another_machine_counts(tmp_path, host, age, held):
    (tmp_path / "lock").touch()
    assert lock_is_held(tmp_path / "lock", sign(host or socket.gethostname(), age), NOW) is held


@pytest.mark.parametrize(("age", "held"), [(FRESH - 1, True), (FRESH + 1, False)])
def test_where_there_are_no_locks_a_fresh_sign_counts(tmp_path, monkeypatch, age, held):
    def none(*_):
        raise OSError(errno.ENOSYS, "no locks here")

    (tmp_path / "lock").touch()
    monkeypatch.setattr(fcntl, "flock", none)
    assert lock_is_held(tmp_path / "lock", sign(socket.gethostname(), age), NOW) is held
    assert not lock_is_held(tmp_path / "lock", None, NOW)


def test_who_looks_keeps_nobody_out(tmp_path):
    """Four threads look all the time; each of two hundred jobs gets the lock all the same."""
    path, over = tmp_path / "lock", threading.Event()

    def look(place: Path) -> None:
        while not over.is_set():
            lock_is_held(place, None, NOW)

    lookers = [threading.Thread(target=look, args=(path,)) for _ in range(4)]
    for looker in lookers:
        looker.start()
    try:
        for _ in range(50):
            with FileLock(path, timeout=LOCK_TIMEOUT):
                pass
    finally:
        over.set()
        for looker in lookers:
            looker.join()


def test_a_sign_is_json_that_others_may_read(tmp_path):
    write_heartbeat(tmp_path / "sign", JobProgress(dev_strict_f1=None))
    content = json.loads((tmp_path / "sign").read_text())
    assert content.keys() == Heartbeat.model_fields.keys()
    assert content["dev_strict_f1"] is None
