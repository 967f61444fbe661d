"""Where systems disagree with gold: the kind of every error, counts of all of them, and the
sentences to read.

An entity that gold and prediction share, borders and type, is `correct`. Every other gold entity
and every other prediction has exactly one kind:

- `missed`: a gold entity that no prediction overlaps;
- `spurious`: a prediction that overlaps no gold entity;
- `type`: an entity of the other side has its borders and another type;
- `boundary`: it overlaps an entity of its type on the other side, which has other borders;
- `both`: what it overlaps on the other side has other borders and other types.

One error is one gold entity that was not found as it is, or one spurious prediction. Predictions of
the kinds `type`, `boundary` and `both` are no errors of their own: the gold entities that they
overlap are.
"""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import polars as pl

from bioner.data.instances import Instance, Prediction
from bioner.data.tags import OUTSIDE, Span, spans
from bioner.io.tables import Schema
from bioner.scoring.labels import PAPER_CUTS, bucket_names, bucket_of
from bioner.scoring.pairs import text_of

KINDS = ("missed", "spurious", "boundary", "type", "both")
CORRECT, MISSED, SPURIOUS = "correct", "missed", "spurious"
OVERLAPPING = (
    CORRECT,
    "type",
    "boundary",
    "both",
)  # of what overlaps several, the first of these is the kind
OF_GOLD = (CORRECT, MISSED, "boundary", "type", "both")
ERRORS: Schema = {
    "dataset": pl.String,
    "model": pl.String,
    "decoding": pl.String,
    "seed": pl.Int64,
    "length": pl.String,
    "gold_entities": pl.Int64,
    **dict.fromkeys(OF_GOLD, pl.Int64),
    "predictions": pl.Int64,
    SPURIOUS: pl.Int64,
}

Mention = tuple[str, str]  # lower-cased text and type


class ReportedSystem(NamedTuple):
    """Whose one prediction file is, within a dataset."""

    model: str
    decoding: str
    seed: int


