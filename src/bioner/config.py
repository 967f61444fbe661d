"""Configuration and catalogues: YAML checked against workflow/schemas, completed, faults named by file and line."""

import copy
import difflib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlsplit

import jsonschema
import yaml

from bioner.errors import InputError

REPOSITORY = Path(__file__).resolve().parents[2]
SCHEMAS = REPOSITORY / "workflow" / "schemas"
DEFAULT_CONFIG = REPOSITORY / "config" / "config.yaml"

Tree = dict[str, Any]


def merged(base: Mapping[str, Any], overlay: Mapping[str, Any]) -> Tree:
    """`overlay` laid over `base`: mappings merge key by key, everything else is replaced."""
    result = dict(base)
    for key, value in overlay.items():
        if isinstance(value, Mapping) and isinstance(result.get(key), Mapping):
            value = merged(result[key], value)
        result[key] = value
    return result


def read_yaml(path: Path) -> Tree:
    """The mapping in a YAML file; an empty file is an empty mapping."""
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(path, "no such file", "a YAML file", "Check the path.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(path, str(error), "a readable UTF-8 file", "Check the path.") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{path}:{mark.line + 1}" if mark else path
        problem = getattr(error, "problem", None) or "broken YAML"
        raise InputError(where, f"broken YAML ({problem})", "valid YAML", "Check indentation and quotes.") from None
    if duplicate := _duplicate_key(path):
        raise InputError(duplicate[0], f"the key {duplicate[1]!r} again", "each key once", "Remove one of the two.")
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise InputError(path, f"a {type(content).__name__}", "a mapping of keys", "See config/README.md.")
    return content


def load_config(tree: Tree, files: Sequence[Path] = (DEFAULT_CONFIG,)) -> Tree:
    """A merged configuration checked and completed; `files` are searched for the line of a fault, last first."""
    for file in files:
        if file.is_file():
            read_yaml(file)  # Snakemake reads them itself and lets doubled keys pass
    config = _checked(tree, "config", files)
    config["out"] = str(Path(config["out"]))
    return config


def load_catalogue(kind: str, config: Tree) -> dict[str, Tree]:
    """All entries of `datasets` or `models`, later files over earlier ones, checked and completed."""
    catalogue: dict[str, Tree] = {}
    files = [REPOSITORY / name for name in config["catalogues"][kind]]
    for path in files:
        catalogue.update(_checked(read_yaml(path), kind, [path]))
    key = {"models": "settings", "datasets": "corpora"}[kind]
    for name, changes in config[key].items():
        known = catalogue.get(name, {}) if kind == "datasets" else find(catalogue, name, "model", key)
        entry = merged(known, changes)
        if kind == "datasets" and known and "splits" in changes and "files" not in changes:
            entry = _with_new_files(entry)
        catalogue[name] = _checked({name: entry}, kind, [f"{key} of {name}"])[name]
    for name, entry in catalogue.items():
        _check_entry(kind, name, entry)
    return catalogue


def _with_new_files(entry: Tree) -> Tree:
    """A known corpus some of whose splits come from elsewhere: files that no split names, and its documents, go."""
    names = entry["splits"].values() if isinstance(entry["splits"], dict) else []
    files = {name: file for name, file in entry["files"].items() if name in names}
    return entry | {"files": files} | ({"documents": None} if set(names) - set(files) else {})


def find(catalogue: Mapping[str, Tree], name: str, kind: str, where: object = "configuration") -> Tree:
    """The catalogue's entry of that name; InputError with the nearest name where there is none."""
    if name in catalogue:
        return catalogue[name]
    lowered = {key.lower(): key for key in catalogue}
    near = [key for key in lowered if name.lower() in key] or difflib.get_close_matches(
        name.lower(), lowered, cutoff=0.5
    )
    hint = f" Did you mean {lowered[near[0]]!r}?" if near else ""
    remedy = f"Correct the name or add it to config/{kind}s.yaml.{hint}"
    raise InputError(where, f"the unknown {kind} {name!r}", f"one of {', '.join(catalogue)}", remedy)


def load_matrix(config: Tree, files: Sequence[Path]) -> tuple[dict[str, Tree], dict[str, Tree]]:
    """Both catalogues, with every dataset and model that `config` names found in them."""
    catalogues = {kind: load_catalogue(kind, config) for kind in ("datasets", "models")}
    for kind, catalogue in catalogues.items():
        for position, name in enumerate(config[kind]):
            find(catalogue, name, kind.removesuffix("s"), _place([kind, position], files, name))
    for position, name in enumerate(config["show_text"]):
        find(catalogues["datasets"], name, "dataset", _place(["show_text", position], files, name))
    return catalogues["datasets"], catalogues["models"]


def complete_entry(kind: str, name: str, entry: Tree) -> Tree:
    """One catalogue entry checked and completed (an entry handed over on a command line)."""
    completed: Tree = _checked({name: entry}, kind, [f"the entry of {name}"])[name]
    _check_entry(kind, name, completed)
    return completed


def _check_entry(kind: str, name: str, entry: Tree) -> None:
    """What no schema says well: a model without one source, splits without files or that share one: InputError."""
    if kind == "models" and entry["family"] != "control":
        given = [key for key in ("hub", "scratch") if entry["source"][key] is not None]
        if len(given) != 1:
            found = " and ".join(given) or "neither"
            remedy = "Set the one that is not meant to null."
            raise InputError(f"{name}.source", found, "one of `hub` and `scratch`", remedy)
    if kind == "datasets":
        _expand_splits(entry)
        names = list(entry["splits"].values())
        if lacking := [file for file in names if file not in entry["files"]]:
            found, expected = f"no file {lacking[0]}", "every split's file under `files`"
            raise InputError(f"{name}.splits", found, expected, "Add it or correct `splits`.")
        sources = [_source(file, entry["files"][file]) for file in names]
        if twice := [source for source in sources if sources.count(source) > 1]:
            raise InputError(f"{name}.splits", f"{twice[0]} for two splits", "three files", "Correct `splits`.")
        if entry["documents"] and not all(entry["files"][file]["sha256"] for file in names):
            expected = "a sha256 of every split's file"
            remedy = "State it under `files`: the table holds for the very files it was made from."
            raise InputError(f"{name}.documents", "a file without one", expected, remedy)


def is_closed(entry: Tree) -> bool:
    """Whether a corpus's terms forbid to show its text; spelling is not to decide that."""
    return re.sub(r"[\s_-]+", "-", entry["terms"].strip().lower()).startswith("no-redistribution")


def _source(name: str, file: Tree) -> str:
    """What a file of the catalogue is taken from, as text to compare and to show."""
    if file["path"]:
        return str((REPOSITORY / Path(file["path"]).expanduser()).resolve())
    return " ".join([file["url"][0], file["member"] or ""]).strip() if file["url"] else name


def _expand_splits(entry: Tree) -> None:
    """The short form of an entry: splits that name addresses or paths themselves, in place of `files`."""
    bare = not entry["files"]
    for split, source in entry["splits"].items():
        if source in entry["files"] or not (bare or "/" in source):
            continue
        if "://" in source and not source.startswith(("http://", "https://")):
            raise InputError(f"splits.{split}", source, "a path, or an address https://…", "Correct `splits`.")
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
    _fill(_schema("datasets")["additionalProperties"], entry)


def seeds_of(entry: Tree, seeds: Sequence[int]) -> list[int]:
    """Seeds a model runs under: controls have no randomness and run once."""
    return list(seeds[:1] if entry["family"] == "control" else seeds)


def decodings_of(entry: Tree, decodings: Sequence[str]) -> list[str]:
    """Decodings of a model: LLMs those configured, everything else `direct`."""
    return list(decodings) if entry["family"] == "llm" else ["direct"]


@cache
def _schema(name: str) -> Tree:
    return read_yaml(SCHEMAS / f"{name}.schema.yaml")


def _fill(schema: Tree, value: Any) -> None:
    """Set missing keys to the defaults their schema states, at every depth."""
    if not isinstance(value, dict):
        return
    for key, sub in schema.get("properties", {}).items():
        if "default" in sub:
            value.setdefault(key, copy.deepcopy(sub["default"]))
        if key in value:
            _fill(sub, value[key])
    if isinstance(extra := schema.get("additionalProperties"), dict):
        for item in value.values():
            _fill(extra, item)


def _checked(tree: Tree, schema_name: str, files: Sequence[Path | str]) -> Tree:
    schema = _schema(schema_name)
    if wrong := [key for key in tree if not isinstance(key, str)]:
        raise InputError(_place([wrong[0]], files), f"the key {wrong[0]!r}", "a name", "Put it in quotes.")
    try:
        tree = _coerced(schema, tree)
    except RecursionError:
        raise InputError(files[-1], "a value that holds itself", "plain values", "Remove the alias.") from None
    error = jsonschema.exceptions.best_match(jsonschema.Draft202012Validator(schema).iter_errors(tree))
    if error is not None:
        raise _input_error(error, files)
    tree = copy.deepcopy(tree)
    _fill(schema, tree)
    return tree


def _coerced(schema: Tree, value: Any) -> Any:
    """What `--config` hands over as strings (`seeds="[1,2]"`) or alone (`models=oracle`), as the schema has it."""
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
    if isinstance(value, str) and {"integer", "number", "boolean"} & set(kinds) and "string" not in kinds:
        if "number" in kinds and re.fullmatch(r"[+-]?[\d.]+[eE][+-]?\d+", value):
            return float(value)  # to YAML 2e-5 is text, and 2.0e-5 a number
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
            _place([*path, unknown], files),
            f"the unknown key {'.'.join(map(str, [*path, unknown]))!r}",
            f"one of {', '.join(known)}",
            remedy,
        )
    if error.validator == "required":
        lacking = ", ".join(name for name in error.validator_value if name not in error.instance)
        return InputError(_place(path, files), f"{key or 'the file'} without {lacking}", "all required keys", remedy)
    wanted = _wanted(error) + (f" ({expected})" if expected else "")
    return InputError(_place(path, files, error.instance), f"{key} = {error.instance!r}", wanted, remedy)


