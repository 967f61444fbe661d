"""Configuration: checked against workflow/schemas, completed, faults named by file and line."""

import copy
import difflib
import math
import re
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import yaml

from bioner.errors import InputError
from bioner.settings.yaml_files import place_of, read_yaml

REPOSITORY = Path(__file__).resolve().parents[3]
SCHEMAS = REPOSITORY / "workflow" / "schemas"
DEFAULT_CONFIG = REPOSITORY / "config" / "config.yaml"

Tree = dict[str, Any]

# Rules of JSON Schema about numbers and lengths, in words.
BOUNDS = {
    "minimum": "at least",
    "maximum": "at most",
    "exclusiveMinimum": "more than",
    "minItems": "at least",
}


def merged(base: Mapping[str, Any], overlay: Mapping[str, Any]) -> Tree:
    """Return `overlay` laid over `base`: mappings merge key by key, everything else is replaced."""
    result = dict(base)
    for key, value in overlay.items():
        if isinstance(value, Mapping) and isinstance(result.get(key), Mapping):
            value = merged(result[key], value)
        result[key] = value
    return result


def load_config(tree: Tree, files: Sequence[Path] = (DEFAULT_CONFIG,)) -> Tree:
    """Check and complete a merged configuration.

    Args:
        tree: The configuration.
        files: Its YAML files, searched for the line of a fault, last first.

    Raises:
        InputError: A key or value that the schema does not allow.
    """
    for file in files:
        if file.is_file():
            read_yaml(file)  # Snakemake reads them without noticing repeated keys
    config = check_and_complete(tree, "config", files)
    config["out"] = str(Path(config["out"]))
    return config


@cache
def schema_of(name: str) -> Tree:
    """Return a schema: config, datasets or models."""
    return read_yaml(SCHEMAS / f"{name}.schema.yaml")


def fill_defaults(schema: Tree, value: Any) -> None:
    """Set missing keys to the defaults of their schema, at every depth."""
    if not isinstance(value, dict):
        return
    for key, sub in schema.get("properties", {}).items():
        if "default" in sub:
            value.setdefault(key, copy.deepcopy(sub["default"]))
        if key in value:
            fill_defaults(sub, value[key])
    if isinstance(extra := schema.get("additionalProperties"), dict):
        for item in value.values():
            fill_defaults(extra, item)


def check_and_complete(tree: Tree, schema_name: str, files: Sequence[Path | str]) -> Tree:
    """Check a tree against a schema, convert the text that `--config` passes, and fill in defaults.

    Raises:
        InputError: A key or value that the schema does not allow.
    """
    schema = schema_of(schema_name)
    if wrong := [key for key in tree if not isinstance(key, str)]:
        raise InputError(
            place_of([wrong[0]], files), f"the key {wrong[0]!r}", "a name", "Put it in quotes."
        )
    try:
        tree = _coerced(schema, tree)
    except RecursionError:
        raise InputError(
            files[-1], "a value that holds itself", "plain values", "Remove the alias."
        ) from None
    if odd := _not_finite(tree):
        raise InputError(
            place_of(odd, files),
            f"{'.'.join(map(str, odd))} is no finite number",
            "one",
            "Correct it.",
        )
    error = jsonschema.exceptions.best_match(
        jsonschema.Draft202012Validator(schema).iter_errors(tree)
    )
    if error is not None:
        raise _input_error(error, files)
    fill_defaults(schema, tree)
    return tree


def _not_finite(value: Tree | list[Any]) -> list[Any]:
    """Return the path to a number that is infinite or NaN, which schemas do not detect, if any."""
    pairs = enumerate(value) if isinstance(value, list) else value.items()
    for key, item in pairs:
        if isinstance(item, float) and not math.isfinite(item):
            return [key]
        if isinstance(item, dict | list) and (inner := _not_finite(item)):
            return [key, *inner]
    return []


def _coerced(schema: Tree, value: Any) -> Any:
    """Convert what `--config` passes as text (`seeds="[1,2]"`) or one value (`models=x`)."""
    kinds = schema.get("type", [])
    kinds = [kinds] if isinstance(kinds, str) else kinds
    if "array" in kinds and isinstance(value, str | int) and not isinstance(value, bool):
        value = value.split(",") if isinstance(value, str) and "://" not in value else [value]
    if isinstance(value, list):
        return [_coerced(schema.get("items", {}), item) for item in value]
    if isinstance(value, dict):
        known, rest = schema.get("properties", {}), schema.get("additionalProperties")
        rest = rest if isinstance(rest, dict) else {}
        return {key: _coerced(known.get(key, rest), item) for key, item in value.items()}
    if (
        isinstance(value, str)
        and {"integer", "number", "boolean", "null"} & set(kinds)
        and "string" not in kinds
    ):
        if "number" in kinds and re.fullmatch(r"[+-]?[\d.]+[eE][+-]?\d+", value):
            return float(value)  # YAML reads 2e-5 as text, and 2.0e-5 as a number
        return yaml.safe_load(value)
    return value


def _input_error(error: jsonschema.ValidationError, files: Sequence[Path | str]) -> InputError:
    path = list(error.absolute_path)
    key = ".".join(map(str, path))
    expected = error.schema.get("description", "").rstrip(".")
    remedy = "Every key is described in config/README.md."
    if error.validator == "additionalProperties" and isinstance(error.instance, dict):
        known = list(error.schema.get("properties", {}))
        unknown = next(name for name in error.instance if name not in known)
        near = difflib.get_close_matches(str(unknown), known, n=1)
        remedy = f"Did you mean {near[0]!r}? {remedy}" if near else remedy
        return InputError(
            place_of([*path, unknown], files),
            f"the unknown key {'.'.join(map(str, [*path, unknown]))!r}",
            f"one of {', '.join(known)}",
            remedy,
        )
    if error.validator == "required":
        lacking = ", ".join(name for name in error.validator_value if name not in error.instance)
        return InputError(
            place_of(path, files),
            f"{key or 'the file'} without {lacking}",
            "all required keys",
            remedy,
        )
    wanted = _wanted(error) + (f" ({expected})" if expected else "")
    return InputError(
        place_of(path, files, error.instance), f"{key} = {error.instance!r}", wanted, remedy
    )


def _wanted(error: jsonschema.ValidationError) -> str:
    rule, value = error.validator, error.validator_value
    if rule == "uniqueItems":
        return "no value twice"
    if rule == "pattern":
        return f"text that matches {value}"
    if rule == "type":
        return " or ".join([value] if isinstance(value, str) else value)
    if rule in ("enum", "const"):
        values = value if rule == "enum" else [value]
        return "one of " + ", ".join("null" if item is None else str(item) for item in values)
    return f"{BOUNDS[rule]} {value}" if rule in BOUNDS else str(error.message)
