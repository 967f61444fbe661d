"""YAML files: read with their faults told, and the line in which a key or value stands."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml

from bioner.errors import InputError

ANY: Any = object()
LOADER = getattr(
    yaml, "CSafeLoader", yaml.SafeLoader
)  # libyaml's is ten times as fast; not every build has it


def read_yaml(path: Path) -> dict[str, Any]:
    """The mapping in a YAML file; an empty file is an empty mapping."""
    try:
        node = _compose(path)
        _refuse_doubled_keys(path, node)
        content = None if node is None else _value(node)
    except FileNotFoundError:
        raise InputError(path, "no such file", "a YAML file", "Check the path.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(path, str(error), "a readable UTF-8 file", "Check the path.") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{path}:{mark.line + 1}" if mark else path
        problem = getattr(error, "problem", None) or "broken YAML"
        raise InputError(
            where, f"broken YAML ({problem})", "valid YAML", "Check indentation and quotes."
        ) from None
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise InputError(
            path, f"a {type(content).__name__}", "a mapping of keys", "See config/README.md."
        )
    return content


def place_of(path: Sequence[str | int], files: Sequence[Path | str], value: Any = ANY) -> str:
    """`file:line` of a key (with this value) in the last file that holds it; else where it can only
    have come from.
    """
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
        found = next((child for child in _children(node) if child[0] == step), None)
        if found is None:
            return None
        _, line, node = found
    if value is not ANY and node is not None and _value(node) != value:
        return None
    return line


def _compose(file: Path) -> Any:
    """Return the nodes of a file, read by libyaml; where that finds a fault Python's parser says it
    more clearly.
    """
    text = file.read_text(encoding="utf-8")
    try:
        return yaml.compose(text, Loader=LOADER)
    except yaml.YAMLError:
        return yaml.compose(text, Loader=yaml.SafeLoader)


def _value(node: Any) -> Any:
    """What a node stands for; the node is not to be looked at afterwards: merged keys are written
    into it.
    """
    return yaml.SafeLoader("").construct_document(node)


def _children(node: Any) -> Iterator[tuple[str | int, int, Any]]:
    """Keys (or positions) of a YAML node with the line they stand in; merged keys (`<<: *anchor`)
    come last.
    """
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


def _refuse_doubled_keys(file: Path, node: Any) -> None:
    """Raise InputError if a mapping has a key twice; YAML would silently take the last."""
    nodes, visited = [node], set()
    while nodes:
        node = nodes.pop()
        if id(node) in visited:
            continue
        visited.add(id(node))
        seen: set[str] = set()
        for key, _ in node.value if isinstance(node, yaml.MappingNode) else []:
            if not isinstance(key, yaml.ScalarNode):
                continue  # no name, and refused by `_value`
            if key.value in seen:
                raise InputError(
                    f"{file}:{key.start_mark.line + 1}",
                    f"the key {key.value!r} again",
                    "each key once",
                    "Remove one of the two.",
                )
            seen.add(key.value)
        nodes += [child for _, _, child in _children(node)]