def _wanted(error: jsonschema.ValidationError) -> str:
    rule, value = error.validator, error.validator_value
    words = {"minimum": "at least", "maximum": "at most", "exclusiveMinimum": "more than", "minItems": "at least"}
    if rule == "uniqueItems":
        return "no value twice"
    if rule == "pattern":
        return f"text that matches {value}"
    if rule == "type":
        return " or ".join([value] if isinstance(value, str) else value)
    if rule in ("enum", "const"):
        values = value if rule == "enum" else [value]
        return "one of " + ", ".join("null" if item is None else str(item) for item in values)
    return f"{words[rule]} {value}" if rule in words else str(error.message)


ANY: Any = object()


def _place(path: Sequence[str | int], files: Sequence[Path | str], value: Any = ANY) -> str:
    """`file:line` of a key (with this value) in the last file that holds it; else where it can only have come from."""
    for file in reversed(files):
        if isinstance(file, Path) and (line := _line(file, path, value)):
            return f"{file}:{line}"
    if any(isinstance(file, str) for file in files) or (len(files) == 1 and value is ANY):
        return str(files[0])
    return "configuration (--config on the command line?)"


def _line(file: Path, path: Iterable[str | int], value: Any) -> int | None:
    if not file.is_file():
        return None
    node, line = _compose(file), None
    for step in path:
        for key, key_line, child in _children(node):
            if key == step:
                line, node = key_line, child
                break
        else:
            return None
    if value is not ANY and node is not None and _value(node) != value:
        return None
    return line


