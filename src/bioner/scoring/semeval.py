"""SemEval 2013 task 9 by nervaluate: overall, by entity type, macro, and by entity length."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from nervaluate import Evaluator
from nervaluate.entities import EvaluationIndices, EvaluationResult

from bioner.errors import InputError
from bioner.scoring.labels import RESERVED, bucket_names
from bioner.scoring.pairs import Pair
from bioner.scoring.tally import COUNTS, Macro, ScoreRow, Tally, by_length, credited, prf

SCORER = "semeval"
# Our name of a scheme, nervaluate's, and the credit of a partial match. "Relaxed" is the paper's
# word for SemEval's partial scheme: only boundaries count, with half credit for any overlap
# (section II.C.3, Table V).
SCHEMES = (
    ("strict", "strict", 0.0),
    ("relaxed", "partial", 0.5),
    ("exact", "exact", 0.0),
    ("type", "ent_type", 0.0),
)
BY_LENGTH = ("strict", "relaxed")
# The result for tags that are all O, for which nervaluate returns {}.
NOTHING: dict[str, Any] = {
    "overall": defaultdict(EvaluationResult),
    "overall_indices": defaultdict(EvaluationIndices),
    "entities": {},
    "entity_indices": {},
}


def semeval_tallies(pairs: Sequence[Pair], length_cuts: Sequence[int]) -> Iterator[ScoreRow]:
    """Yield the rows of every scheme: overall, by length (strict and relaxed), by type, their mean.

    The counts are nervaluate's.

    Raises:
        RuntimeError: nervaluate's precision, recall or F1 is not what its counts give.
    """
    types = sorted({span.type for pair in pairs for span in (*pair.gold, *pair.predicted)})
    for name in RESERVED:
        if name in types:
            raise InputError(
                "gold or predictions",
                f"the entity type {name!r}",
                "another name",
                f"`{name}` names a row over all types.",
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
    counts = {}
    for name in COUNTS:
        instances = [instance for instance, _ in getattr(indices, f"{name}_indices")]
        counts[name] = np.bincount(instances, minlength=size).astype(float)
    tally = credited(SCORER, scheme, "all", label, counts, credit)
    ours = prf(*(values.sum() for values in tally.arrays()))
    theirs = [100 * value for value in (result.precision, result.recall, result.f1)]
    # What is undefined here is 0 in nervaluate.
    if not np.allclose(np.nan_to_num(ours), theirs, rtol=0, atol=1e-9):
        raise RuntimeError(
            f"nervaluate's {scheme} of {label} is {theirs}, its own counts give {ours}:"
            " its version is not sound"
        )
    return tally


def _by_length(
    scheme: str, pairs: Sequence[Pair], indices: Any, credit: float, cuts: Sequence[int]
) -> Iterator[Tally]:
    """Yield gold entities by gold length and predictions by predicted length, in disjoint buckets.

    Correct matches have one length. An overlapping pair of a gold entity and a prediction has two:
    its credit counts for recall in the gold entity's bucket and for precision in the prediction's.
    `incorrect`, `partial` and `missed` count gold entities, `spurious` predictions.
    """
    gold = [[span.length for span in pair.gold] for pair in pairs]
    predicted = [[span.length for span in pair.predicted] for pair in pairs]
    entities = (
        [(i, predicted[i][j]) for i, j in indices.correct_indices],
        [(i, gold[i][j]) for i, j in indices.missed_indices],
        [(i, predicted[i][j]) for i, j in indices.spurious_indices],
        [(i, length) for i, lengths in enumerate(gold) for length in lengths],
        [(i, length) for i, lengths in enumerate(predicted) for length in lengths],
    )
    correct, missed, spurious, possible, actual = (
        by_length(each, cuts, len(pairs)) for each in entities
    )
    half_found = possible - correct - missed
    half_right = actual - correct - spurious
    for number, name in enumerate(bucket_names(cuts)):
        none = np.zeros(len(pairs))
        counts = {
            "correct": correct[number],
            "incorrect": none if credit else half_found[number],
            "partial": half_found[number] if credit else none,
            "missed": missed[number],
            "spurious": spurious[number],
        }
        yield Tally(
            *(SCORER, scheme, name, "all"),
            correct[number] + credit * half_found[number],
            possible[number],
            correct[number] + credit * half_right[number],
            actual[number],
            counts,
        )
