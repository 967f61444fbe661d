"""The catalogues of datasets and models: entries of files, and an overlay's changes to them."""

import difflib
import re
from collections.abc import Mapping, Sequence
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
BEST = {"best-encoder": "encoder", "best-llm": "llm"}  # members of ensembles that dev scores choose

Entry = TypeVar("Entry")


def decodings_of(family: str) -> tuple[str, ...]:
    """Return the decodings that models of a family can be run with."""
    return ("free", "free-paper", "constrained") if family == "llm" else ("direct",)


def load_datasets(config: Configuration) -> dict[str, DatasetEntry]:
    """Return the catalogue of corpora, checked and completed; later files and overlays win.

    Raises:
        InputError: An entry makes no sense.
    """
    catalogue = _entries(DatasetEntry, config.catalogues.datasets)
    for name, changes in config.dataset_overrides.items():
        entry = _changed_corpus(catalogue.get(name), changes)
        catalogue[name] = parse_entry(DatasetEntry, name, entry, f"dataset_overrides of {name}")
    return catalogue


def load_models(config: Configuration) -> dict[str, ModelEntry]:
    """Return the catalogue of models, checked and completed; later files and overlays win.

    Raises:
        InputError: An entry makes no sense, or names a member or a draft that does not exist.
    """
    catalogue = _entries(ModelEntry, config.catalogues.models)
    for name, changes in config.model_overrides.items():
        entry = _changed_model(catalogue, name, changes)
        catalogue[name] = parse_entry(ModelEntry, name, entry, f"model_overrides of {name}")
    _check_members(catalogue)
    _check_drafts(catalogue)
    return catalogue


def parse_entry(
    model: type[AnySettings], name: str, entry: Mapping[str, Any], where: Path | str | None = None
) -> AnySettings:
    """Return one entry, checked and completed.

    Args:
        model: DatasetEntry or ModelEntry.
        name: What the entry is called.
        entry: Its keys.
        where: The file it is from, or words for another place.

    Raises:
        InputError: The name is none, a key is unknown, or a value makes no sense.
    """
    files = [where or f"the entry of {name}"]
    if not isinstance(name, str) or not re.fullmatch(NAME, name):
        expected = "letters, digits, and _ . + - behind the first"
        raise InputError(place_of([name], files), f"the name {name!r}", expected, "Choose another.")
    return parse(model, entry, files, [name])


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
    expected = f"one of {', '.join(catalogue)}"
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

    If only `splits` change, files that no split names are dropped, and so is the table of documents
    if a file is new. A bare name that is new is a file of the mirror.
    """
    if known is None:
        return changes
    entry = merged(known.canonical(), changes)
    if "files" in changes or not isinstance(changes.get("splits"), dict):
        return entry
    names = [name for name in entry["splits"].values() if isinstance(name, str)]
    files = {name: file for name, file in entry["files"].items() if name in names}
    new = [name for name in names if name not in files]
    files |= {name: {} for name in new if "/" not in name}
    return entry | {"files": files} | ({"documents": None} if new else {})


def _changed_model(
    catalogue: Mapping[str, ModelEntry], name: str, changes: dict[str, Any]
) -> dict[str, Any]:
    """Lay changes over a model of the catalogue, or make a new one of the model that `like` names.

    Weights from elsewhere are not sought at the commit of the model that they replace.
    """
    changes = dict(changes)
    like = changes.pop("like", None)
    if like is None:
        known = find(catalogue, name, "model", "model_overrides")
    elif name in catalogue:
        raise InputError(
            f"model_overrides.{name}",
            f"`like` and a model {name!r} of the catalogue",
            "a name that is free",
            "Choose another, or leave `like` out.",
        )
    else:
        known = find(catalogue, str(like), "model", f"model_overrides.{name}.like")
    entry = merged(known.canonical(), changes)
    hub, source = known.source.hub, entry["source"]
    if hub and isinstance(source, dict) and source.get("hub") != hub:
        entry["source"] = source | {"revision": changes["source"].get("revision", "main")}
    return entry


def _check_drafts(models: Mapping[str, ModelEntry]) -> None:
    """Raise InputError for a draft that is neither the training set's nor an encoder's."""
    for name, entry in models.items():
        source = entry.predict.draft
        if entry.family != "llm" or source in LEXICAL:
            continue
        family = models[source].family if source in models else "unknown draft"
        if family != "encoder":
            found, expected = f"the {family} {source!r}", "an encoder of the catalogue, or "
            expected += ", ".join(LEXICAL)
            raise InputError(f"{name}.predict.draft", found, expected, "Choose another draft.")


def _check_members(models: Mapping[str, ModelEntry]) -> None:
    """Raise InputError for a member that is no model of the catalogue, or itself an ensemble."""
    for name, entry in models.items():
        for member in set(entry.members) - BEST.keys():
            if find(models, member, "model", f"{name}.members").family == "ensemble":
                found, expected = f"the ensemble {member!r}", "models and controls"
                raise InputError(f"{name}.members", found, expected, "Name its members instead.")
