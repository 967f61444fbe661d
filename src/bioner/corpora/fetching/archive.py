"""Extract one file or folder from a zip or tar archive, and nothing outside it."""

import gzip
import lzma
import shutil
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

from bioner.errors import InputError

Members = dict[PurePosixPath, Callable[[], Any]]  # files of an archive, and what opens each
# What the standard library raises on damaged archives; NotImplementedError and RuntimeError are for
# compressions it does not support.
DAMAGED = (
    *(zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, gzip.BadGzipFile, EOFError),
    *(NotImplementedError, RuntimeError),
)


def take(
    download: Path, member: str | None, target: Path, where: str, or_plain: bool = False
) -> None:
    """Copy `download`, or one member of it, to `target`.

    Args:
        download: A file, or a zip or tar archive.
        member: The file or folder to extract; None copies `download` itself. A folder's files keep
            their places; links are skipped.
        target: File or folder to write.
        where: The place that messages name.
        or_plain: Copy a download that is no archive as the member itself (a second address may
            serve it unpacked); its checksum decides.

    Raises:
        InputError: No archive, a broken one, no such member, or one that would leave the folder.
    """
    zipped = member is not None and zipfile.is_zipfile(download)
    archived = zipped or (member is not None and tarfile.is_tarfile(download))
    if member is None or (or_plain and not archived):
        shutil.copyfile(download, target)
        return
    if not archived:
        raise InputError(
            where,
            "no zip or tar archive",
            "an archive",
            "Open the address in a browser: is it a login or error page?",
        )
    try:
        with closing(zipfile.ZipFile(download) if zipped else tarfile.open(download)) as archive:
            _copy(_files(archive), PurePosixPath(member), target, where)
            if isinstance(archive, tarfile.TarFile) and archive.fileobj:
                while archive.fileobj.read(1 << 20):
                    pass  # the checksum of a compressed tar is at its end
    except DAMAGED as error:
        raise InputError(
            where, f"a broken archive ({error})", "a whole one", "Get it again."
        ) from None


def _files(archive: zipfile.ZipFile | tarfile.TarFile) -> Members:
    if isinstance(archive, zipfile.ZipFile):
        zipped = [info for info in archive.infolist() if not info.is_dir()]
        return {PurePosixPath(info.filename): partial(archive.open, info) for info in zipped}
    return {
        PurePosixPath(info.name): partial(archive.extractfile, info)
        for info in archive
        if info.isfile()
    }


def _copy(files: Members, member: PurePosixPath, target: Path, where: str) -> None:
    """Write a member to `target`: a file, or a folder with every file below it."""
    found = {
        path.relative_to(member): opened
        for path, opened in files.items()
        if path == member or (member in path.parents and member not in files)
    }
    if not found:
        raise InputError(
            where, f"no member {member}", "an archive that holds it", "Correct `member`."
        )
    for path, opened in found.items():
        if ".." in path.parts:
            raise InputError(
                where, f"the member {path}", "members inside their folder", "Do not trust it."
            )
        (target / path).parent.mkdir(parents=True, exist_ok=True)
        with opened() as source, (target / path).open("wb") as copy:
            shutil.copyfileobj(source, copy)
