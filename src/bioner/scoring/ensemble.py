"""Several systems as one: spans by majority vote, all spans, or those that all systems predict."""

from collections import Counter
from collections.abc import Sequence
from typing import Literal

from bioner.data.instances import Instance, Prediction
from bioner.data.tags import resolve_overlaps, spans, tags_from_spans

Combination = Literal["vote", "union", "intersection"]


def combine(
    gold: Sequence[Instance], members: Sequence[Sequence[Prediction]], combination: Combination
) -> list[Prediction]:
    """Combine the members' predictions, which are in the gold's order.

    Args:
        combination: `vote`: spans that more than half of the members predict. `union`: all spans;
            of overlapping ones the longer stays, then the leftmost, then the earlier member's.
            `intersection`: spans that all members predict. Spans are equal if their boundaries and
            types are.
    """
    needed = len(members) if combination == "intersection" else len(members) // 2 + 1
    combined = []
    for instance, *predictions in zip(gold, *members, strict=True):
        votes = Counter(span for prediction in predictions for span in spans(prediction.tags))
        if combination == "union":
            chosen = resolve_overlaps(list(votes))[0]
        else:  # no two of them overlap: a member that predicts one does not predict the other
            chosen = [span for span, count in votes.items() if count >= needed]
        combined.append(Prediction(instance.id, tags_from_spans(chosen, len(instance.tokens))))
    return combined
