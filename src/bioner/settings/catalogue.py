"""The catalogues of datasets and models: entries checked, completed and overlaid."""

import difflib
import re
from collections.abc import Mapping
from itertools import product
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

from bioner.errors import InputError
from bioner.settings.config import (
    REPOSITORY,
    Tree,
    check_and_complete,
    fill_defaults,
    merged,
    schema_of,
)
from bioner.settings.yaml_files import read_yaml

TRAINED = ("encoder", "llm", "llm-head")  # families with weights
LEXICAL = (
    "table",
    "dictionary",
    "all-o",
)  # drafts that need no other model
# A model is compared by the last of these that it is run with.
HEADLINE = ("direct", "free-paper", "free", "constrained")
DECODINGS = {
    "control": ("direct",),
    "encoder": ("direct",),
    "llm": ("free", "free-paper", "constrained"),
    "llm-head": ("direct",),
}
# In the names of trials.
SHORT = {
    "learning_rate": "lr",
    "batch_size": "batch",
    "head_learning_rate": "head_lr",
    "warmup_ratio": "warmup",
}
BEST = {"best-encoder": "encoder", "best-llm": "llm"}  # members of ensembles that dev scores choose


def load_catalogue(kind: str, config: Tree) -> dict[str, Tree]:
    """Return all entries of `datasets` or `models`, checked and completed; later files win.

    Raises:
        InputError: An entry that the schema or the rules below do not allow.
    """
    catalogue: dict[str, Tree] = {}
    files = [REPOSITORY / name for name in config["catalogues"][kind]]
    for path in files:
        catalogue.update(check_and_complete(read_yaml(path), kind, [path]))
    key = f"{kind.removesuffix('s')}_overrides"
    for name, changes in config[key].items():
        if kind == "datasets":
            entry = _changed_corpus(catalogue.get(name, {}), changes)
        else:
            entry = _changed_model(catalogue, name, changes)
        catalogue[name] = check_and_complete({name: entry}, kind, [f"{key} of {name}"])[name]
    for name, entry in catalogue.items():
        _check_entry(kind, name, entry)
    if kind == "models":
        _check_members(catalogue)
        _check_drafts(catalogue)
    return catalogue


def complete_entry(kind: str, name: str, entry: Tree, where: object = None) -> Tree:
    """Check and complete one catalogue entry, given on a command line."""
    completed: Tree = check_and_complete(
        {name: entry}, kind, [str(where or f"the entry of {name}")]
    )[name]
    _check_entry(kind, name, completed)
    return completed


def find(
    catalogue: Mapping[str, Tree], name: str, kind: str, where: object = "configuration"
) -> Tree:
    """Return the catalogue's entry of that name.

    Raises:
        InputError: There is none; the message suggests the nearest name.
    """
    if name in catalogue:
        return catalogue[name]
    lowered = {key.lower(): key for key in catalogue}
    near = [key for key in lowered if name.lower() in key] or difflib.get_close_matches(
        name.lower(), lowered, cutoff=0.5
    )
    hint = f" Did you mean {lowered[near[0]]!r}?" if near else ""
    raise InputError(
        where,
        f"the unknown {kind} {name!r}",
        f"one of {', '.join(catalogue)}",
        f"Correct the name or add it to config/{kind}s.yaml.{hint}",
    )


def is_closed(entry: Tree) -> bool:
    """Return whether a corpus's licence forbids showing its text."""
    return not entry["redistributable"]


def from_hub(entry: Tree) -> bool:
    """Return whether a model's weights come from the hub: neither made here nor in a folder."""
    hub = entry["source"]["hub"] if entry["family"] in TRAINED else None
    return bool(hub and re.fullmatch(r"[\w.-]+(/[\w.-]+)?", hub) and not Path(hub).is_dir())


def trials_of(entry: Tree) -> dict[str, Tree]:
    """Return the entries of a hyper-parameter search by name: every combination of values."""
    search = entry["search_space"] or {}
    trials = {}
    for values in product(*(search[key] for key in sorted(search))) if search else ():
        chosen = dict(zip(sorted(search), values, strict=True))
        name = "-".join(f"{SHORT.get(key, key)}{value!r}" for key, value in chosen.items())
        trials[name] = merged(entry, {"train": chosen})
    return trials


def training_settings(entry: Tree) -> Tree:
    """Return the settings that a trained model depends on; changing others does not retrain it."""
    settings = _single(entry) | {
        "resources": {name: entry["resources"][name] for name in ("gpus", "threads")}
    }
    if entry["family"] == "llm":  # decoded on dev after every epoch
        settings["predict"] = {"legal_transitions": entry["predict"]["legal_transitions"]}
    return settings


def prediction_settings(entry: Tree) -> Tree:
    """Return the settings that a prediction depends on, besides the weights."""
    return _single(entry) | {
        "predict": entry["predict"],
        "train": {"precision": entry["train"]["precision"]},
        "resources": {name: entry["resources"][name] for name in ("predict_gpus", "threads")},
    }


