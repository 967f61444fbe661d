"""Gold and predicted entities of an instance, which all scorers compare."""

from collections.abc import Sequence
from dataclasses import dataclass

from bioner.data.instances import Instance, Prediction
from bioner.data.tags import Span, spans


@dataclass(frozen=True, slots=True)
class Pair:
    """An instance with gold and predicted entities, both left to right and without overlaps."""

    instance: Instance
    tags: list[str]
    gold: list[Span]
    predicted: list[Span]


def pair_up(gold: Sequence[Instance], predictions: Sequence[Prediction]) -> list[Pair]:
    """Pair instances with their predictions, which are in the same order."""
    return [
        Pair(instance, prediction.tags, spans(instance.tags), spans(prediction.tags))
        for instance, prediction in zip(gold, predictions, strict=True)
    ]


def text_of(tokens: Sequence[str], span: Span) -> str:
    """Return the lower-cased words of an entity: mentions with this text are the same."""
    return " ".join(tokens[span.start : span.end]).lower()
