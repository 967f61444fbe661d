"""Models' files: whole and readable in the hub's cache or in a local folder, without a network."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from bioner.io.files import parse_json, read_text
from bioner.models.model_files import find_problem, weights_of
from bioner.ops.doctor.report import Finding, fail, ok
from bioner.settings.model_entry import ModelEntry, names_folder


@dataclass(frozen=True, slots=True)
class Source:
    """A hub id or folder, its revision, the models of the run that use it, and the GB to fetch."""

    hub: str
    revision: str
    models: tuple[str, ...]
    download_gb: float

    @property
    def is_local(self) -> bool:
        """Whether it is a folder, existing or not, rather than a model of the hub."""
        return names_folder(self.hub)


def sources(models: Mapping[str, ModelEntry], records: Path) -> list[Source]:
    """Return each source of models once, at the commit that `bioner download-model` recorded."""
    grouped: dict[tuple[str, str], list[str]] = {}
    for name, entry in models.items():
        if hub := entry.source.hub:
            revision = _commit(records / f"{name}.json", hub) or entry.source.revision
            grouped.setdefault((hub, revision), []).append(name)
    return [
        Source(
            hub,
            revision,
            tuple(names),
            max(getattr(models[name].cost_estimates, "download_gb", None) or 0.0 for name in names),
        )
        for (hub, revision), names in grouped.items()
    ]


def check_snapshot(source: Source) -> Iterator[Finding]:
    """Check that configuration, tokenizer and all weights of a model can be read."""
    where = f"{source.hub} ({', '.join(source.models)})"
    folder = folder_of(source)
    fault = fault_of(source)
    if fault is None and folder:
        size = sum((folder / name).stat().st_size for name in weights_of(folder)) / 2**30
        commit = "" if source.is_local else f" at {folder.name}"
        yield ok("snapshot", f"{where}: {size:.1f} GiB of weights{commit}")
    elif source.is_local:
        remedy = "Correct source.hub, or make or copy the folder again."
        yield fail("snapshot", f"{where}: {fault}", remedy)
    else:
        at = "" if source.revision == "main" else f" --revision {source.revision}"
        fetch = f"`snakemake prefetch`, or `hf download {source.hub}{at}`"
        remedy = f"Where there is a connection, with the same HF_HOME: {fetch}."
        yield fail("snapshot", f"{where}: {fault}, at {source.revision}", remedy)


def fault_of(source: Source) -> str | None:
    """Return what is wrong with a model's files; None if nothing has to be downloaded."""
    folder = folder_of(source)
    return find_problem(folder) if folder else "not in the cache"


def folder_of(source: Source) -> Path | None:
    """Return the folder that a model is read from without a network; None if it is not cached."""
    if source.is_local:
        return Path(source.hub)
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(source.hub, "config.json", revision=source.revision)
    return Path(found).parent if isinstance(found, str) else None


def _commit(record: Path, hub: str) -> str | None:
    """Return the commit recorded for this hub id, which a model's trainings use."""
    if not record.is_file():
        return None
    known = parse_json(read_text(record), str(record), whole_file=True)
    return known.get("commit") if isinstance(known, dict) and known.get("hub") == hub else None