def _single(entry: Tree) -> Tree:
    """Return the settings of a single training of a single model."""
    beside = ("predict", "search_space", "members", "combine", "cost_estimates")
    return {name: value for name, value in entry.items() if name not in beside}


def _changed_corpus(known: Tree, changes: Tree) -> Tree:
    """Lay changes over a corpus of the catalogue, or over nothing.

    If only `splits` change, files that no split names are dropped, and so is the table of documents
    if a file is new. A bare name that is new is a file of the mirror.
    """
    entry = merged(known, changes)
    if not known or "files" in changes or not isinstance(changes.get("splits"), dict):
        return entry
    names = [name for name in entry["splits"].values() if isinstance(name, str)]
    files = {name: file for name, file in entry["files"].items() if name in names}
    new = [name for name in names if name not in files]
    files |= {name: {} for name in new if "/" not in name}
    return entry | {"files": files} | ({"documents": None} if new else {})


def _changed_model(catalogue: Mapping[str, Tree], name: str, changes: Tree) -> Tree:
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
    entry = merged(known, changes)
    hub, source = known["source"]["hub"], entry["source"]
    moved = hub and isinstance(source, dict) and source.get("hub") != hub
    if moved and "revision" not in changes["source"]:
        del source["revision"]
    return entry


def _check_entry(kind: str, name: str, entry: Tree) -> None:
    """Raise InputError for what no schema expresses: sources of models, files of splits."""
    if kind == "models" and entry["family"] in TRAINED:
        given = [key for key in ("hub", "scratch") if entry["source"][key] is not None]
        if len(given) != 1:
            raise InputError(
                f"{name}.source",
                " and ".join(given) or "neither",
                "one of `hub` and `scratch`",
                "Set the one that is not meant to null.",
            )
        if entry["quantization"] and not entry["lora"]:
            raise InputError(
                f"{name}.quantization",
                "4-bit weights without lora",
                "adapters beside them: weights in 4 bits cannot be trained themselves",
                "Set lora, or leave it out.",
            )
    if kind == "datasets":
        _expand_splits(entry)
        names = list(entry["splits"].values())
        if lacking := [file for file in names if file not in entry["files"]]:
            raise InputError(
                f"{name}.splits",
                f"no file {lacking[0]}",
                "every split's file under `files`",
                "Add it or correct `splits`.",
            )
        sources = [_source(file, entry["files"][file]) for file in names]
        if twice := [source for source in sources if sources.count(source) > 1]:
            raise InputError(
                f"{name}.splits", f"{twice[0]} for two splits", "three files", "Correct `splits`."
            )
        if entry["documents"] and not all(entry["files"][file]["sha256"] for file in names):
            raise InputError(
                f"{name}.documents",
                "a file without one",
                "a sha256 of every split's file",
                "State it under `files`: the table holds for the very files it was made from.",
            )


def _check_drafts(models: Mapping[str, Tree]) -> None:
    """Raise InputError unless drafts come from the training set or an encoder of the catalogue."""
    for name, entry in models.items():
        source = entry["predict"]["draft"]
        if entry["family"] != "llm" or source in LEXICAL:
            continue
        family = models[source]["family"] if source in models else "unknown draft"
        if family != "encoder":
            raise InputError(
                f"{name}.predict.draft",
                f"the {family} {source!r}",
                f"an encoder of the catalogue, or {', '.join(LEXICAL)}",
                "Choose another draft.",
            )


def _check_members(models: Mapping[str, Tree]) -> None:
    """Raise InputError unless members of ensembles are models, or chosen by dev scores."""
    for name, entry in models.items():
        for member in entry["members"]:
            if (
                member not in BEST
                and find(models, member, "model", f"{name}.members")["family"] == "ensemble"
            ):
                raise InputError(
                    f"{name}.members",
                    f"the ensemble {member!r}",
                    "models and controls",
                    "Name its members instead.",
                )


def _expand_splits(entry: Tree) -> None:
    """Expand the short form of an entry: splits that are addresses or paths, without `files`."""
    bare = not entry["files"]
    for split, source in entry["splits"].items():
        if source in entry["files"] or not (bare or "/" in source):
            continue
        if "://" in source and not source.startswith(("http://", "https://")):
            raise InputError(
                f"splits.{split}", source, "a path, or an address https://…", "Correct `splits`."
            )
        *_, last = PurePosixPath(urlsplit(source).path).suffixes or [""]
        if "://" in source and entry["format"] == "brat":
            name, file = split, {"url": [source], "member": "."}
        elif "://" in source:
            name, file = split + last, {"url": [source]}
        elif "/" in source:
            name, file = split + last, {"path": source}
        else:
            name, file = source, {}
        entry["files"][name] = file
        entry["splits"][split] = name
    fill_defaults(schema_of("datasets")["additionalProperties"], entry)


def _source(name: str, file: Tree) -> str:
    """Return what a file of the catalogue is taken from, to compare and to show."""
    if file["path"]:
        return str((REPOSITORY / Path(file["path"]).expanduser()).resolve())
    return " ".join([file["url"][0], file["member"] or ""]).strip() if file["url"] else name
