"""Where a corpus's raw files come from: this machine, a mirror, or addresses; and whether they can be had at all."""

import hashlib
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


LACKING = "lacking"


def identities(dataset: str, entry: Tree, mirror: Path | None) -> dict[str, str]:
    """What each raw file is, to notice when it is another one: its checksum where that is known or the file is here.

    Where nothing is known, its address; `lacking` where there is nothing at all.
    """
    return {name: _identity(local_paths(dataset, entry, name, mirror), file) for name, file in entry["files"].items()}


def _identity(paths: list[Path], file: Tree) -> str:
    for kind in ("sha256", "git_blob"):
        if file[kind]:
            return f"{kind} {file[kind]}"
    for path in paths:
        if path.exists():
            return _digest(path)
    return " ".join([*file["url"], file["member"] or ""]) or file["path"] or LACKING


def _digest(path: Path) -> str:
    """SHA-256 of a file, or of the names and contents of everything in a folder."""
    digest = hashlib.sha256()
    for part in sorted(path.rglob("*")) if path.is_dir() else [path]:
        if part.is_file():
            digest.update(f"{part.relative_to(path)}\0{part.stat().st_size}\0".encode())
            digest.update(part.read_bytes())
    return f"holds {digest.hexdigest()}"
