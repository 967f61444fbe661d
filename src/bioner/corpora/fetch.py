"""Raw files of a corpus: from a mirror, the project itself, or a download; verified before they take their name."""

import hashlib
import logging
import shutil
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import pooch

from bioner.config import REPOSITORY, Tree
from bioner.errors import InputError
from bioner.files import atomic_path

log = logging.getLogger(__name__)
pooch.get_logger().setLevel(logging.ERROR)  # it would advise to write down each file's hash


def fetch(dataset: str, entry: Tree, out: Path, mirror: Path | None) -> list[Path]:
    """Put every raw file of the catalogue entry into `out`, all of them or none.

    With `mirror`, files are copied from `<mirror>/<dataset>/` and nothing is downloaded. Raises InputError for a
    missing file, a failed download, a wrong checksum, or a folder `out` that holds anything else.
    """
    held = sorted(out.iterdir()) if out.is_dir() else []
    if foreign := [path.name for path in held if path.name not in entry["files"] or path.is_dir()]:
        raise InputError(out, foreign[0], f"a folder for {dataset} alone", "Choose another folder.")
    with atomic_path(out) as folder, tempfile.TemporaryDirectory(prefix="bioner-fetch-") as downloads:
        folder.mkdir()
        for name, file in entry["files"].items():
            where, target = f"{dataset}: {name}", folder / name
            if file["path"]:
                _copy(REPOSITORY / file["path"], target, dataset, entry)
            elif mirror is not None:
                _copy(mirror / dataset / name, target, dataset, entry)
            elif not file["url"]:
                remedy = entry["obtain"] or "State a url in the catalogue."
                raise InputError(where, "no address to download from", "a mirror that holds it", remedy)
            else:
                archive = _downloaded(file["url"], Path(downloads), where)
                _extract(archive, file, target, where)
            verify(target, file, where)
            log.info("fetch %s: %s verified (%.1f MB)", dataset, name, target.stat().st_size / 1e6)
    return [out / name for name in entry["files"]]


def verify(path: Path, file: dict[str, Any], where: str) -> None:
    """Compare a file with the sha256 or git blob id the catalogue states; InputError where they differ."""
    content = path.read_bytes()
    found = {
        "sha256": hashlib.sha256(content).hexdigest(),
        "git_blob": hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest(),
    }
    for kind, value in found.items():
        if file[kind] and file[kind] != value:
            remedy = "It is damaged or of another version: get it again, or correct the catalogue if you trust it."
            raise InputError(where, f"{kind} {value}", file[kind], remedy)


def _copy(path: Path, target: Path, dataset: str, entry: Tree) -> None:
    if not path.is_file():
        remedy = entry["obtain"] or f"Put the file there, or correct the mirror or the catalogue's entry of {dataset}."
        raise InputError(path, "no such file", f"a raw file of {dataset}", remedy)
    shutil.copyfile(path, target)


def _downloaded(url: str, folder: Path, where: str) -> Path:
    """The file at `url`, downloaded once however many members are taken from it."""
    name = hashlib.sha256(url.encode()).hexdigest()
    if not (folder / name).is_file():
        log.info("fetch: downloading %s", url)
    try:
        # Checksums are of the corpus's files and verified afterwards: an archive's own is not known.
        downloader = pooch.HTTPDownloader(timeout=60)
        return Path(pooch.retrieve(url, known_hash=None, path=folder, fname=name, downloader=downloader))
    except (OSError, ValueError) as error:  # requests' errors are OSErrors
        found = f"a failed download of {url} ({type(error).__name__}: {error})"
        remedy = "Try again, or set a mirror: --config mirror=FOLDER or the environment variable BIONER_MIRROR."
        raise InputError(where, found, "the file", remedy) from None


def _extract(archive: Path, file: dict[str, Any], target: Path, where: str) -> None:
    if not file["member"]:
        shutil.copyfile(archive, target)
        return
    try:
        with zipfile.ZipFile(archive) as members, members.open(file["member"]) as source, target.open("wb") as copy:
            shutil.copyfileobj(source, copy)
    except KeyError:
        remedy = "Correct `member` in the catalogue."
        raise InputError(
            where, f"no member {file['member']} in {file['url']}", "an archive that holds it", remedy
        ) from None
    except zipfile.BadZipFile:
        remedy = "Open the address in a browser: is it a login or error page?"
        raise InputError(where, f"no zip archive at {file['url']}", "a zip archive", remedy) from None
