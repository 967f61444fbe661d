"""Space where a run writes: counted, and written to."""

import errno
import os
from collections import namedtuple
from types import SimpleNamespace

import pytest

from bioner.ops.doctor import storage
from bioner.ops.doctor.storage import INODES, check_space, nearest

Usage = namedtuple("Usage", "total used free")


@pytest.fixture
def disk(monkeypatch):
    """A function that gives every disk so many free GiB and files."""

    def make(gib, files=10**9, total=10**9):
        monkeypatch.setattr(storage.shutil, "disk_usage", lambda _: Usage(0, 0, int(gib * 2**30)))
        monkeypatch.setattr(os, "statvfs", lambda _: SimpleNamespace(f_files=total, f_favail=files))

    return make


def line(*place, **options):
    (finding,) = check_space(*place, **options)
    return str(finding)


def test_enough_space_is_written_to_and_left_as_it_was(tmp_path, disk):
    disk(20)
    assert (
        line(tmp_path, 20, "out")
        == f"ok   space      out ({tmp_path}): 20 GiB free, 16 MiB written"
    )
    assert list(tmp_path.iterdir()) == []


def test_too_little_is_told_with_what_is_needed(tmp_path, disk):
    disk(19.94)
    assert (
        line(tmp_path, 20, "out")
        == f"FAIL space      out ({tmp_path}): 19.9 GiB free, 20 GiB needed. Make room, or choose"
        " another folder with out."
    )


@pytest.mark.parametrize(
    ("files", "total", "state"), [(INODES, 10**6, "ok"), (INODES - 1, 10**6, "FAIL"), (0, 0, "ok")]
)
def test_files_that_can_still_be_made_count_where_a_file_system_counts_them(
    tmp_path, disk, files, total, state
):
    disk(50, files, total)
    assert line(tmp_path, 20, "out").split()[0] == state


@pytest.mark.parametrize(
    ("number", "remedy"),
    [(errno.EDQUOT, "quota -s"), (errno.ENOSPC, "quota -s"), (errno.EROFS, "who may write there")],
)
def test_a_quota_shows_when_the_file_reaches_the_disk(tmp_path, disk, monkeypatch, number, remedy):
    def full(_):
        raise OSError(number, os.strerror(number))

    disk(50)
    monkeypatch.setattr(os, "fsync", full)
    told = line(tmp_path, 20, "out")
    assert told.startswith("FAIL")
    assert f"16 MiB not written ({os.strerror(number)})" in told
    assert remedy in told
    assert list(tmp_path.iterdir()) == []


def test_a_whole_file_of_that_size_is_written(tmp_path, disk, monkeypatch):
    sizes = []
    disk(50)
    monkeypatch.setattr(os, "fsync", lambda number: sizes.append(os.fstat(number).st_size))
    line(tmp_path, 20, "out")
    assert sizes == [16 * 2**20]


def test_a_folder_that_a_run_will_make_is_tested_where_it_will_be(tmp_path, disk):
    disk(50)
    assert nearest(tmp_path / "a" / "b") == tmp_path
    assert line(tmp_path / "a" / "b", 20, "out").startswith("ok")
    assert not (tmp_path / "a").exists()


def test_a_folder_that_nobody_makes_has_to_be_there(tmp_path, disk):
    disk(50)
    told = line(tmp_path / "scratch", 1, "TMPDIR", made=False)
    assert told.startswith(
        f"FAIL space      TMPDIR ({tmp_path / 'scratch'}): no such folder. Make it"
    )


def test_a_file_in_the_way_is_not_taken_for_the_folder(tmp_path):
    (tmp_path / "file").touch()
    assert nearest(tmp_path / "file" / "x") == tmp_path
