"""What a scorer counts, an instance at a time: added up they are scores, added up again and again,
intervals.
"""

from collections.abc import Callable, Mapping, Sequence, Sized
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bioner.scoring.pairs import Pair

Array = NDArray[Any]
COUNTS = ("correct", "incorrect", "partial", "missed", "spurious")


@dataclass(frozen=True, slots=True)
class Tally:
    """One row of the score table before anything is added up; every array holds one value an
    instance.

    `recall_credit` is what gold entities earn (the numerator of recall), `precision_credit` what
    predictions earn (the numerator of precision): the same array if a rule matches one to one. A
    row without the latter and `actual` only has a recall. `counts` are those of COUNTS that the
    rule has.
    """

    scorer: str
    scheme: str
    stratum: str
    label: str
    recall_credit: Array
    possible: Array
    precision_credit: Array | None = None
    actual: Array | None = None
    counts: Mapping[str, Array] = field(default_factory=dict)

    def arrays(self) -> tuple[Array, Array, Array, Array]:
        """What precision, recall and F1 are made of: recall credit, possible, precision credit,
        actual.
        """
        if self.precision_credit is None or self.actual is None:
            raise ValueError(f"{self.scorer} {self.stratum} only has a recall")
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


def counted(pairs: Sequence[Pair], of: Callable[[Pair], float]) -> Array:
    """One number a pair, as an array."""
    return np.array([of(pair) for pair in pairs], dtype=float)


def sizes(sets: Sequence[Sized]) -> Array:
    """How many things each set holds, as an array."""
    return np.array([len(each) for each in sets], dtype=float)


def matched(
    scorer: str, scheme: str, hits: Array, possible: Array, actual: Array, stratum: str = "all"
) -> Tally:
    """The overall row of a rule that matches one to one, or not at all."""
    return Tally(scorer, scheme, stratum, "all", hits, possible, hits, actual, {"correct": hits})


def share(part: Array, whole: Array) -> Array:
    """Percentages; 0 where there is nothing to be a share of."""
    return divided(100 * part, whole, 0.0)


def divided(part: Array, whole: Array, otherwise: float) -> Array:
    """Quotients, `otherwise` where the divisor is 0."""
    shape = np.broadcast_shapes(np.shape(part), np.shape(whole))
    quotients: Array = np.divide(
        part, whole, out=np.full(shape, otherwise), where=np.asarray(whole) > 0
    )
    return quotients


def prf(
    recall_credit: Array, possible: Array, precision_credit: Array, actual: Array
) -> tuple[Array, Array, Array]:
    """Precision, recall and F1 in percent (SemEval 2013 task 9), of totals in arrays of one shape.

    An empty denominator gives 0 for the one ratio, as in nervaluate; where there is neither gold
    nor prediction all three are undefined, NaN.
    """
    precision, recall = share(precision_credit, actual), share(recall_credit, possible)
    f1 = divided(2 * precision * recall, precision + recall, 0.0)
    nothing = (possible == 0) & (actual == 0)
    precision, recall, f1 = (np.where(nothing, np.nan, value) for value in (precision, recall, f1))
    return precision, recall, f1
