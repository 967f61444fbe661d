"""The measures that systems are compared by, as functions of counts."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from bioner.comparison.counts import Unit
from bioner.scoring.tally import Array, prf


class Measure(NamedTuple):
    """F1 or recall of one unit, or the difference between two (`minus`)."""

    name: str
    ratio: int  # of `prf`: 1 is recall, 2 is F1
    unit: Unit
    minus: Unit | None = None

    @property
    def stratum(self) -> str:
        return f"{self.unit.stratum} - {self.minus.stratum}" if self.minus else self.unit.stratum

    @property
    def family(self) -> str:
        return family_of(self.name, self.stratum, self.unit.label)


def family_of(measure: str, stratum: str, label: str) -> str:
    """Name the measures whose tests are adjusted together with those of this one."""
    if label != "all":
        return f"{measure} by type"
    return measure if stratum == "all" else f"{measure} by length"


def measures_of(units: Sequence[Unit]) -> list[Measure]:
    """Return every measure of these units.

    Strict F1 and recall overall, by length, and in the last length bucket minus the first; strict
    F1 by type; F1 overall under every other scheme.
    """
    lengths = [unit for unit in units if unit.stratum != "all"]
    contrast = [(lengths[-1], lengths[0])] if len(lengths) > 1 else []
    found = []
    for name, ratio in (("f1", 2), ("recall", 1)):
        by_length = [(Unit(), None), *((unit, None) for unit in lengths), *contrast]
        found += [Measure(name, ratio, *each) for each in by_length]
    types = [unit for unit in units if unit.label != "all"]
    found += [Measure("f1", 2, unit) for unit in types]
    others = [unit for unit in units if unit.scheme != "strict"]
    return found + [Measure(f"{u.scheme}_f1", 2, u) for u in others]


class Scores:
    """Computes measures from counts."""

    def __init__(self, units: Sequence[Unit], measures: Sequence[Measure]) -> None:
        place = {unit: number for number, unit in enumerate(units)}
        self.measures = measures
        self._units = [place[measure.unit] for measure in measures]
        self._minus = [place.get(measure.minus, -1) for measure in measures]  # type: ignore[arg-type]
        # Other schemes may count tokens or sets of texts; entities are those of the strict one.
        self._entities = [place[measure.unit._replace(scheme="strict")] for measure in measures]
        self._ratios = [measure.ratio for measure in measures]
        self._contrasts = np.array([measure.minus is not None for measure in measures])

    def of(self, counts: Array) -> Array:
        """Compute every measure in percent, … x measures, from counts, … x units x 4.

        Undefined values are NaN; so is recall without gold.
        """
        precision, recall, f1 = prf(*np.moveaxis(counts, -1, 0))
        recall = np.where(counts[..., 1] == 0, np.nan, recall)
        ratios = np.stack([precision, recall, f1])
        values = ratios[self._ratios, ..., self._units]
        minus = ratios[self._ratios, ..., self._minus]
        contrasts = self._contrasts.reshape(-1, *[1] * (values.ndim - 1))
        return np.moveaxis(values - np.where(contrasts, minus, 0.0), 0, -1)

    def active(self, counts: Array) -> Array:
        """Return which documents count in each measure, documents x measures.

        They hold gold or a prediction; for recall, gold.
        """
        gold, predicted = counts[..., 1] > 0, counts[..., 3] > 0
        counting = np.stack([gold, gold, gold | predicted])
        values = counting[self._ratios, :, self._units]
        minus = counting[self._ratios, :, self._minus] & self._contrasts[:, None]
        both: Array = (values | minus).T
        return both

    def sizes(self, gold: Array) -> Array:
        """Return the size of each measure in entities, whatever its scheme counts; of a contrast
        the smaller of its two strata.

        Args:
            gold: A number per unit.
        """
        sizes, others = gold[self._entities], gold[self._minus]
        smaller: Array = np.where(self._contrasts, np.minimum(sizes, others), sizes)
        return smaller
