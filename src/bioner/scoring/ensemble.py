"""Several systems as one: spans by majority vote, all of them, or those that all agree on."""

from collections import Counter
from collections.abc import Sequence
from typing import Literal, get_args

from bioner.data.instances import Instance, Prediction
from bioner.data.tags import Span, resolve_overlaps, spans, tags_from_spans

Combination = Literal["vote", "union", "intersection"]
COMBINATIONS: tuple[str, ...] = get_args(Combination)


def combine(
    gold: Sequence[Instance], members: Sequence[Sequence[Prediction]], combination: Combination
) -> list[Prediction]:
    """Predictions of the members, which stand in the gold's order, put together.

    `vote`: spans that more than half of the members predict. `union`: all spans; of those that
    overlap the longer stays, then the leftmost, then the earlier member's. `intersection`: spans
    that all members predict. A span is its boundaries and its type.
    """
    combined = []
    for instance, *predictions in zip(gold, *members, strict=True):
        found = [span for prediction in predictions for span in spans(prediction.tags)]
        kept = _kept(found, len(members), combination)
        combined.append(Prediction(instance.id, tags_from_spans(kept, len(instance.tokens))))
    return combined


def _kept(found: Sequence[Span], members: int, combination: Combination) -> list[Span]:
    votes = Counter(found)
    match combination:
        case (
            "vote"
        ):  # no two of them overlap: a member that predicts one does not predict the other
            return [span for span, count in votes.items() if 2 * count > members]
        case "union":
            return resolve_overlaps(list(votes))[0]
        case "intersection":
            return [span for span, count in votes.items() if count == members]
