"""Variance of documents and of seeds: what scipy computes where there is only one of them, and the
two-way analysis of variance where there are both.
"""

import numpy as np
import pytest
from scipy import stats

from bioner.comparison.components import degrees_of_freedom, jackknife
from tests.unit.comparison.made_up import row_of, system

DOCUMENTS, GOLD = 40, 10  # of every document


@pytest.fixture
def draw() -> np.random.Generator:
    return np.random.default_rng(0)


def flat(*found: int) -> np.ndarray:
    """Runs that find the same number in every document: no variance of documents."""
    return np.repeat(np.array(found)[:, None], DOCUMENTS, axis=1)


def approximately(value):
    return pytest.approx(value, rel=1e-9)


def test_without_variance_of_documents_the_test_is_welch_s():
    one, other = [5, 7, 6, 8], [4, 5, 5]
    row = row_of(system("a", flat(*one), GOLD), system("b", flat(*other), GOLD))
    welch = stats.ttest_ind(one, other, equal_var=False)
    low, high = welch.confidence_interval()
    assert (row["p"], row["df"]) == (approximately(welch.pvalue), approximately(welch.df))
    assert (row["ci_low"], row["ci_high"]) == (approximately(10 * low), approximately(10 * high))
    assert row["covers"] == "documents and seeds"


def test_runs_that_share_weights_are_paired_by_seed():
    one, other = [5, 7, 9], [4, 5, 8]
    row = row_of(
        system("a", flat(*one), GOLD), system("b", flat(*other), GOLD, members=frozenset({"a"}))
    )
    paired = stats.ttest_rel(one, other)
    assert (row["p"], row["df"]) == (approximately(paired.pvalue), approximately(2))
    assert row["covers"] == "documents and paired seeds"


def test_a_deterministic_system_has_no_seeds():
    runs = [5, 7, 9]
    row = row_of(system("a", flat(*runs), GOLD), system("b", flat(4), GOLD, deterministic=True))
    alone = stats.ttest_1samp(runs, 4)
    assert (row["p"], row["df"]) == (approximately(alone.pvalue), approximately(2))
    assert row["deterministic"]


def test_without_seeds_documents_are_paired(draw):
    one, other = draw.integers(11, size=(2, DOCUMENTS))
    row = row_of(
        system("a", one, GOLD, deterministic=True), system("b", other, GOLD, deterministic=True)
    )
    paired = stats.ttest_rel(one, other)
    assert (row["p"], row["df"]) == (approximately(paired.pvalue), approximately(DOCUMENTS - 1))


def test_both_sources_are_those_of_a_two_way_analysis_of_variance(draw):
    """Of a mean over runs and documents, crossed and balanced; a mixed model estimates the same."""
    runs = 3
    shifts = np.array([-1, 0, 2])[:, None] + draw.integers(5, size=DOCUMENTS)
    found = np.clip(3 + shifts + draw.integers(2, size=(runs, DOCUMENTS)), 0, GOLD)
    row = row_of(system("a", found, GOLD), system("b", flat(5), GOLD, deterministic=True))
    recall = 100 * found / GOLD
    by_document = runs * ((recall.mean(0) - recall.mean()) ** 2).sum() / (DOCUMENTS - 1)
    by_run = DOCUMENTS * ((recall.mean(1) - recall.mean()) ** 2).sum() / (runs - 1)
    rest = recall - recall.mean(0) - recall.mean(1)[:, None] + recall.mean()
    residual = (rest**2).sum() / (runs - 1) / (DOCUMENTS - 1)
    count = runs * DOCUMENTS
    assert row["variance_documents"] == approximately(by_document / count)
    assert row["variance_seeds"] == approximately(by_run / count)
    assert row["variance_interaction"] == approximately(residual / count)
    # Components as the mean squares expect them: their sum is that of the sources without the
    # noise that both hold.
    documents, seeds = (by_document - residual) / runs, (by_run - residual) / DOCUMENTS
    variance = documents / DOCUMENTS + seeds / runs + residual / count
    both = row["variance_documents"] + row["variance_seeds"]
    assert both - row["variance_interaction"] == approximately(variance)


