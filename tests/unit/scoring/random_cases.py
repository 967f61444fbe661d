"""Random tag sequences, well-formed and not, for tests against other evaluators."""

import random
from collections.abc import Iterator

from bioner.data.instances import Instance, Prediction
from bioner.data.tags import repair

TAGS = ["O", "O", "O", "B-A", "I-A", "B-B", "I-B", "B-C", "I-C"]

Tags = list[list[str]]


def random_cases(count: int, seed: int, sentences: int = 4) -> Iterator[tuple[Tags, Tags]]:
    """Pairs of gold and predicted tags of one to `sentences` sentences, neither of them necessarily
    IOB2.

    Half of the predictions are the gold with some tags changed, so that matches of every kind
    occur.
    """
    draw = random.Random(seed)
    for number in range(count):
        gold, predicted = [], []
        for _ in range(draw.randint(1, sentences)):
            tags = [draw.choice(TAGS) for _ in range(draw.randint(1, 14))]
            gold.append(tags)
            changed = 1.0 if number % 2 else 0.25
            predicted.append(
                [draw.choice(TAGS) if draw.random() < changed else tag for tag in tags]
            )
        yield gold, predicted


def small_and_large_cases(count: int, seed: int) -> Iterator[tuple[Tags, Tags]]:
    """Small cases, which lack a type or a gold entity, and a few large ones, in which every
    combination occurs.
    """
    yield from random_cases(count, seed)
    yield from random_cases(count // 10, seed + 100, sentences=80)


def as_corpus(gold: Tags, predicted: Tags) -> tuple[list[Instance], list[Prediction]]:
    """The same as instances and predictions, repaired as realignment does; a sentence is a
    document.
    """
    instances = [
        Instance(
            f"s{number}",
            f"s{number}",
            [f"w{place}" for place in range(len(tags))],
            repair(tags).tags,
        )
        for number, tags in enumerate(gold)
    ]
    return instances, [
        Prediction(f"s{number}", repair(tags).tags) for number, tags in enumerate(predicted)
    ]


def orphans_of(predicted: Tags) -> dict[str, list[int]]:
    """Where the repair of the predictions made a B- of an I-, by instance id."""
    return {f"s{number}": repair(tags).orphans for number, tags in enumerate(predicted)}
