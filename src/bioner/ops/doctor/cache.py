"""Models' files: whole and readable in the hub's cache, or in a folder of the user's, without a
connection.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from bioner.io.files import parse_json, read_text
from bioner.models.model_files import find_problem, weights_of
from bioner.ops.doctor.report import Finding, fail, ok
from bioner.settings.config import Tree

PATH_MARKS = ("/", ".", "~")  # what a path begins with, and no hub id does


@dataclass(frozen=True, slots=True)
class Source:
    """A hub id or folder at one revision, the models of the run that are made of it, and whether it
    is an LLM.
    """

    hub: str
    revision: str
    models: tuple[str, ...]
    llm: bool

    @property
    def is_local(self) -> bool:
        """Whether it is a folder, there or not, and no model of the hub."""
        return Path(self.hub).is_dir() or self.hub.startswith(PATH_MARKS) or self.hub.count("/") > 1


def sources(models: Mapping[str, Tree], records: Path) -> list[Source]:
    """Where models come from, each once; at the commit that `bioner download-model` recorded, if it
    did.
    """
    grouped: dict[tuple[str, str], list[str]] = {}
    for name, entry in models.items():
        if hub := entry["source"]["hub"]:
            revision = _commit(records / f"{name}.json", hub) or entry["source"]["revision"]
            grouped.setdefault((hub, revision), []).append(name)
    return [
        Source(
            hub, revision, tuple(names), any(models[name]["family"] != "encoder" for name in names)
        )
        for (hub, revision), names in grouped.items()
    ]


def check_snapshot(source: Source) -> Iterator[Finding]:
    """Configuration, tokenizer and all weights of a model are there and can be read."""
    where = f"{source.hub} ({', '.join(source.models)})"
    folder = folder_of(source)
    fault = (
        find_problem(folder)
        if folder
        else "no such folder"
        if source.is_local
        else "not in the cache"
    )
    if fault is None and folder:
        size = sum((folder / name).stat().st_size for name in weights_of(folder)) / 2**30
        yield ok(
            "snapshot",
            f"{where}: {size:.1f} GiB of weights"
            + ("" if source.is_local else f" at {folder.name}"),
        )
    elif source.is_local:
        yield fail(
            "snapshot", f"{where}: {fault}", "Correct source.hub, or make or copy the folder again."
        )
    else:
        at = "" if source.revision == "main" else f" --revision {source.revision}"
        fetch = f"`snakemake prefetch`, or `hf download {source.hub}{at}`"
        remedy = f"Where there is a connection, with the same HF_HOME: {fetch}."
        yield fail("snapshot", f"{where}: {fault}, at {source.revision}", remedy)


def is_whole(source: Source) -> bool:
    """Whether nothing of a model is to be downloaded any more."""
    folder = folder_of(source)
    return folder is not None and find_problem(folder) is None


def folder_of(source: Source) -> Path | None:
    """The folder a model is read from without a connection; None where there is none."""
    if source.is_local:
        return Path(source.hub) if Path(source.hub).is_dir() else None
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(source.hub, "config.json", revision=source.revision)
    return Path(found).parent if isinstance(found, str) else None


def _commit(record: Path, hub: str) -> str | None:
    """The commit that trainings of a model use, where it was noted for this hub id."""
    if not record.is_file():
        return None
    known = parse_json(read_text(record), str(record), whole_file=True)
    return known.get("commit") if isinstance(known, dict) and known.get("hub") == hub else None
