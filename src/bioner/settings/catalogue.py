"""The catalogues of datasets and models: entries of files, and an overlay's changes to them."""

import difflib
import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Any, TypeVar

from bioner.errors import InputError
from bioner.settings.config import Configuration, merged
from bioner.settings.dataset_entry import DatasetEntry
from bioner.settings.frozen import NAME
from bioner.settings.model_entry import ModelEntry
from bioner.settings.parse import AnySettings, parse
from bioner.settings.repository import REPOSITORY
from bioner.settings.yaml_files import place_of, read_yaml

LEXICAL = ("table", "dictionary", "all-o")  # drafts that need no other model
# A model is compared by the last of these that it was run with.
HEADLINE = ("direct", "free-paper", "free", "constrained")
REPRODUCTION = "ChemProt-paper"  # the paper's mislabelled data: no part of what is claimed
BEST = {"best-encoder": "encoder", "best-llm": "llm"}  # members of ensembles that dev scores choose

# Keys of a corpus that change no entity.
DESCRIPTION = {
    *("description", "license", "notice", "obtain", "redistributable", "agreement"),
    *("mirror_folder", "documents", "entities", "max_lost", "published"),
}

Entry = TypeVar("Entry")


def decodings_of(family: str) -> tuple[str, ...]:
    """Return the decodings that models of a family can be run with."""
    return ("free", "free-paper", "constrained") if family == "llm" else ("direct",)


def load_datasets(config: Configuration, files: Sequence[Path] = ()) -> dict[str, DatasetEntry]:
    """Return the catalogue of corpora, checked and completed; later files and overlays win.

    Args:
        config: The configuration.
        files: The YAML files it was read from, to name the line of a mistake.

    Raises:
        InputError: An entry makes no sense.
    """
    catalogue = _entries(DatasetEntry, config.catalogues.datasets)
    for name, changes in config.dataset_overrides.items():
        path = ["dataset_overrides", name]
        if name not in catalogue and "format" not in changes:  # not a new corpus
            where = f"{place_of(path, files)}: {'.'.join(path)} without `format`"
            find(catalogue, name, "dataset", where)
        entry = _changed_corpus(catalogue.get(name), changes)
        catalogue[name] = parse_entry(DatasetEntry, name, entry, *files, above=path[:1])
    return catalogue


def load_models(config: Configuration, files: Sequence[Path] = ()) -> dict[str, ModelEntry]:
    """Return the catalogue of models, checked and completed; later files and overlays win.

    Args:
        config: The configuration.
        files: The YAML files it was read from, to name the line of a mistake.

    Raises:
        InputError: An entry makes no sense, or names a member or a draft that does not exist.
    """
    catalogue = _entries(ModelEntry, config.catalogues.models)
    place = partial(place_of_model, config, files)
    for name, like in _originals(config.model_overrides, catalogue, place).items():
        entry = _changed_model(catalogue[like or name], config.model_overrides[name])
        catalogue[name] = parse_entry(ModelEntry, name, entry, *files, above=["model_overrides"])
    _check_members(catalogue, place)
    _check_drafts(catalogue, place)
    return catalogue


def place_of_model(config: Configuration, files: Sequence[Path], name: str, *keys: str) -> str:
    """Return `file:line` and the key of a model's setting: in an overlay, else in a catalogue."""
    is_changed = name in config.model_overrides
    entry = ["model_overrides", name] if is_changed else [name]
    files = files if is_changed else [REPOSITORY / file for file in config.catalogues.models]
    path = [*entry, *keys]
    return f"{place_of(path, files, entry=entry)}: {'.'.join(path)}"


def parse_entry(
    model: type[AnySettings],
    name: str,
    entry: Mapping[str, Any],
    *files: Path | str,
    above: Sequence[str] = (),
) -> AnySettings:
    """Return one entry, checked and completed.

    Args:
        model: DatasetEntry or ModelEntry.
        name: What the entry is called.
        entry: Its keys.
        files: The files it is from, or words for another place.
        above: The keys above its name in these files.

    Raises:
        InputError: The name is none, a key is unknown, or a value makes no sense.
    """
    files, path = files or (f"the entry of {name}",), [*above, name]
    if not isinstance(name, str) or not re.fullmatch(NAME, name):
        expected = "letters, digits, and _ . + - behind the first"
        raise InputError(place_of(path, files), f"the name {name!r}", expected, "Choose another.")
    return parse(model, entry, files, path)


def find(
    catalogue: Mapping[str, Entry], name: str, kind: str, where: object = "configuration"
) -> Entry:
    """Return the catalogue's entry of that name.

    Raises:
        InputError: There is none; it names the nearest one.
    """
    if name in catalogue:
        return catalogue[name]
    lowered = {key.lower(): key for key in catalogue}
    near = [key for key in lowered if name.lower() in key] or difflib.get_close_matches(
        name.lower(), lowered, cutoff=0.5
    )
    hint = f" Did you mean {lowered[near[0]]!r}?" if near else ""
    remedy = f"Correct the name or add it to config/{kind}s.yaml.{hint}"
    expected = f"one of {', '.join(catalogue)}" if catalogue else "a catalogue with entries"
    raise InputError(where, f"the unknown {kind} {name!r}", expected, remedy)