def test_degrees_of_freedom_are_satterthwaite_s_of_the_median_unbiased_variance(draw):
    found = np.array([[1], [3], [4]]) + draw.integers(5, size=DOCUMENTS)
    row = row_of(system("a", found, GOLD), system("b", flat(5), GOLD, deterministic=True))
    documents = row["variance_documents"]
    seeds = row["variance_seeds"] / (stats.chi2(2).median() / 2)
    expected = (documents + seeds) ** 2 / (documents**2 / (DOCUMENTS - 1) + seeds**2 / 2)
    assert (row["df"], row["df_seeds"]) == (approximately(expected), 2)


@pytest.mark.parametrize(("seeds", "most"), [(2, 10.1), (3, 7), (5, 5.7)])
def test_whatever_the_shares_of_documents_and_seeds_the_test_keeps_its_size(seeds, most):
    """Exactly: the chance that |t| exceeds its critical value, over all estimates of one side's
    variance, documents' being known. Without the median it is 12.8, 7.8 and 5.8.
    """
    df = seeds - 1
    estimate = stats.chi2(df).ppf((np.arange(4_000) + 0.5) / 4_000) / df
    for share in (0.1, 0.3, 0.5, 0.7, 0.8, 0.9, 0.95):
        variance = np.full(4_000, 1 - share), share * estimate
        t = stats.t.ppf(0.975, degrees_of_freedom(variance[0], 1e9, variance[1], np.array(df)))
        size = 200 * stats.norm.sf(t * np.sqrt(sum(variance))).mean()
        assert 4 < size < most


def test_documents_without_gold_and_predictions_add_no_degrees_of_freedom(draw):
    gold = np.where(np.arange(DOCUMENTS) < 30, GOLD, 0)
    one, other = draw.integers(11, size=(2, DOCUMENTS)) * (gold > 0)
    sides = system("a", one, gold, deterministic=True), system("b", other, gold, deterministic=True)
    assert row_of(*sides)["df"] == approximately(29)
    one[35], other[36] = 1, 1  # a prediction each: it counts for F1, not for recall
    sides = system("a", one, gold, deterministic=True), system("b", other, gold, deterministic=True)
    assert row_of(*sides)["df"] == approximately(29)
    assert row_of(*sides, measure="f1")["df"] == approximately(31)


def test_the_jackknife_of_a_mean_is_the_standard_error_s_square(draw):
    values = draw.normal(size=25)
    without = (values.sum() - values) / 24
    assert jackknife(without) == approximately(stats.sem(values) ** 2)


def test_the_jackknife_of_f1_leaves_out_each_document_in_turn(draw):
    gold = draw.integers(1, 20, size=DOCUMENTS)
    found = draw.binomial(gold, 0.6)
    row = row_of(
        system("a", found, gold, deterministic=True),
        system("b", 0, gold, deterministic=True),
        measure="f1",
    )
    kept = [np.delete(np.arange(DOCUMENTS), each) for each in range(DOCUMENTS)]
    f1 = [200 * found[k].sum() / (gold[k].sum() + found[k].sum()) for k in kept]
    assert row["variance_documents"] == approximately(np.var(f1) * (DOCUMENTS - 1))


def test_scipy_s_bootstrap_gives_the_same_standard_error_within_5_percent(draw):
    gold = draw.integers(1, 20, size=100)
    one, other = draw.binomial(gold, 0.6), draw.binomial(gold, 0.7)
    row = row_of(
        system("a", one, gold, deterministic=True),
        system("b", other, gold, deterministic=True),
        measure="f1",
    )

    def difference(gold, one, other, axis):
        sums = [side.sum(axis) for side in (gold, one, other)]
        return 200 * (sums[1] / (sums[0] + sums[1]) - sums[2] / (sums[0] + sums[2]))

    drawn = stats.bootstrap(
        *((gold, one, other), difference), paired=True, vectorized=True, rng=0, method="basic"
    )
    assert row["standard_error"] == pytest.approx(drawn.standard_error, rel=0.05)


def test_one_run_against_several_has_no_interval_on_too_few_documents(draw):
    for documents, untested in ((8, "8 documents"), (10, "one seed")):
        gold = np.full(documents, 10)
        one, three = (draw.binomial(gold, 0.5, (runs, documents)) for runs in (1, 3))
        row = row_of(system("a", one, gold), system("b", three, gold), resamples=200)
        assert (row["untested"], row["p"]) == (untested, None)
        assert (row["ci_low"] is None) == (documents < 10)
