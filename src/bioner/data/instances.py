"""Instances (gold) and predictions: the two JSON Lines contracts, checked when read."""

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bioner.data.tags import split_tag, violation, violations
from bioner.errors import InputError, hidden
from bioner.io.files import read_records, write_records

SPLITS = ("train", "dev", "test")
INSTANCE_KEYS = frozenset({"id", "doc", "tokens", "tags"})
PREDICTION_KEYS = frozenset({"id", "tags"})
REMAKE_INSTANCES = "Remake the file with `bioner normalize`."
REMAKE_PREDICTIONS = "Predictions are made by `bioner realign` from the same gold file."


@dataclass(frozen=True, slots=True)
class Instance:
    """A tokenized sentence (or passage) with its gold tags; `doc` groups a document's instances."""

    id: str
    doc: str
    tokens: list[str]
    tags: list[str]


@dataclass(frozen=True, slots=True)
class Prediction:
    """Predicted tags on the gold tokens of the instance `id`."""

    id: str
    tags: list[str]


def faults(instance: Instance, quoted: Callable[[str], str] = hidden) -> Iterator[str]:
    """Yield every way in which an instance breaks the contract; `quoted` shows or hides a token."""
    if not instance.tokens:
        yield "no token"
    if len(instance.tokens) != len(instance.tags):
        yield f"{len(instance.tokens)} tokens and {len(instance.tags)} tags"
    for position, token in enumerate(instance.tokens):
        if token.split() != [token]:
            yield f"token {position} is {quoted(token)}, empty or with white space"
    yield from tag_faults(instance.tags, quoted)


def tag_faults(tags: Sequence[str], quoted: Callable[[str], str] = hidden) -> Iterator[str]:
    """Yield every tag that is not a single word, and every one that breaks IOB2."""
    for position, tag in enumerate(tags):
        if tag.split() != [tag]:
            yield f"tag {position} is {quoted(tag)}, empty or with white space"
    yield from (f"tag {position}: {problem}" for position, problem in violations(tags))


def read_instances(path: Path) -> list[Instance]:
    """Read instances from a file, plain or `.gz`.

    Raises:
        InputError: The first line that breaks the contract.
    """
    instances: list[Instance] = []
    seen: set[str] = set()
    for where, record in read_records(path, INSTANCE_KEYS):
        _check_types(record, where, strings=("id", "doc"), lists=("tokens", "tags"))
        instance = Instance(*(record[key] for key in ("id", "doc", "tokens", "tags")))
        if instance.id in seen:
            raise InputError(where, f"the id {instance.id!r} again", "unique ids", REMAKE_INSTANCES)
        for problem in faults(instance):
            raise InputError(
                where,
                problem,
                "as many tokens as tags, no empty token, valid IOB2",
                REMAKE_INSTANCES,
            )
        seen.add(instance.id)
        instances.append(instance)
    if not instances:
        raise InputError(path, "no instance", "at least one", REMAKE_INSTANCES)
    return instances


def write_instances(path: Path, instances: Iterable[Instance]) -> None:
    """Write instances, completely or not at all."""
    write_records(
        path, ({"id": i.id, "doc": i.doc, "tokens": i.tokens, "tags": i.tags} for i in instances)
    )


