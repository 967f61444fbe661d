"""Every broken invariant of an instance or prediction file; reading stops at the first."""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import Any

from bioner.data.instances import (
    INSTANCE_KEYS,
    PREDICTION_KEYS,
    Instance,
    faults,
    tag_faults,
    type_faults,
)
from bioner.errors import InputError
from bioner.io.files import byte_lines, decoded, read_record


def validate(path: Path, gold: Sequence[Instance] | None = None) -> tuple[str, int, list[str]]:
    """Find every fault of a file; its first sound record decides what it holds.

    Args:
        path: Instances or predictions, plain or `.gz`.
        gold: Instances that predictions must match: the same ids in order, as many tags as tokens.

    Returns:
        `instances` or `predictions`, the number of lines, and each fault as `file:line: reason`.

    Raises:
        InputError: The file is empty or holds neither.
    """
    lines = list(byte_lines(path))  # undecoded: a line that is not UTF-8 is a fault, too
    if not lines:
        raise InputError(path, "no line", "instances or predictions", "Is this the right file?")
    instances = gold is None and _holds_instances(path, lines)
    found = _instance_faults(path, lines) if instances else _prediction_faults(path, lines, gold)
    return "instances" if instances else "predictions", len(lines), found


def _holds_instances(path: Path, lines: Sequence[tuple[int, bytes]]) -> bool:
    for number, line in lines:
        with suppress(InputError):
            return "tokens" in read_record(decoded(path, number, line), str(path))
    raise InputError(
        path, "no JSON object in any line", "instances or predictions", "Is this the right file?"
    )


def _records(
    path: Path, lines: Sequence[tuple[int, bytes]], keys: frozenset[str], faulty: list[str]
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield records with their places; faulty lines and repeated ids go to `faulty`."""
    seen: set[str] = set()
    for number, line in lines:
        where = f"{path}:{number}"
        try:
            record = read_record(decoded(path, number, line), where, keys)
        except InputError as error:
            faulty.append(str(error))
            continue
        if isinstance(identity := record["id"], str):
            if identity in seen:
                faulty.append(f"{where}: the id {identity!r} again")
            seen.add(identity)
        yield where, record


def _instance_faults(path: Path, lines: Sequence[tuple[int, bytes]]) -> list[str]:
    found: list[str] = []
    for where, record in _records(path, lines, INSTANCE_KEYS, found):
        wrong = list(type_faults(record, ("id", "doc"), ("tokens", "tags")))
        found += [f"{where}: {problem}, expected {expected}" for problem, expected in wrong]
        if not wrong:
            instance = Instance(*(record[key] for key in ("id", "doc", "tokens", "tags")))
            found += [f"{where}: {problem}" for problem in faults(instance)]
    return found


def _prediction_faults(
    path: Path, lines: Sequence[tuple[int, bytes]], gold: Sequence[Instance] | None
) -> list[str]:
    found: list[str] = []
    lengths = {instance.id: len(instance.tokens) for instance in gold or ()}
    ids: list[str] = []
    for where, record in _records(path, lines, PREDICTION_KEYS, found):
        if foreign := sorted(record.keys() - PREDICTION_KEYS):
            found.append(
                f"{where}: the key {foreign[0]!r}, expected id and tags alone (is this a gold"
                " file?)"
            )
        wrong = list(type_faults(record, ("id",), ("tags",)))
        found += [f"{where}: {problem}, expected {expected}" for problem, expected in wrong]
        if wrong:
            continue
        found += [f"{where}: {problem}" for problem in tag_faults(record["tags"])]
        ids.append(record["id"])
        if gold is None:
            continue
        if record["id"] not in lengths:
            found.append(f"{where}: the id {record['id']!r} is not in the gold")
        elif len(record["tags"]) != lengths[record["id"]]:
            found.append(
                f"{where}: {len(record['tags'])} tags, expected {lengths[record['id']]}, one a gold"
                " token"
            )
    missing = lengths.keys() - ids
    found += [f"{path}: the gold's id {name!r} is missing" for name in lengths if name in missing]
    order = {identity: position for position, identity in enumerate(lengths)}
    known = [identity for identity in ids if identity in order]
    if late := next(
        (after for before, after in pairwise(known) if order[after] < order[before]), None
    ):
        found.append(
            f"{path}: {late!r} is behind ids that follow it in the gold: not in the gold's order"
        )
    return found
