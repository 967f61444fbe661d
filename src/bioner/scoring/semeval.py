"""SemEval scores by nervaluate (strict, relaxed, exact, type), and strict counts by entity length that add up."""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from nervaluate import Evaluator

from bioner.errors import InputError
from bioner.instances import Instance, Prediction, entity_types
from bioner.scoring.lengths import bucket_names, bucket_of
from bioner.scoring.table import Counts
from bioner.tags import spans, split_tag

# Our name of a scheme, nervaluate's, and the credit of a partial match. "Relaxed" is the paper's word for SemEval's
# partial scheme: boundaries alone, half credit for any overlap (section II.C.3, Table V).
SCHEMES = (("strict", "strict", 0.0), ("relaxed", "partial", 0.5), ("exact", "exact", 0.0), ("type", "ent_type", 0.0))

Row = dict[str, Any]


def semeval_rows(
    gold: Sequence[Instance], predictions: Sequence[Prediction], length_cuts: Sequence[int], per_type: bool
) -> Iterator[Row]:
    """Rows of the score table for one prediction file, without the columns that say whose it is."""
    types = sorted({*entity_types(gold), *_predicted_types(predictions)})
    if "all" in types:
        raise InputError("gold or predictions", "the entity type 'all'", "another name", "`all` names the overall row.")
    true = [instance.tags for instance in gold]
    predicted = [prediction.tags for prediction in predictions]
    results = Evaluator(true, predicted, tags=types, loader="list").evaluate() if types else {}
    overall: dict[str, Any] = results.get("overall", {})
    for scheme, theirs, credit in SCHEMES:
        yield _row(scheme, "all", "all", _counts(overall.get(theirs)), credit)
        if scheme == "strict":
            for bucket, counts in strict_by_length(gold, predictions, length_cuts).items():
                yield _row(scheme, bucket, "all", counts, credit)
        if per_type:
            for type_ in types:
                yield _row(scheme, "all", type_, _counts(results["entities"][type_][theirs]), credit)


def strict_by_length(
    gold: Sequence[Instance], predictions: Sequence[Prediction], cuts: Sequence[int]
) -> dict[str, Counts]:
    """Strict counts by length, gold by gold length and predictions by predicted length: the buckets add up.

    A strict match has one length, so recall of a bucket is correct / gold of that length and precision correct /
    predictions of that length.
    """
    correct: Counter[str] = Counter()
    possible: Counter[str] = Counter()
    actual: Counter[str] = Counter()
    for instance, prediction in zip(gold, predictions, strict=True):
        expected, found = set(spans(instance.tags)), set(spans(prediction.tags))
        for counter, entities in ((correct, expected & found), (possible, expected), (actual, found)):
            counter.update(bucket_of(span.length, cuts) for span in entities)
    return {bucket: Counts(correct[bucket], possible[bucket], actual[bucket]) for bucket in bucket_names(cuts)}


def _predicted_types(predictions: Sequence[Prediction]) -> set[str]:
    return {type_ for prediction in predictions for tag in prediction.tags if (type_ := split_tag(tag)[1])}


def _counts(result: Any) -> Counts:
    if result is None:
        return Counts(0, 0, 0, 0, 0, 0, 0)
    return Counts(
        correct=result.correct,
        possible=result.possible,
        actual=result.actual,
        incorrect=result.incorrect,
        partial=result.partial,
        missed=result.missed,
        spurious=result.spurious,
    )


def _row(scheme: str, stratum: str, label: str, counts: Counts, credit: float) -> Row:
    precision, recall, f1 = counts.prf(credit)
    return {
        "scorer": "semeval",
        "scheme": scheme,
        "stratum": stratum,
        "label": label,
        "correct": counts.correct,
        "incorrect": counts.incorrect,
        "partial": counts.partial,
        "missed": counts.missed,
        "spurious": counts.spurious,
        "possible": counts.possible,
        "actual": counts.actual,
        "precision": precision,
        "recall": recall,
        "f1": f1,
    }
