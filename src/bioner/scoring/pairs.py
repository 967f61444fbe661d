"""Gold and prediction of one instance side by side: what every scorer looks at."""

from collections.abc import Sequence
from dataclasses import dataclass

from bioner.data.instances import Instance, Prediction
from bioner.data.tags import Span, spans


@dataclass(frozen=True, slots=True)
class Pair:
    """An instance, its gold entities and those predicted, both left to right and without
    overlaps.
    """

    instance: Instance
    tags: list[str]
    gold: list[Span]
    predicted: list[Span]


def pair_up(gold: Sequence[Instance], predictions: Sequence[Prediction]) -> list[Pair]:
    """Every instance with its prediction; they stand in the same order."""
    return [
        Pair(instance, prediction.tags, spans(instance.tags), spans(prediction.tags))
        for instance, prediction in zip(gold, predictions, strict=True)
    ]


def text_of(tokens: Sequence[str], span: Span) -> str:
    """An entity's words, lower-cased: by this text mentions are the same."""
    return " ".join(tokens[span.start : span.end]).lower()


def entity_types_of(pairs: Sequence[Pair]) -> list[str]:
    """Types that are in gold or predictions, in alphabetical order."""
    return sorted({span.type for pair in pairs for span in (*pair.gold, *pair.predicted)})
