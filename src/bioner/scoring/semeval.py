"""SemEval 2013 task 9 by nervaluate (strict, relaxed, exact, type): overall, by type, macro, and by
entity length.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from nervaluate import Evaluator
from nervaluate.entities import EvaluationIndices, EvaluationResult

from bioner.errors import InputError
from bioner.scoring.labels import RESERVED, bucket_names, bucket_of
from bioner.scoring.pairs import Pair, entity_types_of
from bioner.scoring.tally import COUNTS, Array, Macro, ScoreRow, Tally, prf

SCORER = "semeval"
# Our name of a scheme, nervaluate's, and the credit of a partial match. "Relaxed" is the paper's
# word for SemEval's partial scheme: boundaries alone, half credit for any overlap (section II.C.3,
# Table V).
SCHEMES = (
    ("strict", "strict", 0.0),
    ("relaxed", "partial", 0.5),
    ("exact", "exact", 0.0),
    ("type", "ent_type", 0.0),
)
BY_LENGTH = ("strict", "relaxed")
# What nervaluate would say of tags that are all O, instead of {}.
NOTHING: dict[str, Any] = {
    "overall": defaultdict(EvaluationResult),
    "overall_indices": defaultdict(EvaluationIndices),
    "entities": {},
    "entity_indices": {},
}


def semeval_tallies(pairs: Sequence[Pair], length_cuts: Sequence[int]) -> Iterator[ScoreRow]:
    """Rows of every scheme: overall; strict and relaxed by length; every entity type; their mean.

    The counts are nervaluate's; its precision, recall and F1 are held against those computed from
    the counts.
    """
    types = entity_types_of(pairs)
    for name in RESERVED:
        if name in types:
            remedy = f"`{name}` names a row over all types."
            raise InputError(
                "gold or predictions", f"the entity type {name!r}", "another name", remedy
            )
    true, predicted = [pair.instance.tags for pair in pairs], [pair.tags for pair in pairs]
    results = Evaluator(true, predicted, tags=types, loader="list").evaluate() if types else NOTHING
    for scheme, theirs, credit in SCHEMES:
        indices = results["overall_indices"][theirs]
        yield _tally(scheme, "all", results["overall"][theirs], indices, credit, len(pairs))
        if scheme in BY_LENGTH:
            yield from _by_length(scheme, pairs, indices, credit, length_cuts)
        of_types = tuple(
            _tally(
                scheme, type_, results["entities"][type_][theirs], found[theirs], credit, len(pairs)
            )
            for type_, found in sorted(results["entity_indices"].items())
        )
        yield from of_types
        yield Macro(SCORER, scheme, of_types)


def _tally(scheme: str, label: str, result: Any, indices: Any, credit: float, size: int) -> Tally:
    counts = {name: _by_instance(getattr(indices, f"{name}_indices"), size) for name in COUNTS}
    correct, incorrect, partial, missed, spurious = counts.values()
    possible, actual = (
        correct + incorrect + partial + missed,
        correct + incorrect + partial + spurious,
    )
    credits = correct + credit * partial
    _check(
        f"{scheme} of {label}",
        result,
        prf(*(each.sum() for each in (credits, possible, credits, actual))),
    )
    return Tally(SCORER, scheme, "all", label, credits, possible, credits, actual, counts)


def _check(row: str, result: Any, ours: Sequence[Array]) -> None:
    theirs = [100 * value for value in (result.precision, result.recall, result.f1)]
    if not np.allclose(
        np.nan_to_num(ours), theirs, rtol=0, atol=1e-9
    ):  # what is undefined here is 0 there
        raise RuntimeError(
            f"nervaluate's {row} is {theirs}, its own counts give {ours}: its version is not sound"
        )


def _by_instance(indices: Sequence[tuple[int, int]], size: int) -> Array:
    return np.bincount([instance for instance, _ in indices], minlength=size).astype(float)


def _by_length(
    scheme: str, pairs: Sequence[Pair], indices: Any, credit: float, cuts: Sequence[int]
) -> Iterator[Tally]:
    """Gold entities by gold length and predictions by predicted length: the buckets add up to the
    whole.

    Correct matches have one length. A pair of a gold entity and a prediction that overlap has two:
    its credit goes to recall in the bucket of the one and to precision in the bucket of the other.
    `incorrect`, `partial` and `missed` count gold entities, `spurious` predictions.
    """
    gold = [[span.length for span in pair.gold] for pair in pairs]
    predicted = [[span.length for span in pair.predicted] for pair in pairs]
    correct = _buckets(((i, predicted[i][j]) for i, j in indices.correct_indices), cuts, len(pairs))
    missed = _buckets(((i, gold[i][j]) for i, j in indices.missed_indices), cuts, len(pairs))
    spurious = _buckets(
        ((i, predicted[i][j]) for i, j in indices.spurious_indices), cuts, len(pairs)
    )
    possible = _buckets(
        ((i, length) for i, lengths in enumerate(gold) for length in lengths), cuts, len(pairs)
    )
    actual = _buckets(
        ((i, length) for i, lengths in enumerate(predicted) for length in lengths), cuts, len(pairs)
    )
    for name in bucket_names(cuts):
        half_found = possible[name] - correct[name] - missed[name]
        half_right = actual[name] - correct[name] - spurious[name]
        none = np.zeros(len(pairs))
        counts = {
            "correct": correct[name],
            "incorrect": none if credit else half_found,
            "partial": half_found if credit else none,
            "missed": missed[name],
            "spurious": spurious[name],
        }
        found, right = correct[name] + credit * half_found, correct[name] + credit * half_right
        yield Tally(SCORER, scheme, name, "all", found, possible[name], right, actual[name], counts)


def _buckets(
    lengths: Iterator[tuple[int, int]], cuts: Sequence[int], size: int
) -> dict[str, Array]:
    tables = {name: np.zeros(size) for name in bucket_names(cuts)}
    for instance, length in lengths:
        tables[bucket_of(length, cuts)][instance] += 1
    return tables
