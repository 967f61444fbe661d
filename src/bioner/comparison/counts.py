"""Counts per document, from which every score and its variance is computed."""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from bioner.data.instances import Instance, Prediction, entity_types
from bioner.scoring.conventions import convention_tallies
from bioner.scoring.labels import bucket_names
from bioner.scoring.pairs import Pair, pair_up
from bioner.scoring.paper import match
from bioner.scoring.resampling import Clusters
from bioner.scoring.tally import Array, Tally, credited


class Unit(NamedTuple):
    """What is counted: entities by one rule, of one length and type."""

    scheme: str = "strict"
    stratum: str = "all"
    label: str = "all"


@dataclass(frozen=True, slots=True)
class SystemCounts:
    """A system's counts on one test set.

    Attributes:
        model: Its name; None if it is not known.
        decoding: How it writes tags; None if it is not known.
        runs: Runs x documents x units x 4: credit for recall, gold entities, credit for precision,
            predictions. One run per training seed.
        deterministic: Whether another training would give the same predictions.
        members: Other models whose weights it uses.
    """

    model: str | None
    decoding: str | None
    runs: Array
    deterministic: bool = False
    members: frozenset[str] = frozenset()

    def shares_weights(self, other: "SystemCounts") -> bool:
        """Return whether a run of one and the same run of the other use the same weights."""
        mine, theirs = ({*system.members, system.model} - {None} for system in (self, other))
        return bool(mine & theirs) and not (self.deterministic or other.deterministic)


def units_of(gold: Sequence[Instance], cuts: Sequence[int]) -> list[Unit]:
    """Return the units in the order in which `count_run` counts them."""
    strata = [Unit(stratum=name) for name in bucket_names(cuts)]
    types = [Unit(label=name) for name in entity_types(gold)]
    return [Unit(), *strata, *types, Unit("relaxed"), *map(Unit, CONVENTIONS.values())]


OVERALL = (Unit(), Unit("relaxed"))
# The other conventions under which systems are compared, by scorer and scheme.
CONVENTIONS = {
    ("string-set", "strict"): "string_set",
    ("any-overlap", "type"): "any_overlap",
    ("one-character", "strict"): "one_character",
    ("token", "strict"): "token",
    ("lenient", "right-boundary"): "right_boundary",
    ("lenient", "overlap"): "overlap",
}


def count_run(
    gold: Sequence[Instance], run: Sequence[Prediction], clusters: Clusters, cuts: Sequence[int]
) -> Array:
    """Count one run by every unit.

    Returns:
        Documents x units x 4, as in `SystemCounts.runs`.
    """
    pairs = pair_up(gold, run)
    relaxed = _relaxed(pairs)
    others = {
        CONVENTIONS[tally.scorer, tally.scheme]: tally
        for tally in convention_tallies(pairs, relaxed)
        if (tally.scorer, tally.scheme) in CONVENTIONS
    }
    tallies = [relaxed, *(others[name] for name in CONVENTIONS.values())]
    by_instance = [
        *_strict(pairs, cuts, entity_types(gold)),
        *(np.stack(tally.arrays(), axis=-1) for tally in tallies),
    ]
    return clusters.sums(np.stack(by_instance, axis=1))


def count_overall(gold: Sequence[Instance], run: Sequence[Prediction], clusters: Clusters) -> Array:
    """Count one run by the units OVERALL only, documents x units x 4."""
    pairs = pair_up(gold, run)
    relaxed = np.stack(_relaxed(pairs).arrays(), axis=-1)
    return clusters.sums(np.stack([next(_strict(pairs, (), ())), relaxed], axis=1))


def _strict(pairs: Sequence[Pair], cuts: Sequence[int], types: Sequence[str]) -> Iterator[Array]:
    """Yield strict counts, instances x 4: of all entities, of each length, and of each type."""
    correct = [set(pair.gold).intersection(pair.predicted) for pair in pairs]
    gold, predicted = [pair.gold for pair in pairs], [pair.predicted for pair in pairs]
    place = {name: number for number, name in enumerate(types, 2 + len(cuts))}
    # Lists: to count in an array takes several times as long.
    table = [[[0] * len(pairs) for _ in range(2 + len(cuts) + len(types))] for _ in range(3)]
    for number, sides in enumerate(zip(correct, gold, predicted, strict=True)):
        for side, found in zip(table, sides, strict=True):
            side[0][number] = len(found)
            for span in found:
                side[1 + bisect_left(cuts, span.length)][number] += 1
                if span.type in place:  # a predicted type may have no gold
                    side[place[span.type]][number] += 1
    credit, possible, actual = np.array(table, dtype=float)
    return iter(np.stack([credit, possible, credit, actual], axis=-1))


def _relaxed(pairs: Sequence[Pair]) -> Tally:
    """Count as nervaluate's partial scheme does."""
    matches = np.array(
        [match(pair.gold, pair.predicted, half_open=False, reuse=False) for pair in pairs],
        dtype=float,
    )
    correct, other_type, overlapping, missed, spurious = matches.T
    counts = {
        "correct": correct + other_type,
        "incorrect": np.zeros(len(pairs)),
        "partial": overlapping,
        "missed": missed,
        "spurious": spurious,
    }
    return credited("semeval", "relaxed", "all", "all", counts, credit=0.5)