def read_predictions(
    path: Path, gold: Sequence[Instance], train: Sequence[Instance] | None = None
) -> list[Prediction]:
    """Read predictions: the ids of `gold` in its order, as many tags as tokens, valid IOB2.

    Args:
        path: The file, plain or `.gz`.
        gold: The instances predicted.
        train: If given, types must occur in it or in `gold`; others are not labels of the corpus.

    Raises:
        InputError: The first line that breaks the contract.
    """
    predictions: list[Prediction] = []
    types = None if train is None else {*entity_types(train), *entity_types(gold)}
    for where, record, expected in pair_with_gold(gold, path, PREDICTION_KEYS, REMAKE_PREDICTIONS):
        if foreign := sorted(record.keys() - PREDICTION_KEYS):
            raise InputError(
                where,
                f"the key {foreign[0]!r}",
                "id and tags alone",
                f"Is this a gold file? {REMAKE_PREDICTIONS}",
            )
        _check_types(record, where, strings=(), lists=("tags",))
        prediction = Prediction(record["id"], record["tags"])
        if len(prediction.tags) != len(expected.tokens):
            raise InputError(
                where,
                f"{len(prediction.tags)} tags for {prediction.id!r}",
                f"{len(expected.tokens)}",
                REMAKE_PREDICTIONS,
            )
        # The gold's tags are valid, and most predictions equal them.
        if prediction.tags != expected.tags and (broken := violation(prediction.tags)):
            raise InputError(
                where, f"tag {broken[0]}: {broken[1]}", "valid IOB2", REMAKE_PREDICTIONS
            )
        if types is not None and (
            foreign := [tag for tag in prediction.tags if split_tag(tag)[1] not in {"", *types}]
        ):
            raise InputError(
                where,
                f"the tag {foreign[0]!r} for {prediction.id!r}",
                f"types of the corpus: {', '.join(sorted(types))}",
                REMAKE_PREDICTIONS,
            )
        predictions.append(prediction)
    return predictions


def pair_with_gold(
    gold: Sequence[Instance], path: Path, keys: frozenset[str], remedy: str
) -> Iterator[tuple[str, dict[str, Any], Instance]]:
    """Yield each record of a file with its place and its gold instance, in the gold's order.

    Raises:
        InputError: The first id that is missing, repeated, too early or not in the gold.
    """
    places = {instance.id: place for place, instance in enumerate(gold)}
    count, where = 0, str(path)
    for where, record in read_records(path, keys):
        _check_types(record, where, strings=("id",), lists=())
        place = places.get(record["id"], -1)
        if place != count:
            why = (
                "not in the gold"
                if place < 0
                else "a second time"
                if place < count
                else "too early"
            )
            wanted = (
                f"the gold's next id {gold[count].id!r}"
                if count < len(gold)
                else f"no more than the gold's {len(gold)} lines"
            )
            raise InputError(where, f"id {record['id']!r}, {why}", wanted, remedy)
        yield where, record, gold[count]
        count += 1
    if count < len(gold):
        raise InputError(
            where, f"{count} lines", f"{len(gold)}: {gold[count].id!r} is missing", remedy
        )


def write_predictions(path: Path, predictions: Iterable[Prediction]) -> None:
    """Write predictions, completely or not at all."""
    write_records(
        path, ({"id": prediction.id, "tags": prediction.tags} for prediction in predictions)
    )


def type_faults(
    record: dict[str, Any], strings: Sequence[str], lists: Sequence[str]
) -> Iterator[tuple[str, str]]:
    """Yield every field of a record that has another type: what was found, what was expected."""
    for key in strings:
        if not isinstance(record[key], str):
            yield f"{key} = {record[key]!r}", "a string"
    for key in lists:
        if not isinstance(record[key], list):
            yield f"no list under {key}", "a list of strings"
        elif not set(map(type, record[key])) <= {str}:
            yield f"a list with other things than strings under {key}", "a list of strings"


def _check_types(
    record: dict[str, Any], where: str, strings: Sequence[str], lists: Sequence[str]
) -> None:
    for found, expected in type_faults(record, strings, lists):
        raise InputError(where, found, expected, "Is this the right kind of file?")


def unseen_types(train: Iterable[Instance], other: Iterable[Instance]) -> dict[str, int]:
    """Return entity types of `other` that training lacks, with their counts: all will be missed."""
    known = set(entity_types(train))
    counts = Counter(tag[2:] for item in other for tag in item.tags if tag.startswith("B-"))
    return {type_: count for type_, count in sorted(counts.items()) if type_ not in known}


def entity_types(instances: Iterable[Instance]) -> list[str]:
    """Return the entity types that occur, in alphabetical order."""
    return sorted(
        {type_ for instance in instances for tag in instance.tags if (type_ := split_tag(tag)[1])}
    )


def digest(instances: Iterable[Instance]) -> str:
    """Return the SHA-256 of instances, whatever file they come from."""
    digest = hashlib.sha256()
    for instance in instances:
        digest.update(json.dumps(asdict(instance)).encode())
    return digest.hexdigest()
