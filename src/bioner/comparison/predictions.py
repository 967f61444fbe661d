"""Compare two predictions of the same instances: the entities that differ, and strict F1."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from bioner.comparison.components import difference_of, scores_of
from bioner.comparison.counts import OVERALL, SystemCounts, Unit, count_overall
from bioner.comparison.estimates import LEVEL, quantile
from bioner.comparison.measures import Measure, Scores
from bioner.data.instances import Instance, Prediction
from bioner.data.tags import spans
from bioner.scoring.resampling import clusters_of

STRICT = Scores(OVERALL, [Measure("f1", 2, Unit())])
MOST_ENTITIES = 0.005  # share that may differ
MOST_POINTS = 0.2  # of strict F1


class PredictionAgreement(NamedTuple):
    """How a system's predictions differ from another's on the same instances.

    Attributes:
        entities: Number of entities predicted by either, summed.
        differing: Those that only one of the two predicts, by span and type.
        difference: Strict F1 minus the other's, in points.
        ci_low: Lower end of its 95 % interval; None with fewer than two documents with entities.
        ci_high: Its upper end.
    """

    entities: int
    differing: int
    difference: float
    ci_low: float | None
    ci_high: float | None

    @property
    def share(self) -> float:
        """The share of entities that differ."""
        return self.differing / max(1, self.entities)

    @property
    def fault(self) -> str | None:
        """Why one cannot replace the other; None if it can.

        Few differing documents make a wide interval: it shows no loss of MOST_POINTS, but cannot
        exclude one.
        """
        found = []
        if self.share > MOST_ENTITIES:
            found.append(f"{100 * self.share:.2f} % of the entities differ")
        ends, interval = [self.difference], ""
        if self.ci_low is not None and self.ci_high is not None:
            ends = [self.ci_low, self.ci_high]
            interval = f", 95 % interval {self.ci_low:+.2f} to {self.ci_high:+.2f}"
        if max(map(abs, ends)) > MOST_POINTS:
            found.append(
                f"a difference of more than {MOST_POINTS:g} points in strict F1 is not excluded"
                f" ({self.difference:+.2f}{interval})"
            )
        return " and ".join(found) or None


def compare_predictions(
    gold: Sequence[Instance], one: Sequence[Prediction], other: Sequence[Prediction]
) -> PredictionAgreement:
    """Compare a system's predictions with another's; the interval is paired by document.

    Args:
        gold: The instances, at least one.
        one: Predictions of the system, in the same order.
        other: Predictions of the other system.
    """
    found = [
        {(place, span) for place, each in enumerate(side) for span in spans(each.tags)}
        for side in (one, other)
    ]
    clusters = clusters_of(gold)
    runs = [count_overall(gold, side, clusters) for side in (one, other)]
    mine, theirs = (SystemCounts(None, None, run[None], deterministic=True) for run in runs)
    active = STRICT.active(runs[0]) | STRICT.active(runs[1])
    scores = scores_of(mine, STRICT), scores_of(theirs, STRICT)
    paired = difference_of((mine, theirs), scores, active)
    half = quantile(LEVEL, paired.df) * np.sqrt(paired.variance)
    (value,), (low,), (high,) = (
        np.nan_to_num(paired.value).tolist(),
        (paired.value - half).tolist(),
        (paired.value + half).tolist(),
    )
    known = bool(paired.df_documents[0] >= 1 and np.isfinite(half[0]))
    return PredictionAgreement(
        len(found[0]) + len(found[1]),
        len(found[0] ^ found[1]),
        value,
        low if known else None,
        high if known else None,
    )
