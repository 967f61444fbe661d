"""Random cases, ill-formed BIO included, scored here and by others: nervaluate and seqeval
(conlleval).

Thousands of them in the slow tests.
"""

import warnings

import pytest
from nervaluate import Evaluator
from seqeval.metrics.sequence_labeling import precision_recall_fscore_support
from seqeval.metrics.v1 import precision_recall_fscore_support as in_strict_mode
from seqeval.scheme import IOB2

from bioner.scoring.pairs import pair_up
from bioner.scoring.paper import match
from bioner.scoring.score import headline_f1, score
from tests.unit.scoring.random_cases import as_corpus, orphans_of, small_and_large_cases

warnings.filterwarnings("ignore", module="seqeval")

few_or_many = pytest.mark.parametrize("count", [100, pytest.param(3000, marks=pytest.mark.slow)])


def measures(table, **where) -> tuple[float, ...]:
    ((precision, recall, f1),) = (
        table.filter(**where).select("precision", "recall", "f1").iter_rows()
    )
    return tuple(pytest.approx((value or 0) / 100, abs=1e-12) for value in (precision, recall, f1))


@few_or_many
def test_strict_is_seqeval_s_and_conlleval_s_micro_average_macro_average_and_score_by_type(count):
    """seqeval's default reads chunks as conlleval does: an I- that continues nothing opens one."""
    for gold, predicted in small_and_large_cases(count, seed=0):
        table = score(*as_corpus(gold, predicted)).filter(
            scorer="semeval", scheme="strict", stratum="all"
        )
        types = sorted({tag[2:] for tags in (*gold, *predicted) for tag in tags if tag != "O"})
        if not types:
            continue  # undefined here, NaN there
        for average, label in (("micro", "all"), ("macro", "macro")):
            theirs = precision_recall_fscore_support(
                gold, predicted, average=average, zero_division=0
            )
            assert theirs[:3] == measures(table, label=label), (gold, predicted)
        theirs = zip(
            *precision_recall_fscore_support(gold, predicted, zero_division=0), strict=True
        )
        for type_, (*of_type, _) in zip(types, theirs, strict=True):
            assert tuple(of_type) == measures(table, label=type_), (gold, predicted)


@few_or_many
def test_strict_iob2_is_seqeval_s_strict_mode(count):
    for gold, predicted in small_and_large_cases(count, seed=1):
        instances, predictions = as_corpus(gold, predicted)
        table = score(instances, predictions, orphans=orphans_of(predicted))
        true = [instance.tags for instance in instances]
        theirs = in_strict_mode(true, predicted, average="micro", scheme=IOB2, zero_division=0)
        assert theirs[:3] == measures(table, scorer="strict-iob2"), (gold, predicted)


@few_or_many
def test_every_scheme_is_nervaluate_s_on_the_tags_as_they_were_written(count):
    """Ours are nervaluate's by construction; the repair of ill-formed tags is not to change
    them.
    """
    names = {"strict": "strict", "relaxed": "partial", "exact": "exact", "type": "ent_type"}
    for gold, predicted in small_and_large_cases(count, seed=2):
        table = score(*as_corpus(gold, predicted)).filter(
            scorer="semeval", stratum="all", label="all"
        )
        theirs = Evaluator(gold, predicted, tags=["A", "B", "C"], loader="list").evaluate()[
            "overall"
        ]
        for scheme, name in names.items():
            result = theirs[name]
            assert (result.precision, result.recall, result.f1) == measures(table, scheme=scheme), (
                gold,
                predicted,
            )


@few_or_many
def test_the_paper_s_evaluator_without_its_two_rules_is_nervaluate(count):
    for gold, predicted in small_and_large_cases(count, seed=3):
        matches = [
            match(pair.gold, pair.predicted, half_open=False, reuse=False)
            for pair in pair_up(*as_corpus(gold, predicted))
        ]
        correct, other_type, overlapping, missed, spurious = (
            sum(counts) for counts in zip(*matches, strict=True)
        )
        theirs = Evaluator(gold, predicted, tags=["A", "B", "C"], loader="list").evaluate()[
            "overall"
        ]
        strict, partial = theirs["strict"], theirs["partial"]
        assert (correct, other_type + overlapping, missed, spurious) == (
            *(strict.correct, strict.incorrect, strict.missed, strict.spurious),
        ), (gold, predicted)
        assert (correct + other_type, overlapping, missed, spurious) == (
            *(partial.correct, partial.partial, partial.missed, partial.spurious),
        ), (gold, predicted)


@few_or_many
def test_the_f1_that_selects_epochs_is_the_score_s(count):
    for gold, predicted in small_and_large_cases(count, seed=4):
        instances, predictions = as_corpus(gold, predicted)
        (f1,) = score(instances, predictions).filter(
            scorer="semeval", scheme="strict", stratum="all", label="all"
        )["f1"]
        assert headline_f1(instances, predictions)["strict"] == pytest.approx(f1 or 0)
