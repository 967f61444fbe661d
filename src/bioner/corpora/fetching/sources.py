"""Where a corpus's raw files come from: this machine, a mirror, or addresses; and whether they can be had at all."""

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
