"""Space: how much is free where a run writes, and whether a file can really be written there."""

import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from bioner.ops.doctor.report import Finding, fail, ok

INODES = 10_000  # files that can still be made
MIB = 16  # of a file written to see whether a quota lets it


def check_space(path: Path, least: float, setting: str, made: bool = True) -> Iterator[Finding]:
    """Check that enough space and inodes are free, and that a file can be written.

    Args:
        path: The folder that a run writes in.
        least: GiB that must be free.
        setting: What chooses the folder, for the message.
        made: Whether a run makes the folder if there is none.
    """
    folder = nearest(path)
    where = f"{setting} ({path})"
    elsewhere = f"or choose another folder with {setting}."
    if not made and folder != path:
        yield fail("space", f"{where}: no such folder", f"Make it, {elsewhere}")
        return
    free = shutil.disk_usage(folder).free / 2**30
    system = os.statvfs(folder)
    if free < least:
        found = f"{where}: {free:.1f} GiB free, {least:.0f} GiB needed"
        yield fail("space", found, f"Make room, {elsewhere}")
        return
    # File systems that make inodes as needed count none.
    if system.f_files and system.f_favail < INODES:
        found = f"{where}: {system.f_favail} files can still be made, {INODES} needed"
        yield fail("space", found, f"Remove files, {elsewhere}")
        return
    try:
        write(folder)
    except OSError as error:
        full = error.errno in (errno.EDQUOT, errno.ENOSPC)
        remedy = "Make room (`quota -s`, `lfs quota`)" if full else "Check who may write there"
        found = f"{where}: {MIB} MiB not written ({error.strerror})"
        yield fail("space", found, f"{remedy}, {elsewhere}")
    else:
        yield ok("space", f"{where}: {free:.0f} GiB free, {MIB} MiB written")


def write(folder: Path) -> None:
    """Write a file through to the disk and remove it: only this shows a quota."""
    with tempfile.NamedTemporaryFile(dir=folder, prefix=".bioner-doctor.") as file:
        file.write(os.urandom(MIB * 2**20))  # zeros take no space where a file system compresses
        file.flush()
        os.fsync(file.fileno())


def nearest(path: Path) -> Path:
    """Return the folder or its closest existing parent, which is on the same file system."""
    path = path.absolute()
    return next(folder for folder in (path, *path.parents) if folder.is_dir())
