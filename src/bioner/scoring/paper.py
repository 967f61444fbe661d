"""The paper's own scoring, rebuilt so that its Tables III and V have something like beside them.
For comparison only.

Its evaluator, an old script, differs from nervaluate in two rules, here two switches; its length
rows do not score entities by length but windows cut around gold entities. Neither is a sound score:
see docs/reproduction.md.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from bioner.data.tags import Span
from bioner.scoring.labels import PAPER_CUTS, bucket_names, bucket_of
from bioner.scoring.pairs import Pair
from bioner.scoring.tally import COUNTS, Array, Tally, credited

SCORER = "paper"


class Match(NamedTuple):
    """Predictions by how they met the gold, and gold entities that none met."""

    correct: int = 0
    other_type: int = 0
    overlapping: int = 0
    missed: int = 0
    spurious: int = 0


def match(
    gold: Sequence[Span], predicted: Sequence[Span], half_open: bool = True, reuse: bool = True
) -> Match:
    """Match flat spans, left to right.

    `half_open`: an overlap does not see the last token of either span, so that single tokens
    overlap nothing. `reuse`: a gold entity may be matched by several predictions, each of which
    counts as one that was possible. Both are the old evaluator's; with neither the counts are
    nervaluate's.
    """
    used: set[int] = set()
    correct = other_type = overlapping = spurious = 0
    for span in predicted:
        for number, entity in enumerate(gold):
            if number in used and not reuse:
                continue
            if span[:2] == entity[:2]:
                correct += span.type == entity.type
                other_type += span.type != entity.type
            elif max(span.start, entity.start) < min(span.end, entity.end) - half_open:
                overlapping += 1
            else:
                continue
            used.add(number)
            break
        else:
            spurious += 1
    return Match(correct, other_type, overlapping, len(gold) - len(used), spurious)


def paper_tallies(pairs: Sequence[Pair]) -> Iterator[Tally]:
    """Yield strict and relaxed rows as the paper computed them, overall and by length window."""
    matches = {"all": np.array([match(pair.gold, pair.predicted) for pair in pairs], dtype=float)}
    by_window = [_by_window(pair) for pair in pairs]
    for name in bucket_names(PAPER_CUTS):
        matches[name] = np.array([windows[name] for windows in by_window])
    for scheme in ("strict", "relaxed"):
        for stratum, found in matches.items():
            correct, other_type, overlapping, missed, spurious = found.T
            none = np.zeros_like(correct)
            met = (
                (correct, other_type + overlapping, none)
                if scheme == "strict"
                else (correct + other_type, none, overlapping)
            )
            counts = dict(zip(COUNTS, (*met, missed, spurious), strict=True))
            yield credited(SCORER, scheme, stratum, "all", counts, credit=0.5)


def _by_window(pair: Pair) -> dict[str, Array]:
    """The paper's length buckets: each gold entity's window is scored alone, as is every token
    outside gold.

    Predictions are cut at a window's borders. A token outside gold is a sentence of one token in
    the first bucket.
    """
    totals = {name: np.zeros(len(Match._fields)) for name in bucket_names(PAPER_CUTS)}
    outside = sum(span.length for span in pair.predicted)
    for entity in pair.gold:
        inside = [
            Span(max(span.start, entity.start), min(span.end, entity.end), span.type)
            for span in pair.predicted
            if span.start < entity.end and entity.start < span.end
        ]
        outside -= sum(span.length for span in inside)
        totals[bucket_of(entity.length, PAPER_CUTS)] += match([entity], inside)
    totals[bucket_of(1, PAPER_CUTS)] += Match(spurious=outside)
    return totals
