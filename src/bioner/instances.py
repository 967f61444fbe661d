"""Instances (gold) and predictions: the two JSON Lines contracts, read with every invariant checked."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bioner.errors import InputError
from bioner.files import read_records, write_records
from bioner.tags import split_tag, violation

SPLITS = ("train", "dev", "test")


@dataclass(frozen=True, slots=True)
class Instance:
    """One tokenized sentence (or passage) with its gold tags; `doc` groups the instances of a document."""

    id: str
    doc: str
    tokens: list[str]
    tags: list[str]


@dataclass(frozen=True, slots=True)
class Prediction:
    """Predicted tags on the gold tokens of the instance `id`."""

    id: str
    tags: list[str]


def fault(instance: Instance) -> str | None:
    """Why an instance breaks the contract, or None."""
    if not instance.tokens:
        return "no token"
    if len(instance.tokens) != len(instance.tags):
        return f"{len(instance.tokens)} tokens and {len(instance.tags)} tags"
    for position, token in enumerate(instance.tokens):
        if not token or any(character.isspace() for character in token):
            return f"token {position} is {token!r}, empty or with white space"
    for position, tag in enumerate(instance.tags):
        if any(character.isspace() for character in tag):
            return f"tag {position} is {tag!r}, with white space"
    broken = violation(instance.tags)
    return f"tag {broken[0]}: {broken[1]}" if broken else None


def read_instances(path: Path) -> list[Instance]:
    """Instances of a file, plain or `.gz`; raises InputError at the first line that breaks the contract."""
    instances: list[Instance] = []
    seen: set[str] = set()
    for where, record in read_records(path, frozenset({"id", "doc", "tokens", "tags"})):
        _check_types(record, where, strings=("id", "doc"), lists=("tokens", "tags"))
        instance = Instance(*(record[key] for key in ("id", "doc", "tokens", "tags")))
        if instance.id in seen:
            raise InputError(where, f"the id {instance.id!r} again", "unique ids", "Remake it with `bioner normalize`.")
        if problem := fault(instance):
            expected = "as many tokens as tags, no empty token, valid IOB2"
            raise InputError(where, problem, expected, "Remake the file with `bioner normalize`.")
        seen.add(instance.id)
        instances.append(instance)
    if not instances:
        raise InputError(path, "no instance", "at least one", "Remake the file with `bioner normalize`.")
    return instances


def write_instances(path: Path, instances: Iterable[Instance]) -> None:
    """Write instances, whole or not at all."""
    write_records(path, (asdict(instance) for instance in instances))


def read_predictions(path: Path, gold: Sequence[Instance]) -> list[Prediction]:
    """Predictions of a file, checked against `gold`: same ids in the same order, same lengths, valid IOB2."""
    remake = "Predictions are made by `bioner realign` from the same gold file."
    predictions: list[Prediction] = []
    where = str(path)
    for where, record in read_records(path, frozenset({"id", "tags"})):
        if foreign := sorted(record.keys() - {"id", "tags"}):
            raise InputError(where, f"the key {foreign[0]!r}", "id and tags alone", f"Is this a gold file? {remake}")
        _check_types(record, where, strings=("id",), lists=("tags",))
        prediction = Prediction(record["id"], record["tags"])
        position = len(predictions)
        if position >= len(gold):
            raise InputError(where, f"id {prediction.id!r}", f"no more than the gold's {len(gold)} lines", remake)
        expected = gold[position]
        if prediction.id != expected.id:
            raise InputError(where, f"id {prediction.id!r}", f"the gold's next id {expected.id!r}", remake)
        if len(prediction.tags) != len(expected.tokens):
            found, wanted = f"{len(prediction.tags)} tags for {prediction.id!r}", f"{len(expected.tokens)}"
            raise InputError(where, found, wanted, remake)
        if broken := violation(prediction.tags):
            raise InputError(where, f"tag {broken[0]}: {broken[1]}", "valid IOB2", remake)
        predictions.append(prediction)
    if len(predictions) < len(gold):
        missing = gold[len(predictions)].id
        raise InputError(where, f"{len(predictions)} lines", f"{len(gold)}: {missing!r} is missing", remake)
    return predictions


def write_predictions(path: Path, predictions: Iterable[Prediction]) -> None:
    """Write predictions, whole or not at all."""
    write_records(path, ({"id": prediction.id, "tags": prediction.tags} for prediction in predictions))


def _check_types(record: dict[str, Any], where: str, strings: Sequence[str], lists: Sequence[str]) -> None:
    for key in strings:
        if not isinstance(record[key], str):
            raise InputError(where, f"{key} = {record[key]!r}", "a string", "Is this the right kind of file?")
    for key in lists:
        if not isinstance(record[key], list) or not all(isinstance(item, str) for item in record[key]):
            raise InputError(where, f"{key} = {record[key]!r}", "a list of strings", "Is this the right kind of file?")


def entity_types(instances: Iterable[Instance]) -> list[str]:
    """Entity types that occur, in alphabetical order."""
    return sorted({type_ for instance in instances for tag in instance.tags if (type_ := split_tag(tag)[1])})
