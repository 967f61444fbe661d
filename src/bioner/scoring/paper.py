"""The paper's own scoring, rebuilt only for comparison with its Tables III and V.

Its evaluator, an old script, differs from nervaluate in two rules, which are two switches here; its
length rows do not score entities by length but windows cut around gold entities. Neither is a sound
score: see docs/reproduction.md.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from bioner.data.tags import Span
from bioner.scoring.labels import PAPER_CUTS, bucket_names, bucket_of
from bioner.scoring.pairs import Pair
from bioner.scoring.tally import COUNTS, Array, Tally, by_length, credited

SCORER = "paper"


class Match(NamedTuple):
    """Numbers of predictions by how they match the gold, and of gold entities without a match."""

    correct: int = 0
    other_type: int = 0
    overlapping: int = 0
    missed: int = 0
    spurious: int = 0


def match(
    gold: Sequence[Span], predicted: Sequence[Span], half_open: bool = True, reuse: bool = True
) -> Match:
    """Match flat spans, left to right. Without both switches the counts are nervaluate's.

    Args:
        half_open: Overlaps ignore the last token of either span, so single tokens overlap nothing.
        reuse: A gold entity may be matched by several predictions; each adds to those possible.
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
    lengths = [(number, span.length) for number, pair in enumerate(pairs) for span in pair.gold]
    by_bucket = by_length(lengths, PAPER_CUTS, len(pairs))
    gold = dict(zip(matches, [by_bucket.sum(0), *by_bucket], strict=True))
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
            tally = credited(SCORER, scheme, stratum, "all", counts, credit=0.5)
            yield replace(tally, gold=gold[stratum])


def _by_window(pair: Pair) -> dict[str, Array]:
    """Score the window of each gold entity, and each token outside gold, as a sentence of its own.

    Predictions are cut at a window's borders. Tokens outside gold count in the first bucket.

    Returns:
        For each length bucket, the numbers of `Match`.
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
