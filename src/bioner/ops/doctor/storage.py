"""Space: how much is free where a run writes, and whether a file can really be written there."""

import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bioner.ops.doctor.report import Finding, fail, ok

OUT_GIB = 20  # checkpoints, adapters and predictions of a run
LLM_GIB = 100  # weights of LLMs that are yet to be downloaded
ENCODER_GIB = 10  # weights of encoders that are yet to be
TMP_GIB = 1
INODES = 10_000  # files that can still be made
MIB = 16  # of a file written to see whether a quota lets it


@dataclass(frozen=True, slots=True)
class Place:
    """A folder that a run writes in, GiB that must be free there, and the setting that chooses
    it.
    """

    path: Path
    least: int
    setting: str
    made: bool = True  # a run makes it where there is none


def check_space(place: Place) -> Iterator[Finding]:
    """Enough space and inodes are free, and a file can be written."""
    folder = nearest(place.path)
    where = f"{place.setting} ({place.path})"
    elsewhere = f"or choose another folder with {place.setting}."
    if not place.made and folder != place.path:
        yield fail("space", f"{where}: no such folder", f"Make it, {elsewhere}")
        return
    free = shutil.disk_usage(folder).free / 2**30
    system = os.statvfs(folder)
    if free < place.least:
        yield fail(
            "space",
            f"{where}: {free:.1f} GiB free, {place.least} GiB needed",
            f"Make room, {elsewhere}",
        )
    elif (
        system.f_files and system.f_favail < INODES
    ):  # file systems that make inodes as needed count none
        found = f"{where}: {system.f_favail} files can still be made, {INODES} needed"
        yield fail("space", found, f"Remove files, {elsewhere}")
    else:
        try:
            write(folder)
        except OSError as error:
            full = error.errno in (errno.EDQUOT, errno.ENOSPC)
            remedy = "Make room (`quota -s`, `lfs quota`)" if full else "Check who may write there"
            yield fail(
                "space",
                f"{where}: {MIB} MiB not written ({error.strerror})",
                f"{remedy}, {elsewhere}",
            )
        else:
            yield ok("space", f"{where}: {free:.0f} GiB free, {MIB} MiB written")


def write(folder: Path) -> None:
    """Write a file through to the disk and remove it: a quota shows in nothing else."""
    with tempfile.NamedTemporaryFile(dir=folder, prefix=".bioner-doctor.") as file:
        file.write(os.urandom(MIB * 2**20))  # zeros take no space where a file system compresses
        file.flush()
        os.fsync(file.fileno())


def nearest(path: Path) -> Path:
    """The folder, or that of its parents which there is already: both are on one file system."""
    path = path.absolute()
    return next(folder for folder in (path, *path.parents) if folder.is_dir())
