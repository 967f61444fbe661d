"""Intervals of precision and recall: those of the score table where it has them, and of scoring the drawn anew."""

import numpy as np
import polars as pl
import pytest

from bioner.scoring.bounds import prf_intervals
from bioner.scoring.paper import paper_tallies
from bioner.scoring.score import score
from tests.conftest import instance
from tests.unit.scoring.predicted import predicted
from tests.unit.scoring.test_intervals import corpus


def test_values_and_bounds_of_f1_are_those_of_the_score_table():
    gold, found = corpus(15)
    table = prf_intervals(gold, [found], paper_tallies, 200, 3)
    scores = score(gold, found, bootstrap=200, bootstrap_seed=3).filter(scorer="paper", label="all")
    keys = ["scheme", "stratum"]
    both = scores.join(table.filter(measure="f1"), on=keys)
    assert len(both) == 8
    for column, other in {"f1": "value", "f1_low": "low", "f1_high": "high"}.items():
        assert both[column].to_list() == pytest.approx(both[other].to_list())
    for measure in ("precision", "recall"):
        both = scores.join(table.filter(measure=measure), on=keys)
        assert both[measure].to_list() == pytest.approx(both["value"].to_list())


def test_bounds_of_precision_and_recall_are_those_of_scoring_the_drawn_documents_anew():
    resamples, (gold, found) = 50, corpus(10)
    table = prf_intervals(gold, [found], paper_tallies, resamples, 5).filter(scheme="strict", stratum="all")
    values = []
    for documents in np.random.default_rng([5, 1]).integers(10, size=(resamples, 10)):
        chosen = [3 * document + sentence for document in documents for sentence in range(3)]
        again = prf_intervals([gold[i] for i in chosen], [[found[i] for i in chosen]], paper_tallies, 0, 0)
        values.append(again.filter(scheme="strict", stratum="all")["value"].to_list())
    expected = np.percentile(values, [2.5, 97.5], axis=0)
    assert table["low"].to_list() == pytest.approx(expected[0])
    assert table["high"].to_list() == pytest.approx(expected[1])


def test_each_run_has_the_bounds_it_has_alone():
    gold, found = corpus(8)
    right = [type(found[0])(item.id, item.tags) for item in gold]
    together = prf_intervals(gold, [found, right], paper_tallies, 100, 0)
    for run, predictions in enumerate((found, right)):
        alone = prf_intervals(gold, [predictions], paper_tallies, 100, 0)
        assert together.filter(run=run).drop("run").equals(alone.drop("run"))
    overall = together.filter(run=1, scheme="strict", stratum="all")
    assert overall.select("value", "low", "high").rows() == [(100.0, 100.0, 100.0)] * 3


def test_a_single_document_has_values_and_no_bounds_and_what_is_undefined_is_null():
    gold = [instance("s1", "gout/B-D after/O aspirin/B-C")]
    table = prf_intervals(gold, [predicted("B-D O O")], paper_tallies, 10, 0)
    strict = table.filter(scheme="strict", stratum="all")
    assert strict["value"].to_list() == [100, 50, pytest.approx(200 / 3)]
    assert strict["low"].null_count() == 3
    # No entity of two tokens, in gold or prediction.
    assert table.filter(pl.col("stratum") == "2")["value"].null_count() == 6


def test_no_run_has_no_row():
    assert prf_intervals(corpus(2)[0], [], paper_tallies, 10, 0).is_empty()
