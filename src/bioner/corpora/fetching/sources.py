"""Where a corpus's raw files come from (this machine, a mirror, the web); which are missing."""

import os
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

from bioner.io.checksums import CHECKSUMS, sha256_of, stated
from bioner.settings.config import Configuration
from bioner.settings.dataset_entry import DatasetEntry
from bioner.settings.repository import REPOSITORY


def mirror_of(config: Configuration, named: Path | None = None) -> Path | None:
    """Return the mirror that is named, else the configuration's, else $BIONER_MIRROR, if any."""
    folder = named or config.mirror or os.environ.get("BIONER_MIRROR")
    return Path(folder).expanduser() if folder else None


def local_paths(dataset: str, entry: DatasetEntry, name: str, mirror: Path | None) -> list[Path]:
    """Return the paths that a raw file may have here, likeliest first; none to download it."""
    file = entry.files[name]
    if file.path:
        return [REPOSITORY / Path(file.path).expanduser()]
    if mirror is None:
        return []
    folder = mirror / (entry.mirror_folder or dataset)
    archives = [PurePosixPath(urlsplit(url).path).name for url in file.url] if file.member else []
    return [folder / other for other in (name, *file.names, *archives)]


def lacking(dataset: str, entry: DatasetEntry, mirror: Path | None) -> list[str]:
    """Return the raw files that the user has to supply and has not.

    These have neither an address nor a path and are not in the mirror. A file with an address is
    not among them: if a mirror lacks it, that is a fault of the mirror.
    """
    return [
        name
        for name, file in entry.files.items()
        if not (file.url or file.path)
        and not any(path.exists() for path in local_paths(dataset, entry, name, mirror))
    ]


def why_absent(dataset: str, entry: DatasetEntry, mirror: Path | None, data: Path) -> str | None:
    """Return why a run skips a corpus: files that users supply are missing now and were before.

    Returns:
        The reason; None if the corpus is not skipped. `data` is the run's data folder.
    """
    if not entry.obtain or (data / dataset / "raw").is_dir():
        return None
    files = lacking(dataset, entry, mirror)
    return f"{', '.join(files)} not at hand. {entry.obtain}" if files else None


def identities(
    dataset: str, entry: DatasetEntry, mirror: Path | None, raw: Path, before: Mapping[str, str]
) -> dict[str, str]:
    """Return what identifies each raw file, to notice when it changes.

    That is its stated checksum, or that of the file on this machine, else its address, else
    `lacking`. `before` is what the files in `raw` were identified by; it stays if nothing
    contradicts it (a mirror that is not named this time) or if the new checksum is true of them.
    """
    return {
        name: _identity(dataset, entry, name, mirror, raw / name, before.get(name))
        for name in entry.files
    }


def _identity(
    dataset: str,
    entry: DatasetEntry,
    name: str,
    mirror: Path | None,
    held: Path,
    before: str | None,
) -> str:
    file = entry.files[name]
    here = next((path for path in local_paths(dataset, entry, name, mirror) if path.exists()), None)
    if checksums := stated(file):
        now = " ".join(next(iter(checksums.items())))
    elif here:
        now = f"sha256 {sha256_of(here)}"
    elif file.path:
        return f"no such file {file.path}"
    elif before and not before.startswith("from "):
        return before  # it was here once; now only its address is known
    else:
        return " ".join(["from", *file.url, file.member or ""]).strip() if file.url else "lacking"
    return before if before and now in _known_as(held) else now


def _known_as(path: Path) -> set[str]:
    """Return every identity that the content of a file or folder can have."""
    if path.is_file():
        content = path.read_bytes()
        return {f"{kind} {checksum(content)}" for kind, checksum in CHECKSUMS.items()}
    return {f"sha256 {sha256_of(path)}"} if path.is_dir() else set()
