"""Fetch a corpus's raw files from a mirror, this machine or the web, and verify them."""

import logging
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock

from bioner.corpora.fetching.archive import take
from bioner.corpora.fetching.download import cached, download
from bioner.corpora.fetching.sources import local_paths
from bioner.errors import InputError
from bioner.io.checksums import CHECKSUMS, sha256_of, stated
from bioner.io.files import atomic_path, find_placeholder
from bioner.settings.dataset_entry import DatasetEntry, RawFile

log = logging.getLogger(__name__)


def fetch(dataset: str, entry: DatasetEntry, out: Path, mirror: Path | None) -> list[Path]:
    """Put every raw file of the catalogue entry into `out`, or none.

    With `mirror`, files are copied from `<mirror>/<folder>/` and nothing is downloaded; `folder` is
    the entry's `mirror_folder`, or the dataset. Of several addresses, the first that serves the
    right file is used. Concurrent fetches into one folder take turns.

    Returns:
        The paths of the files in `out`.

    Raises:
        InputError: A missing file, a failed download, a wrong checksum, or an `out` that holds
            anything else.
    """
    if out.is_file():
        raise InputError(out, "a file", "a folder to write", "Choose another --out.")
    if out.is_dir() and (
        foreign := sorted(path.name for path in out.iterdir() if path.name not in entry.files)
    ):
        raise InputError(out, foreign[0], f"a folder for {dataset} alone", "Choose another folder.")
    out, fresh = out.resolve(), set[str]()
    with _alone(out), atomic_path(out) as folder:
        folder.mkdir()
        for name, file in entry.files.items():
            target = folder / name
            if file.path or mirror is not None:
                path = _local(dataset, entry, name, mirror)
                if path.is_dir():
                    _copy_folder(path, target)
                else:
                    unpacked = not file.path and path.name in (name, *file.names)
                    take(path, file.member, target, str(path), or_plain=unpacked)
                verify(target, file, f"{dataset}: {name}")
            elif _at_hand(out / name, file):
                shutil.copyfile(out / name, target)
            else:
                _download(dataset, entry, name, target, fresh)
            log.info("fetch %s: %s %s", dataset, name, _seal(target, file))
    return [out / name for name in entry.files]


@contextmanager
def _alone(out: Path) -> Iterator[None]:
    """Hold a lock, so that one fetch at a time writes to `out`."""
    out.parent.mkdir(parents=True, exist_ok=True)
    lock = out.parent / f".{out.name}.lock"
    lock.touch()  # fails at once if the folder is not writable
    with FileLock(lock):
        try:
            yield
        finally:
            lock.unlink(missing_ok=True)  # filelock notices that the file is gone


def verify(path: Path, file: RawFile, where: str) -> None:
    """Verify a file against the checksums of its catalogue entry.

    Line ends are not content: if the checksum holds for LF, a text with CRLF is accepted and
    rewritten.

    Raises:
        InputError: Another checksum, or a web page or a pointer in place of data.
    """
    if path.is_dir():
        if stated(file):
            raise InputError(
                where,
                "a folder with a checksum",
                "a folder without",
                "Remove it from the catalogue: only files have one.",
            )
        return
    content = path.read_bytes()
    placeholder = find_placeholder(content)
    if placeholder and not stated(file):
        raise InputError(where, placeholder[0], "data", placeholder[1])
    if not (fault := _differs(content, file)):
        return
    if b"\r\n" in content and not _differs(unix := content.replace(b"\r\n", b"\n"), file):
        path.write_bytes(unix)
        return
    found, remedy = placeholder or (
        "",
        "It is damaged or of another version: get it again, or correct the catalogue if you"
        " trust it.",
    )
    found = f"{found} ({' '.join(fault)})" if found else " ".join(fault)
    raise InputError(where, found, stated(file)[fault[0]], remedy)


def _differs(content: bytes, file: RawFile) -> tuple[str, str] | None:
    """Return the first kind of checksum that does not match, and the value found."""
    found = ((kind, CHECKSUMS[kind](content), right) for kind, right in stated(file).items())
    return next(((kind, value) for kind, value, right in found if value != right), None)


def _at_hand(path: Path, file: RawFile) -> bool:
    """Return whether a file is already there and verified."""
    return bool(stated(file)) and path.is_file() and not _differs(path.read_bytes(), file)


def _local(dataset: str, entry: DatasetEntry, name: str, mirror: Path | None) -> Path:
    paths = local_paths(dataset, entry, name, mirror)
    for path in paths:
        if path.exists():
            return path
    raise InputError(
        paths[0],
        "no such file",
        f"a raw file of {dataset}",
        entry.obtain
        or f"Put the file there, or correct the mirror or the catalogue's entry of {dataset}.",
    )


def _copy_folder(path: Path, target: Path) -> None:
    if target.is_relative_to(path.resolve()):
        raise InputError(
            path,
            "the output inside the folder it is taken from",
            "another place",
            "Choose another --out.",
        )
    try:
        shutil.copytree(path, target)
    except shutil.Error as error:
        broken, _, reason = error.args[0][0]
        raise InputError(
            broken, f"an unreadable file ({reason})", "a folder of files", "Mend or remove it."
        ) from None


def _download(dataset: str, entry: DatasetEntry, name: str, target: Path, fresh: set[str]) -> None:
    """Download a file from the first address that serves the right one.

    A cached file is trusted only if a checksum vouches for it; if it is wrong, it is downloaded
    again. `fresh` holds the addresses this fetch has downloaded.
    """
    file, where = entry.files[name], f"{dataset}: {name}"
    vouched = bool(stated(file))
    if not file.url:
        raise InputError(
            where,
            "no address to download from",
            "a mirror that holds it",
            entry.obtain or "State a url in the catalogue.",
        )
    faults: list[InputError] = []
    for url in file.url:
        place, old = f"{where} from {url}", url not in fresh and cached(url) is not None
        for anew in [False, True] if old and vouched else [old]:
            try:
                archive = _downloaded(url, anew, where)
                if anew or not old:
                    fresh.add(url)
                take(archive, file.member, target, place, or_plain=vouched)
                verify(target, file, place)
                return
            except InputError as error:
                faults.append(error)
                if target.is_dir():
                    shutil.rmtree(target)
        if url != file.url[-1]:
            log.warning("fetch %s: %s Trying the next address.", dataset, faults[-1])
    raise faults[-1]


def _downloaded(url: str, anew: bool, where: str) -> Path:
    try:
        return download(url, anew)
    except (OSError, ValueError) as error:  # requests' errors are OSErrors
        # urllib3 wraps the reason in what it tried.
        reason = getattr(error.args[0], "reason", error) if error.args else error
        raise InputError(
            where,
            f"a failed download of {url} ({type(reason).__name__}: {reason})",
            "the file",
            "Try again, or set a mirror: --config mirror=FOLDER or the environment variable"
            " BIONER_MIRROR.",
        ) from None


def _seal(path: Path, file: RawFile) -> str:
    if path.is_dir():
        return f"taken ({sum(part.is_file() for part in path.rglob('*'))} files)"
    if stated(file):
        return f"verified ({path.stat().st_size / 1e6:.1f} MB)"
    return (
        f"taken unverified, since the catalogue states no checksum; its sha256 is {sha256_of(path)}"
    )
