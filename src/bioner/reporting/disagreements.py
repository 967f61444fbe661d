"""Where systems disagree with gold: the kind of every error, their counts, and the sentences.

An entity that gold and prediction share, borders and type, is `correct`. Every other gold entity
and every other prediction has exactly one kind:

- `missed`: a gold entity that no prediction overlaps;
- `spurious`: a prediction that overlaps no gold entity;
- `type`: same borders as an entity on the other side, but another type;
- `boundary`: overlaps an entity of its type on the other side, but with other borders;
- `both`: overlaps only entities with other borders and other types.

An error is a gold entity that was not found exactly, or a spurious prediction. Predictions of kind
`type`, `boundary` and `both` are not counted again: the gold entities they overlap are.
"""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, product
from typing import Any, NamedTuple

import polars as pl

from bioner.data.instances import Instance, Prediction
from bioner.data.tags import Span, spans
from bioner.io.tables import Schema
from bioner.scoring.labels import PAPER_CUTS, bucket_names, bucket_of
from bioner.scoring.pairs import text_of

KINDS = ("missed", "spurious", "boundary", "type", "both")
CORRECT, MISSED, SPURIOUS = "correct", "missed", "spurious"
# An entity that overlaps several has the first of these kinds.
CLOSEST_FIRST = (CORRECT, "type", "boundary", "both", MISSED, SPURIOUS)
COUNTS = (
    *("gold_entities", CORRECT, MISSED, "boundary", "type", "both"),
    *("predictions", SPURIOUS),
)
ERRORS: Schema = {
    "dataset": pl.String,
    "model": pl.String,
    "decoding": pl.String,
    "seed": pl.Int64,
    "length": pl.String,
    **dict.fromkeys(COUNTS, pl.Int64),
}

Mention = tuple[str, str]  # lower-cased text and type


class ReportedSystem(NamedTuple):
    """The system of a prediction file, within a dataset."""

    model: str
    decoding: str
    seed: int


@dataclass(frozen=True, slots=True)
class Disagreements:
    """How the systems of one dataset differ from gold.

    `counts` (ERRORS) has a row per system and length, and one for all lengths: gold entities by
    their own length, predictions by theirs.

    `sentences` are those with errors, as `[id, text, gold, answers]`: the tokens with spaces
    between; four numbers per gold entity (start, end, type, known). An answer is `[systems, errors,
    predictions]`, shared by systems that answer the same: two numbers per entity not found (place
    in `gold`, kind) and five per wrong prediction (start, end, type, known, kind). Types, kinds and
    systems are places in `types`, KINDS and `systems`; `known` is 1 if train has the mention.

    A closed corpus has no sentences. `silent` are places of systems that predict nothing; their
    errors need no sentences.
    """

    dataset: str
    closed: bool
    cuts: Sequence[int]
    systems: Sequence[ReportedSystem]
    silent: Sequence[int]
    types: Sequence[str]
    with_train: bool
    counts: pl.DataFrame
    sentences: Sequence[list[Any]]


def mentions(instances: Sequence[Instance]) -> frozenset[Mention]:
    """Return the mentions of a training set."""
    return frozenset(
        (text_of(item.tokens, span), span.type) for item in instances for span in spans(item.tags)
    )


