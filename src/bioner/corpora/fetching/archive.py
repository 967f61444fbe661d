"""Taking one file or folder out of a zip or tar archive, and nothing outside of it."""

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
from typing import IO

from bioner.errors import InputError

Open = Callable[[], IO[bytes] | None]
# What the standard library raises on damaged archives; NotImplementedError and RuntimeError: ways
# of packing it lacks.
DAMAGED = (
    *(zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, gzip.BadGzipFile, EOFError),
    *(NotImplementedError, RuntimeError),
)


def take(
    download: Path, member: str | None, target: Path, where: str, or_plain: bool = False
) -> None:
    """Copy `download`, or the file or folder `member` of the archive it is, to `target`.

    Of a folder every file keeps its place below `target`; links are passed over, and what would
    leave the folder is refused. With `or_plain` a download that is no archive is taken for the file
    itself (a second address may hold it unpacked); its checksum tells. Raises InputError.
    """
    zipped = member is not None and zipfile.is_zipfile(download)
    archived = zipped or (member is not None and tarfile.is_tarfile(download))
    if member is None or (or_plain and not archived):
        shutil.copyfile(download, target)
        return
    if not archived:
        remedy = "Open the address in a browser: is it a login or error page?"
        raise InputError(where, "no zip or tar archive", "an archive", remedy)
    wanted = PurePosixPath(member)
    try:
        with closing(zipfile.ZipFile(download) if zipped else tarfile.open(download)) as archive:
            files = _files(archive)
            if wanted in files:
                _write(files[wanted], target, where, member)
            else:
                below = {
                    path.relative_to(wanted): opened
                    for path, opened in files.items()
                    if wanted in path.parents
                }
                _write_folder(below, target, where, member)
            if isinstance(archive, tarfile.TarFile) and archive.fileobj:
                while archive.fileobj.read(
                    1 << 20
                ):  # a compressed tar's checksum stands at its end
                    pass
    except DAMAGED as error:
        raise InputError(
            where, f"a broken archive ({error})", "a whole one", "Get it again."
        ) from None


def _write_folder(files: dict[PurePosixPath, Open], target: Path, where: str, member: str) -> None:
    if not files:
        raise InputError(
            where, f"no member {member}", "an archive that holds it", "Correct `member`."
        )
    for path, opened in files.items():
        if path.is_absolute() or ".." in path.parts:
            raise InputError(
                where, f"the member {path}", "members inside their folder", "Do not trust it."
            )
        (target / path).parent.mkdir(parents=True, exist_ok=True)
        _write(opened, target / path, where, str(path))


def _files(archive: zipfile.ZipFile | tarfile.TarFile) -> dict[PurePosixPath, Open]:
    if isinstance(archive, zipfile.ZipFile):
        zipped = [info for info in archive.infolist() if not info.is_dir()]
        return {PurePosixPath(info.filename): partial(archive.open, info) for info in zipped}
    return {
        PurePosixPath(info.name): partial(archive.extractfile, info)
        for info in archive
        if info.isfile()
    }


def _write(opened: Open, target: Path, where: str, member: str) -> None:
    source = opened()
    if source is None:
        raise InputError(where, f"a member {member} that is no file", "a file", "Correct `member`.")
    with source, target.open("wb") as copy:
        shutil.copyfileobj(source, copy)
