"""What a scorer counts in each instance: sums give scores, sums over resamples give intervals."""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
T = TypeVar("T")
COUNTS = ("correct", "incorrect", "partial", "missed", "spurious")


@dataclass(frozen=True, slots=True)
class Tally:
    """One row of the score table before anything is added up; arrays hold one value per instance.

    `recall_credit` is what gold entities earn (the numerator of recall), `precision_credit` what
    predictions earn (the numerator of precision): the same array if a rule matches one to one.
    `possible` counts gold entities and `actual` predictions; NaN in `actual` and in
    `precision_credit` if the row only has a recall. `counts` are those of COUNTS that the rule has.
    `gold` counts gold entities if `possible` counts anything else.
    """

    scorer: str
    scheme: str
    stratum: str
    label: str
    recall_credit: Array
    possible: Array
    precision_credit: Array
    actual: Array
    counts: Mapping[str, Array] = field(default_factory=dict)
    gold: Array | None = None

    @property
    def entities(self) -> Array:
        """Gold entities per instance."""
        return self.possible if self.gold is None else self.gold

    def arrays(self) -> tuple[Array, Array, Array, Array]:
        """Return the arguments of `prf`, one value per instance."""
        return self.recall_credit, self.possible, self.precision_credit, self.actual


@dataclass(frozen=True, slots=True)
class Macro:
    """A row that is the mean of the rows of all entity types."""

    scorer: str
    scheme: str
    parts: tuple[Tally, ...]
    stratum: str = "all"
    label: str = "macro"


ScoreRow = Tally | Macro


def counted(items: Iterable[T], of: Callable[[T], float]) -> Array:
    """Return one number per item."""
    return np.array([of(item) for item in items], dtype=float)


def by_length(entities: Iterable[tuple[int, int]], cuts: Sequence[int], instances: int) -> Array:
    """Count entities by length, buckets x instances.

    Args:
        entities: Number of the instance and length in tokens, for each entity.
        cuts: As for `bucket_names`, in whose order the buckets are.
    """
    table = np.zeros((len(cuts) + 1, instances))
    for instance, length in entities:
        table[bisect_left(cuts, length), instance] += 1
    return table


def credited(
    scorer: str, scheme: str, stratum: str, label: str, counts: Mapping[str, Array], credit: float
) -> Tally:
    """Build the row of a rule that has all COUNTS; a partial match earns `credit` on both sides."""
    correct, incorrect, partial, missed, spurious = (counts[name] for name in COUNTS)
    met = correct + incorrect + partial
    credits = correct + credit * partial
    possible, actual = met + missed, met + spurious
    return Tally(scorer, scheme, stratum, label, credits, possible, credits, actual, counts)


def matched(scorer: str, scheme: str, hits: Array, possible: Array, actual: Array) -> Tally:
    """Build the overall row of a rule that matches one to one, or not at all."""
    return Tally(scorer, scheme, "all", "all", hits, possible, hits, actual, {"correct": hits})


def divided(part: Array, whole: Array, otherwise: float) -> Array:
    """Divide; `otherwise` if the divisor is 0."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(np.equal(whole, 0), otherwise, np.divide(part, whole))


def prf(recall_credit: Array, possible: Array, precision_credit: Array, actual: Array) -> Array:
    """Compute precision, recall and F1 in percent (SemEval 2013 task 9) from totals of one shape.

    An empty denominator makes that ratio 0, as in nervaluate. If there is neither gold nor
    prediction, all three are undefined (NaN). If `actual` is NaN, there is a recall only.

    Returns:
        3 x the shape of the totals.
    """
    precision = divided(100 * precision_credit, actual, 0.0)
    recall = divided(100 * recall_credit, possible, 0.0)
    f1 = divided(2 * precision * recall, precision + recall, 0.0)
    nothing = (possible == 0) & ~(np.asarray(actual) > 0)
    return np.where(nothing, np.nan, np.stack([precision, recall, f1]))
