"""Read YAML files with clear errors, and find the line of a key or value."""

import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml

from bioner.errors import InputError

ANY: Any = object()
LOADER = getattr(
    yaml, "CSafeLoader", yaml.SafeLoader
)  # libyaml's is ten times faster, but not in every build


def read_yaml(path: Path) -> dict[str, Any]:
    """Return the mapping in a YAML file; an empty file is an empty mapping.

    Raises:
        InputError: The file is missing, unreadable, broken or not a mapping, or repeats a key.
    """
    try:
        node = _compose(path)
        _refuse_doubled_keys(path, node)
        content = None if node is None else _value(node)
        json.dumps(content, default=str, skipkeys=True)  # refuses self-reference and huge integers
    except FileNotFoundError:
        raise InputError(path, "no such file", "a YAML file", "Check the path.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(path, str(error), "a readable UTF-8 file", "Check the path.") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{path}:{mark.line + 1}" if mark else path
        problem = getattr(error, "problem", None) or error
        raise InputError(
            where,
            f"broken YAML ({problem})",
            "valid YAML",
            "Check indentation, quotes, anchors and numbers.",
        ) from None
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise InputError(
            path, f"a {type(content).__name__}", "a mapping of keys", "See config/README.md."
        )
    return content


def place_of(
    path: Sequence[str | int],
    files: Sequence[Path | str],
    value: Any = ANY,
    entry: Sequence[str] = (),
) -> str:
    """Return `file:line` of a key (with this value, if given) in the last file that has it.

    If none has it, return the line of its entry, if given, or the only place it can come from.
    """
    for keys in (path, entry):
        for file in reversed(files):
            if isinstance(file, Path) and (line := _line(file, keys, value)):
                return f"{file}:{line}"
    if any(isinstance(file, str) for file in files) or (len(files) == 1 and value is ANY):
        return str(files[0])
    return "configuration (--config on the command line?)"


def _line(file: Path, path: Iterable[str | int], value: Any) -> int | None:
    if not file.is_file():
        return None
    node, line = _compose(file), None
    for step in path:
        if isinstance(step, int) and isinstance(node, yaml.ScalarNode):  # text in place of a list
            return line if str(value) in node.value else None
        found = next((child for child in _children(node) if str(child[0]) == str(step)), None)
        if found is None and step == 0 and isinstance(node, yaml.MappingNode):
            continue  # one mapping in place of a list
        if found is None:
            return None
        _, line, node = found
    if value is not ANY and node is not None and _value(node) != value:
        return None
    return line


def _compose(file: Path) -> Any:
    """Return the nodes of a file, by libyaml; Python's parser explains errors more clearly."""
    text = file.read_text(encoding="utf-8")
    try:
        return yaml.compose(text, Loader=LOADER)
    except yaml.YAMLError:
        return yaml.compose(text, Loader=yaml.SafeLoader)


def _value(node: Any) -> Any:
    """Return the value of a node, which must not be used again: merged keys are written into it."""
    return yaml.SafeLoader("").construct_document(node)


def _children(node: Any) -> Iterator[tuple[str | int, int, Any]]:
    """Yield keys (or positions) of a node with line and value; merged keys (`<<: *anchor`) last."""
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
                continue  # not a name; `_value` refuses it
            if key.value in seen:
                raise InputError(
                    f"{file}:{key.start_mark.line + 1}",
                    f"the key {key.value!r} again",
                    "each key once",
                    "Remove one of the two.",
                )
            seen.add(key.value)
        nodes += [child for _, _, child in _children(node)]
