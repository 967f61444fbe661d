"""Shared by the commands: options, the configuration behind `--config`, catalogue entries."""

import functools
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from bioner.errors import InputError
from bioner.io.files import parse_json
from bioner.settings.catalogue import complete_entry, find, load_catalogue
from bioner.settings.config import DEFAULT_CONFIG, REPOSITORY, Tree, load_config, merged
from bioner.settings.matrix import Matrix, load_matrix
from bioner.settings.yaml_files import read_yaml

Config = Annotated[
    list[Path] | None,
    typer.Option("--config", help="Overlay of config/config.yaml; may be repeated."),
]
Entry = Annotated[
    str | None,
    typer.Option("--entry", help="The catalogue entry as JSON, in place of the catalogue's."),
]
Gold = Annotated[Path, typer.Option(help="Instances (JSON Lines, plain or .gz).")]
LengthCuts = Annotated[
    list[int] | None,
    typer.Option("--length-cut", min=1, help="Upper end of a length bucket; may be repeated."),
]
Out = Annotated[Path, typer.Option(help="Where to write.")]


def settings_of(overlays: list[Path] | None) -> Tree:
    """Load the configuration with these overlays, checked and completed."""
    files = [DEFAULT_CONFIG, *(overlays or [])]
    return load_config(functools.reduce(merged, map(read_yaml, files)), files)


def matrix_of(overlays: list[Path] | None) -> Matrix:
    """Return what a configuration with these overlays runs."""
    return load_matrix(settings_of(overlays), [DEFAULT_CONFIG, *(overlays or [])])


def entry_of(kind: str, name: str, settings: Tree, entry: str | None) -> Tree:
    """Return the entry given as JSON, or else the catalogue's entry of that name."""
    if entry is None:
        return find(
            load_catalogue(kind, settings),
            name,
            kind.removesuffix("s"),
            REPOSITORY / "config" / f"{kind}.yaml",
        )
    return complete_entry(kind, name, json_object("--entry", entry))


def json_object(option: str, text: str) -> Tree:
    """Parse the JSON object of an option or variable; raise InputError if it is none."""
    content = parse_json(text, option)
    if not isinstance(content, dict):
        raise InputError(
            option, f"a {type(content).__name__}", "a JSON object", "Quote it for the shell."
        )
    return content


def keep_apart(out: Path, *others: Path | None, option: str = "--out") -> None:
    """Raise InputError if an output cannot be written, or would overwrite an input or other output.

    Args:
        others: Inputs and other outputs; everything in a folder counts as an input.
        option: The option that names the output, for the message.
    """
    if out.is_dir():
        raise InputError(
            out, "a folder", "a file to write", f"Check the path: {option} names a file in it."
        )
    if out.exists() and not out.is_file():
        raise InputError(
            out, "a device or pipe", "a regular file to write", f"Choose another {option}."
        )
    place = out.resolve()
    if any(place.is_relative_to(path.resolve()) for path in others if path):
        raise InputError(
            out, "an input or another output", "a file of its own", f"Choose another {option}."
        )
    parent = next(folder for folder in place.parents if folder.exists())
    if not parent.is_dir():
        raise InputError(
            out,
            f"{parent.name}, which is a file,",
            "a folder to write in",
            f"Choose another {option}.",
        )
    if not os.access(parent, os.W_OK):
        raise InputError(
            out,
            "a folder that you may not write in",
            "one that you may",
            f"Choose another {option}.",
        )


def each_once(option: str, files: Sequence[Path]) -> None:
    """Raise InputError if a file is named twice: it would count as two."""
    known: set[Path] = set()
    for path in files:
        if path.resolve() in known:
            raise InputError(option, f"{path} twice", "each file once", "Remove one of the two.")
        known.add(path.resolve())
