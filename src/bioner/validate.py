"""Every broken invariant of an instance or prediction file, where reading for a stage stops at the first."""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from bioner.errors import InputError
from bioner.files import read_lines, read_record
from bioner.instances import (
    INSTANCE_KEYS,
    PREDICTION_KEYS,
    Instance,
    faults,
    instance_from,
    prediction_from,
    tag_faults,
)


def validate(path: Path, gold: Sequence[Instance] | None = None) -> tuple[str, int, list[str]]:
    """What the file holds (`instances` or `predictions`), how many lines, and each fault as `file:line: reason`.

    The first sound record tells which of the two it is. Predictions are also held against `gold` where it is given:
    the same ids in the same order, as many tags as tokens.
    """
    lines = [(f"{path}:{number}", line) for number, line in read_lines(path)]
    if not lines:
        raise InputError(path, "no line", "instances or predictions", "Is this the right file?")
    instances = gold is None and _holds_instances(path, lines)
    found = list(_instance_faults(lines) if instances else _prediction_faults(lines, gold))
    if not instances and gold is not None and len(lines) < len(gold):
        found.append(f"{lines[-1][0]}: {len(lines)} lines, expected {len(gold)}: {gold[len(lines)].id!r} is missing")
    return "instances" if instances else "predictions", len(lines), found


def _holds_instances(path: Path, lines: Sequence[tuple[str, str]]) -> bool:
    for where, line in lines:
        with suppress(InputError):
            return "tokens" in read_record(line, where)
    raise InputError(path, "no JSON object in any line", "instances or predictions", "Is this the right file?")


def _instance_faults(lines: Sequence[tuple[str, str]]) -> Iterator[str]:
    seen: set[str] = set()
    for where, line in lines:
        try:
            instance = instance_from(read_record(line, where, INSTANCE_KEYS), where)
        except InputError as error:
            yield str(error)
            continue
        yield from _again(where, instance.id, seen)
        yield from (f"{where}: {problem}" for problem in faults(instance))


def _prediction_faults(lines: Sequence[tuple[str, str]], gold: Sequence[Instance] | None) -> Iterator[str]:
    seen: set[str] = set()
    for position, (where, line) in enumerate(lines):
        try:
            prediction = prediction_from(read_record(line, where, PREDICTION_KEYS), where)
        except InputError as error:
            yield str(error)
            continue
        yield from _again(where, prediction.id, seen)
        yield from (f"{where}: {problem}" for problem in tag_faults(prediction.tags))
        if gold is None:
            continue
        if position >= len(gold):
            yield f"{where}: id {prediction.id!r}, expected no more than the gold's {len(gold)} lines"
        elif prediction.id != gold[position].id:
            yield f"{where}: id {prediction.id!r}, expected the gold's {gold[position].id!r}"
        elif len(prediction.tags) != len(gold[position].tokens):
            yield f"{where}: {len(prediction.tags)} tags, expected {len(gold[position].tokens)}, one a gold token"


def _again(where: str, identity: str, seen: set[str]) -> Iterator[str]:
    if identity in seen:
        yield f"{where}: the id {identity!r} again"
    seen.add(identity)