def disagreements(
    dataset: str,
    instances: Sequence[Instance],
    predictions: Mapping[ReportedSystem, Sequence[Prediction]],
    closed: bool,
    cuts: Sequence[int] = PAPER_CUTS,
    train: Collection[Mention] | None = None,
) -> Disagreements:
    """Compare the predictions of several systems with gold.

    Args:
        predictions: By system, in the order of the instances.
        closed: Whether to leave out all text.
        cuts: Upper ends of the length buckets but the last.
        train: Mentions of the training set, if known.
    """
    silent = [
        place
        for place, rows in enumerate(predictions.values())
        if not any(spans(row.tags) for row in rows)
    ]
    tallies = [Counter[tuple[str, str]]() for _ in predictions]
    types: dict[str, int] = {}

    def numbers(instance: Instance, span: Span) -> tuple[int, int, int, int]:
        """Start, end, place of the type (a new type takes the next place), and whether known."""
        known = train is not None and (text_of(instance.tokens, span), span.type) in train
        return span.start, span.end, types.setdefault(span.type, len(types)), int(known)

    sentences = []
    for instance, *answered in zip(instances, *predictions.values(), strict=True):
        gold = spans(instance.tags)
        answers: dict[tuple[tuple[int, ...], tuple[int, ...]], list[int]] = {}
        for place, prediction in enumerate(answered):
            found = spans(prediction.tags)
            of_gold, of_found = kinds(gold, found)
            tallies[place].update(_counted(gold, of_gold, found, of_found, cuts))
            if prediction.tags == instance.tags or closed or place in silent:
                continue
            errors = [
                (left, KINDS.index(kind)) for left, kind in enumerate(of_gold) if kind != CORRECT
            ]
            wrong = [
                (*numbers(instance, span), KINDS.index(kind))
                for span, kind in zip(found, of_found, strict=True)
                if kind != CORRECT
            ]
            answer = tuple(chain.from_iterable(errors)), tuple(chain.from_iterable(wrong))
            answers.setdefault(answer, []).append(place)
        if answers:
            entities = tuple(chain.from_iterable(numbers(instance, span) for span in gold))
            told = [[who, errors, wrong] for (errors, wrong), who in answers.items()]
            sentences.append([instance.id, " ".join(instance.tokens), entities, told])
    rows = [
        {"dataset": dataset, **system._asdict(), "length": length}
        | {column: tally[length, column] for column in COUNTS}
        for system, tally in zip(predictions, tallies, strict=True)
        for length in ("all", *bucket_names(cuts))
    ]
    return Disagreements(
        dataset=dataset,
        closed=closed,
        cuts=cuts,
        systems=list(predictions),
        silent=silent,
        types=list(types),
        with_train=train is not None,
        counts=pl.DataFrame(rows, schema=ERRORS),
        sentences=sentences,
    )


def kinds(gold: Sequence[Span], predicted: Sequence[Span]) -> tuple[list[str], list[str]]:
    """Return the kinds of the gold entities and those of the predictions, in their order."""
    if gold == predicted:
        return [CORRECT] * len(gold), [CORRECT] * len(gold)
    of_gold, of_predicted = [MISSED] * len(gold), [SPURIOUS] * len(predicted)
    for (left, entity), (right, found) in product(enumerate(gold), enumerate(predicted)):
        if entity.start < found.end and found.start < entity.end:
            kind = _kind(entity, found)
            of_gold[left] = min(of_gold[left], kind, key=CLOSEST_FIRST.index)
            of_predicted[right] = min(of_predicted[right], kind, key=CLOSEST_FIRST.index)
    return of_gold, of_predicted


def _kind(gold: Span, predicted: Span) -> str:
    """The kind of two entities that overlap."""
    same_borders = (gold.start, gold.end) == (predicted.start, predicted.end)
    if gold.type == predicted.type:
        return CORRECT if same_borders else "boundary"
    return "type" if same_borders else "both"


def _counted(
    gold: Sequence[Span],
    of_gold: Sequence[str],
    found: Sequence[Span],
    of_found: Sequence[str],
    cuts: Sequence[int],
) -> Iterator[tuple[str, str]]:
    """Yield length and column of ERRORS for everything that a sentence adds one to."""
    for span, kind in zip(gold, of_gold, strict=True):
        yield from product(("all", bucket_of(span.length, cuts)), ("gold_entities", kind))
    for span, kind in zip(found, of_found, strict=True):
        columns = ("predictions", SPURIOUS) if kind == SPURIOUS else ("predictions",)
        yield from product(("all", bucket_of(span.length, cuts)), columns)
