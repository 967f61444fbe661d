"""Where a corpus's raw files come from: this machine, a mirror, or addresses; and whether they can be had at all."""

import hashlib
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

from bioner.config import REPOSITORY, Tree


def local_paths(dataset: str, entry: Tree, name: str, mirror: Path | None) -> list[Path]:
    """Paths that a raw file may have on this machine, the likeliest first; none where it is to be downloaded."""
    file = entry["files"][name]
    if file["path"]:
        return [REPOSITORY / Path(file["path"]).expanduser()]
    if mirror is None:
        return []
    folder = mirror / (entry["mirror_folder"] or dataset)
    archives = [PurePosixPath(urlsplit(url).path).name for url in file["url"]] if file["member"] else []
    return [folder / other for other in (name, *file["names"], *archives)]


def lacking(dataset: str, entry: Tree, mirror: Path | None) -> list[str]:
    """Raw files that the user has to supply, and has not: neither an address nor a path, and not in the mirror.

    A file that a mirror should hold of a corpus with addresses is not among them: its absence is a fault of the mirror.
    """
    return [
        name
        for name, file in entry["files"].items()
        if not (file["url"] or file["path"])
        and not any(path.exists() for path in local_paths(dataset, entry, name, mirror))
    ]


def identities(dataset: str, entry: Tree, mirror: Path | None, raw: Path, before: Mapping[str, str]) -> dict[str, str]:
    """What each raw file is, to notice when it becomes another one.

    A checksum that is stated, or that of the file where it lies here; its address where neither is known; `lacking`
    where there is nothing. `before` is what the files in `raw` were known as: that stays where nothing says otherwise
    (a mirror that is not named this time), or where what is said now is true of them (a checksum that was added).
    """
    return {name: _identity(dataset, entry, name, mirror, raw / name, before.get(name)) for name in entry["files"]}


def _identity(dataset: str, entry: Tree, name: str, mirror: Path | None, held: Path, before: str | None) -> str:
    file = entry["files"][name]
    here = next((path for path in local_paths(dataset, entry, name, mirror) if path.exists()), None)
    if file["sha256"]:
        now = f"sha256 {file['sha256']}"
    elif file["git_blob"]:
        now = f"git_blob {file['git_blob']}"
    elif here:
        now = f"sha256 {_sha256(here)}"
    elif file["path"]:
        return f"no such file {file['path']}"
    elif before and not before.startswith("from "):
        return before  # it was here once, and nothing but an address is known of it now
    else:
        return " ".join(["from", *file["url"], file["member"] or ""]).strip() if file["url"] else "lacking"
    still_true = before and held.exists() and now in (f"sha256 {_sha256(held)}", f"git_blob {_git_blob(held)}")
    return before if before and still_true else now


def _sha256(path: Path) -> str:
    """Of a file, or of the names and contents of everything in a folder."""
    if path.is_file():
        return hashlib.sha256(path.read_bytes()).hexdigest()
    digest = hashlib.sha256()
    for part in sorted(path.rglob("*")):
        if part.is_file():
            digest.update(f"{part.relative_to(path)}\0{part.stat().st_size}\0".encode())
            digest.update(part.read_bytes())
    return digest.hexdigest()


def _git_blob(path: Path) -> str:
    content = path.read_bytes() if path.is_file() else b""
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
