"""Options that several commands have, and checks of their values."""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from bioner.errors import InputError
from bioner.io.files import parse_json

MOST = 1_000_000  # resamples: all are in memory until the percentiles are computed
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


def json_object(option: str, text: str) -> dict[str, Any]:
    """Parse the JSON object of an option or variable; raise InputError if it is none."""

    def refuse_doubled(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        keys = [key for key, _ in pairs]
        if twice := [key for key in keys if keys.count(key) > 1]:
            raise InputError(option, f"the key {twice[0]!r} twice", "each key once", "Remove one.")
        return dict(pairs)

    parse_json(text, option)
    content = json.loads(text, object_pairs_hook=refuse_doubled)
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


def named(option: str, text: str, form: str, example: str, between: str = "=") -> tuple[str, str]:
    """Return the two sides of `NAME=VALUE`; raise InputError if one is empty."""
    name, sign, value = text.partition(between)
    if not (name and sign and value):
        raise InputError(option, repr(text), form, f"For example {option} {example}.")
    return name, value


def named_file(option: str, text: str) -> tuple[str, Path]:
    """Return the two sides of `NAME=FILE`."""
    name, path = named(option, text, "NAME=FILE", "bert-mini=predictions.jsonl")
    return name, Path(path)


def files_by_system(option: str, texts: Sequence[str]) -> dict[tuple[str, str], list[Path]]:
    """Return the files of each system, by model and decoding, from `MODEL:DECODING=FILE`."""
    systems: dict[tuple[str, str], list[Path]] = {}
    for text in texts:
        name, path = named_file(option, text)
        system = named(option, name, "MODEL:DECODING=FILE", "bert-mini:direct=p.jsonl", ":")
        systems.setdefault(system, []).append(path)
    return systems