def _compose(file: Path) -> Any:
    return yaml.compose(file.read_text(encoding="utf-8"), Loader=yaml.SafeLoader)


def _value(node: Any) -> Any:
    return yaml.SafeLoader("").construct_object(node, deep=True)


def _children(node: Any) -> Iterator[tuple[str | int, int, Any]]:
    """Keys (or positions) of a YAML node with the line they stand in; merged keys (`<<: *anchor`) come last."""
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if key.value != "<<":
                yield key.value, key.start_mark.line + 1, value
        for key, value in node.value:
            if key.value == "<<":
                yield from _children(value)
    elif isinstance(node, yaml.SequenceNode):
        for position, value in enumerate(node.value):
            yield position, value.start_mark.line + 1, value


def _duplicate_key(file: Path) -> tuple[str, str] | None:
    """Place and name of a key that a mapping holds twice; YAML would let the last one win without a word."""
    nodes, visited = [_compose(file)], set()
    while nodes:
        node = nodes.pop()
        if id(node) in visited:
            continue
        visited.add(id(node))
        own = [(key, value) for key, value in node.value] if isinstance(node, yaml.MappingNode) else []
        seen: set[str] = set()
        for key, _ in own:
            if key.value in seen:
                return f"{file}:{key.start_mark.line + 1}", key.value
            seen.add(key.value)
        nodes += [value for _, value in own] if own else node.value if isinstance(node, yaml.SequenceNode) else []
    return None