@dataclass(frozen=True, slots=True)
class Disagreements:
    """What the systems of one dataset have otherwise than gold.

    `counts` has a row a system and length, and one of all lengths (ERRORS): gold entities by their
    own length, predictions by theirs. `sentences` are those in which a system errs, as `[id, text,
    gold, answers]`: tokens with spaces between; four numbers a gold entity (start, end, type,
    known). An answer is `[systems, errors, predictions]`: systems that answer the same share it;
    two numbers an entity not found (its place in `gold`, kind), and five a wrong prediction (start,
    end, type, known, kind). Types, kinds and systems are places in `types`, KINDS and `systems`;
    `known` is 1 where train holds the mention. A closed corpus has no sentence here. `silent` are
    places of systems that predict nothing in the whole test set: they miss all there is, which
    takes no sentence to show.
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


@dataclass(frozen=True, slots=True)
class _Tally:
    """How many gold entities and predictions of a system have a kind and a length."""

    gold: Counter[tuple[str, str]] = field(default_factory=Counter)
    predicted: Counter[tuple[str, str]] = field(default_factory=Counter)

    def row(self, length: str, buckets: Sequence[str]) -> dict[str, int | str]:
        """The row of some buckets together."""
        of_gold = {kind: sum(self.gold[kind, bucket] for bucket in buckets) for kind in OF_GOLD}
        predictions = sum(
            count for (_, bucket), count in self.predicted.items() if bucket in buckets
        )
        spurious = sum(self.predicted[SPURIOUS, bucket] for bucket in buckets)
        entities = sum(of_gold.values())
        return {
            "length": length,
            "gold_entities": entities,
            **of_gold,
            "predictions": predictions,
            SPURIOUS: spurious,
        }


@dataclass(frozen=True, slots=True)
class _Numbers:
    """Spans as numbers: start, end, place of the type, and whether train holds the mention."""

    types: dict[str, int]
    train: Collection[Mention] | None

    def of(self, tokens: Sequence[str], span: Span) -> tuple[int, int, int, int]:
        """The four numbers of a span; a type that is met first takes the next place."""
        known = self.train is not None and (text_of(tokens, span), span.type) in self.train
        return span.start, span.end, self.types.setdefault(span.type, len(self.types)), int(known)


def mentions(instances: Sequence[Instance]) -> frozenset[Mention]:
    """The mentions that a training set holds."""
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
    """The errors of every system on the same instances, in whose order its predictions stand."""
    silent = [place for place, rows in enumerate(predictions.values()) if _is_silent(rows)]
    tallies = [_Tally() for _ in predictions]
    numbers = _Numbers({}, train)
    sentences = []
    for instance, *answered in zip(instances, *predictions.values(), strict=True):
        gold = spans(instance.tags)
        lengths = _lengths(gold, cuts)
        answers: dict[tuple[tuple[int, ...], tuple[int, ...]], list[int]] = {}
        for place, prediction in enumerate(answered):
            same = prediction.tags == instance.tags
            found = gold if same else spans(prediction.tags)
            of_gold, of_found = kinds(gold, found)
            tallies[place].gold.update(zip(of_gold, lengths, strict=True))
            tallies[place].predicted.update(
                zip(of_found, lengths if same else _lengths(found, cuts), strict=True)
            )
            if same or closed or place in silent:
                continue
            errors = [
                (left, KINDS.index(kind)) for left, kind in enumerate(of_gold) if kind != CORRECT
            ]
            wrong = [
                (*numbers.of(instance.tokens, span), KINDS.index(kind))
                for span, kind in zip(found, of_found, strict=True)
                if kind != CORRECT
            ]
            answers.setdefault((_flat(errors), _flat(wrong)), []).append(place)
        if answers:
            entities = _flat([numbers.of(instance.tokens, span) for span in gold])
            told = [[who, errors, wrong] for (errors, wrong), who in answers.items()]
            sentences.append([instance.id, " ".join(instance.tokens), entities, told])
    buckets = bucket_names(cuts)
    strata = {"all": buckets, **{bucket: [bucket] for bucket in buckets}}
    rows = [
        {"dataset": dataset, **system._asdict(), **tally.row(length, among)}
        for system, tally in zip(predictions, tallies, strict=True)
        for length, among in strata.items()
    ]
    return Disagreements(
        dataset=dataset,
        closed=closed,
        cuts=cuts,
        systems=list(predictions),
        silent=silent,
        types=list(numbers.types),
        with_train=train is not None,
        counts=pl.DataFrame(rows, schema=ERRORS),
        sentences=sentences,
    )


def kinds(gold: Sequence[Span], predicted: Sequence[Span]) -> tuple[list[str], list[str]]:
    """The kind of every gold entity, and that of every prediction; both stand left to right,
    without overlaps.
    """
    if gold == predicted:
        return [CORRECT] * len(gold), [CORRECT] * len(gold)
    of_gold, of_predicted = [MISSED] * len(gold), [SPURIOUS] * len(predicted)
    for left, right in _overlaps(gold, predicted):
        kind = _kind(gold[left], predicted[right])
        of_gold[left], of_predicted[right] = (
            _first(of_gold[left], kind),
            _first(of_predicted[right], kind),
        )
    return of_gold, of_predicted


def _overlaps(gold: Sequence[Span], predicted: Sequence[Span]) -> Iterator[tuple[int, int]]:
    left = right = 0
    while left < len(gold) and right < len(predicted):
        if gold[left].start < predicted[right].end and predicted[right].start < gold[left].end:
            yield left, right
        if gold[left].end <= predicted[right].end:
            left += 1
        else:
            right += 1


def _kind(gold: Span, predicted: Span) -> str:
    same_borders = (gold.start, gold.end) == (predicted.start, predicted.end)
    if gold.type == predicted.type:
        return CORRECT if same_borders else "boundary"
    return "type" if same_borders else "both"


def _first(known: str, found: str) -> str:
    return found if known not in OVERLAPPING else min(known, found, key=OVERLAPPING.index)


def _lengths(entities: Sequence[Span], cuts: Sequence[int]) -> list[str]:
    return [bucket_of(span.length, cuts) for span in entities]


def _is_silent(predictions: Sequence[Prediction]) -> bool:
    return all(tag == OUTSIDE for prediction in predictions for tag in prediction.tags)


def _flat(rows: Sequence[tuple[int, ...]]) -> tuple[int, ...]:
    return tuple(number for row in rows for number in row)
