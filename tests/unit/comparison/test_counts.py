"""Counts per document are those of the scorers: ours, nervaluate and seqeval."""

import numpy as np
import pytest
from nervaluate import Evaluator
from seqeval.metrics.sequence_labeling import precision_recall_fscore_support

from bioner.comparison.counts import CONVENTIONS, SystemCounts, count_run, units_of
from bioner.comparison.measures import Scores, measures_of
from bioner.scoring.resampling import clusters_of
from bioner.scoring.score import score
from bioner.scoring.tally import prf
from tests.unit.scoring.random_cases import as_corpus, small_and_large_cases

CUTS = (1, 2)
SCORERS = {name: of for of, name in CONVENTIONS.items()}
SCORERS |= {"strict": ("semeval", "strict"), "relaxed": ("semeval", "relaxed")}
few_or_many = pytest.mark.parametrize("count", [30, pytest.param(2000, marks=pytest.mark.slow)])


def counted(gold, predictions):
    """The units of a corpus and their counts, units x 4."""
    counts = count_run(gold, predictions, clusters_of(gold), CUTS)
    return units_of(gold, CUTS), counts.sum(0)


@few_or_many
def test_every_unit_is_scored_as_bioner_score_does(count):
    for case in small_and_large_cases(count, seed=20):
        gold, predictions = as_corpus(*case)
        table = score(gold, predictions)
        for unit, counts in zip(*counted(gold, predictions), strict=True):
            scorer, scheme = SCORERS[unit.scheme]
            row = table.filter(
                scorer=scorer, scheme=scheme, stratum=unit.stratum, label=unit.label
            ).select("precision", "recall", "f1")
            expected = np.array(row.row(0) if len(row) else [None] * 3, dtype=float)
            found = prf(*counts)
            if counts[1] == 0:  # a stratum without gold, where only the F1 is compared
                found, expected = found[2:], expected[2:]
            assert (
                found == pytest.approx(np.nan_to_num(expected), nan_ok=True)
                or np.isnan(found).all()
            ), (unit, case)


@few_or_many
def test_strict_and_relaxed_f1_are_those_of_seqeval_and_nervaluate(count):
    for gold_tags, predicted_tags in small_and_large_cases(count, seed=21):
        gold, predictions = as_corpus(gold_tags, predicted_tags)
        found = dict(zip(*counted(gold, predictions), strict=True))
        tags = [[*i.tags] for i in gold], [[*p.tags] for p in predictions]
        f1 = {unit: np.nan_to_num(prf(*counts)[2]) / 100 for unit, counts in found.items()}
        theirs = Evaluator(*tags, tags=["A", "B", "C"], loader="list").evaluate()["overall"]
        by_scheme = {unit.scheme: f1[unit] for unit in found if unit[1:] == ("all", "all")}
        assert by_scheme["strict"] == pytest.approx(theirs["strict"].f1)
        assert by_scheme["relaxed"] == pytest.approx(theirs["partial"].f1)
        for unit in found:
            if unit.label != "all":
                labels = sorted({t[2:] for side in tags for s in side for t in s if t != "O"})
                each = precision_recall_fscore_support(*tags, zero_division=0)[2]
                assert f1[unit] == pytest.approx(each[labels.index(unit.label)])


def test_counts_of_documents_add_up_to_those_of_the_corpus():
    gold, predictions = as_corpus(*list(small_and_large_cases(10, seed=22))[-1])
    by_document = count_run(gold, predictions, clusters_of(gold), CUTS)
    assert by_document.shape == (len(gold), len(units_of(gold, CUTS)), 4)
    assert by_document.sum(0) == pytest.approx(counted(gold, predictions)[1])


def test_a_contrast_is_the_last_length_minus_the_first():
    tags = ["O", "B-A", "O", "B-A", "I-A", "O", "B-A", "I-A", "I-A", "O"]
    gold, predictions = as_corpus([tags] * 4, [tags, tags[:3] + ["O"] * 7] * 2)
    units, counts = counted(gold, predictions)
    measures = measures_of(units)
    values = {
        (m.name, m.stratum): v
        for m, v in zip(measures, Scores(units, measures).of(counts), strict=True)
    }
    for name in ("f1", "recall"):
        assert values[name, "3+ - 1"] == values[name, "3+"] - values[name, "1"]


@pytest.mark.parametrize(
    ("one", "other", "shared"),
    [
        (("a", {}), ("a", {}), True),
        (("a", {}), ("b", {}), False),
        (("a", {}), ("ensemble", {"members": frozenset({"a", "b"})}), True),
        ((None, {}), (None, {}), False),
        (("a", {"deterministic": True}), ("a", {"deterministic": True}), False),
    ],
)
def test_decodings_and_members_share_weights(one, other, shared):
    systems = [SystemCounts(name, None, np.zeros(0), **about) for name, about in (one, other)]
    assert systems[0].shares_weights(systems[1]) is shared