def _entries(model: type[AnySettings], files: Sequence[str]) -> dict[str, AnySettings]:
    catalogue = {}
    for file in files:
        path = REPOSITORY / file
        for name, entry in read_yaml(path).items():
            catalogue[name] = parse_entry(model, name, entry, path)
    return catalogue


def _changed_corpus(known: DatasetEntry | None, changes: dict[str, Any]) -> dict[str, Any]:
    """Lay changes over a corpus of the catalogue, or over nothing.

    Known files that no split names any more are dropped, and so is the table of documents if a
    split has another file, and the number of entities if anything is read otherwise. A bare name
    that is new is a file of the mirror, unless `files` change.
    """
    if known is None:
        return changes
    tree = known.canonical()
    entry = merged(tree, changes)
    splits, given = entry["splits"], changes.get("files", {})
    if not isinstance(splits, dict) or not isinstance(given, dict):
        return entry
    names = [name for name in splits.values() if isinstance(name, str)]
    files = {name: file for name, file in entry["files"].items() if name in [*names, *given]}
    new = [name for name in names if name not in known.files]
    files |= {name: {} for name in new if "/" not in name and not given}
    entry |= {"files": files} | ({"documents": changes.get("documents")} if new else {})
    if _reading(entry) != _reading(tree):
        entry["entities"] = changes.get("entities")
    return entry


def _reading(entry: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a corpus's entities depend on: its files' checksums, and all but DESCRIPTION."""
    files = {
        name: (file.get("sha256") or file.get("git_blob") or file)
        for name, file in entry["files"].items()
        if isinstance(file, dict)
    }
    return {key: value for key, value in entry.items() if key not in DESCRIPTION} | {"files": files}


def _originals(
    overrides: Mapping[str, dict[str, Any]],
    catalogue: Mapping[str, ModelEntry],
    place: Callable[..., str],
) -> dict[str, str | None]:
    """Return the model that each override is `like`, if any; originals stand before copies."""
    likes = {name: changes.get("like") for name, changes in overrides.items()}
    for name, like in likes.items():
        if like is None:
            if name not in catalogue:
                find(catalogue, name, "model", place(name))
        elif name in catalogue:
            found = f"`like` and a model {name!r} of the catalogue"
            remedy = "Choose another, or leave `like` out."
            raise InputError(place(name), found, "a name that is free", remedy)
        elif not isinstance(like, str):
            expected, remedy = "the name of one model", "Name the one to copy."
            raise InputError(place(name, "like"), repr(like), expected, remedy)
        elif like not in (known := {**catalogue, **overrides}):
            find(known, like, "model", place(name, "like"))
    graph = {name: [like] if like else [] for name, like in likes.items()}
    try:
        order = TopologicalSorter(graph).static_order()
        return {name: likes[name] for name in order if name in likes}
    except CycleError as error:
        circle = error.args[1][::-1]
        found, expected = f"a circle: {' like '.join(circle)}", "copies of a model of the catalogue"
        raise InputError(place(circle[0], "like"), found, expected, "Correct one `like`.") from None


def _changed_model(known: ModelEntry, changes: dict[str, Any]) -> dict[str, Any]:
    """Lay changes over a model.

    Weights from elsewhere are not sought at the commit of the model that they replace, and have
    another training cut-off.
    """
    entry = merged(known.canonical(), changes)
    entry.pop("like", None)
    hub, source = known.source.hub, entry["source"]
    if hub and isinstance(source, dict) and source.get("hub") != hub:
        entry["source"] = source | {"revision": changes["source"].get("revision", "main")}
        entry["training_cutoff"] = changes.get("training_cutoff")
    return entry


def _check_drafts(models: Mapping[str, ModelEntry], place: Callable[..., str]) -> None:
    """Raise InputError for a draft that is neither the training set's nor an encoder's."""
    for name, entry in models.items():
        source = entry.predict.draft
        if entry.family != "llm" or source in LEXICAL:
            continue
        family = models[source].family if source in models else "unknown draft"
        if family != "encoder":
            found, expected = f"the {family} {source!r}", "an encoder of the catalogue, or "
            expected += ", ".join(LEXICAL)
            raise InputError(place(name, "predict", "draft"), found, expected, "Choose another.")


def _check_members(models: Mapping[str, ModelEntry], place: Callable[..., str]) -> None:
    """Raise InputError for a member that is no model of the catalogue, or itself an ensemble."""
    for name, entry in models.items():
        for member in set(entry.members) - BEST.keys():
            if models.get(member, entry).family == "ensemble":  # or no model at all
                where = place(name, "members")
                find(models, member, "model", where)
                found, expected = f"the ensemble {member!r}", "models and controls"
                raise InputError(where, found, expected, "Name its members instead.")
