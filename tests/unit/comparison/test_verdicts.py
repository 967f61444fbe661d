"""Verdicts: intervals of the level of the test, equivalence, and what could have been shown."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import nct, t

from bioner.comparison.components import degrees_of_freedom
from bioner.comparison.verdicts import judge, word_of
from tests.unit.comparison.compared import compared, explored, table, untested


def judged(*rows, holm="family", margin=None) -> pl.DataFrame:
    """Rows judged together by Holm's method; without `holm` as max-T has adjusted them."""
    return judge(
        table(*rows).with_columns(holm=pl.lit(holm, pl.String), margin=pl.lit(margin, pl.Float64))
    )


def verdict(row, **options) -> str:
    return judged(row, **options)["verdict"].item()


def test_the_interval_has_the_level_of_the_step_of_its_test():
    # Holm: 0.01 is tested at 0.05/3, 0.02 at 0.05/2, 0.2 at 0.05.
    found = judged(*(compared(p=p) for p in (0.02, 0.2, 0.01)))
    assert found["level"].to_list() == pytest.approx([0.025, 0.05, 0.05 / 3])
    assert found["p_adjusted"].to_list() == pytest.approx([0.04, 0.2, 0.03])
    assert [word_of(each) for each in found["verdict"]] == ["lower", "inconclusive", "lower"]
    for row in found.iter_rows(named=True):
        half = t(20).isf(row["level"] / 2) * row["standard_error"]
        assert row["high"] == pytest.approx(row["difference"] + half)
        assert (row["high"] < 0) == (row["p_adjusted"] <= 0.05)


def test_all_after_the_first_that_is_not_significant_have_its_level():
    found = judged(*(compared(p=p) for p in (0.001, 0.03, 0.04)))
    assert found["level"].to_list() == pytest.approx([0.05 / 3, 0.025, 0.025])
    assert found["verdict"].to_list() == ["lower", "inconclusive", "inconclusive"]


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("df", [None, 20.0])
def test_equal_predictions_are_equivalent_with_a_p_of_1(df):
    nothing = {"standard_error": 0.0, "p_max_t": 1.0}
    found = judged(explored(0.0, 1.0, df=df, **nothing), holm=None, margin=1.0).row(0, named=True)
    assert word_of(found["verdict"]) == "equivalent"
    assert (found["p_adjusted"], found["low"], found["high"]) == (1, 0, 0)


P_VALUES = st.floats(1e-6, 0.99).filter(lambda p: abs(p - 0.05) > 1e-6)
DIFFERENCES = st.floats(0.01, 30).flatmap(lambda size: st.sampled_from([size, -size]))


@settings(max_examples=40)
@given(
    st.lists(
        st.tuples(DIFFERENCES, P_VALUES, st.sampled_from([2.0, 9.0, None])), min_size=1, max_size=6
    ),
    st.sampled_from([None, 1.0]),
    st.booleans(),
)
def test_a_verdict_and_its_interval_never_contradict_each_other(rows, margin, by_holm):
    if by_holm:
        made = [compared(*row) for row in rows]
    else:
        made = [explored(difference, p, df=df) for difference, p, df in rows]
    found = judged(*made, holm="family" if by_holm else None, margin=margin)
    for row in found.iter_rows(named=True):
        word = word_of(row["verdict"])
        assert (word == "higher") == (row["low"] > 0)
        assert (word == "lower") == (row["high"] < 0)
        assert (word in ("higher", "lower")) == (row["p_adjusted"] <= 0.05)
        if margin and word in ("equivalent", "inconclusive"):
            inside = -margin < row["equivalence_low"] and row["equivalence_high"] < margin
            assert inside == (word == "equivalent")
        assert row["p"] <= row["p_adjusted"] * (1 + 1e-9)


def test_p_of_resampling_widens_an_interval_that_says_more():
    row = compared(p=0.01, df=None) | {"p": 0.08}
    found = judged(row).row(0, named=True)
    assert found["verdict"] == "inconclusive (of these weights)"
    assert found["high"] == 0 > found["ci_high"]


def test_max_t_has_the_interval_of_its_critical_value():
    found = judged(explored(critical=2.8), holm=None).row(0, named=True)
    error = found["standard_error"]
    assert (found["low"], found["high"]) == pytest.approx((-2 - 2.8 * error, -2 + 2.8 * error))
    assert found["level"] == pytest.approx(2 * t(20).sf(2.8))
    assert (found["adjustment"], found["tests"], found["verdict"]) == ("max-T", 6, "lower")
    beyond = judged(explored(critical=2.9, p=0.02), holm=None).row(0, named=True)
    assert (beyond["verdict"], beyond["p_adjusted"]) == ("inconclusive", 0.2)


def test_a_critical_value_without_degrees_of_freedom_decides_over_p_of_resampling():
    """1.88 standard errors, tested at 1.96; swapped documents gave a smaller p."""
    row = explored(p=0.06, df=None, critical=1.96) | {"p_max_t": 0.04, "p": 0.03}
    found = judged(row, holm=None).row(0, named=True)
    assert found["p_adjusted"] == pytest.approx(0.06)
    assert found["verdict"] == "inconclusive (of these weights)"


@pytest.mark.parametrize(
    ("row", "margin", "said"),
    [
        (compared(difference=0.5), None, "higher"),
        (compared(difference=0.5), 1.0, "higher (below the margin)"),
        (compared(difference=1.0), 1.0, "higher"),
        (compared(difference=1.5), 1.0, "higher"),
        (compared(seeds=2), None, "lower (two seeds)"),
        (compared(baseline_seeds=2, difference=0.5), 1.0, "higher (below the margin; two seeds)"),
        (compared(df=None), None, "lower (of these weights)"),
        (compared(df=None, difference=-0.5), 1.0, "lower (below the margin; of these weights)"),
        (compared(p=0.3), None, "inconclusive"),
        (compared(p=0.3, difference=0.1), 1.0, "equivalent"),
        (compared(p=0.3, difference=0.1), None, "inconclusive"),
        (compared(p=0.3, difference=0.1, seeds=2), 1.0, "equivalent (two seeds)"),
        (compared(covers="documents", deterministic=True), None, "lower"),  # two controls
        (compared(df=None, deterministic=True), None, "lower (of these weights)"),
        (untested("one seed"), 1.0, "inconclusive (one seed)"),
        (untested("5 gold entities"), 1.0, "not tested (5 gold entities)"),
        (untested("8 documents"), None, "not tested (8 documents)"),
    ],
)
def test_verdicts_in_their_order_and_what_limits_them(row, margin, said):
    assert verdict(row, margin=margin) == said


def test_two_seeds_have_no_exploratory_verdict_but_their_interval():
    found = judged(compared(seeds=2), holm=None).row(0, named=True)
    assert found["verdict"] == "not tested (two seeds)"
    assert (found["level"], found["low"], found["p_adjusted"]) == (0.05, found["ci_low"], None)
    disagreeing = judged(compared(df=None), holm=None)["verdict"].item()
    assert disagreeing == "not tested (bootstrap and jackknife disagree)"


def test_an_untested_row_costs_the_others_nothing():
    found = judged(compared(p=0.03), untested("5 gold entities"))
    assert found["verdict"].to_list() == ["lower", "not tested (5 gold entities)"]
    assert found["tests"].to_list() == [1, None]


def test_equivalence_is_two_one_sided_tests_adjusted_in_the_family():
    """By scipy: p of both t-tests against the margin, the larger, then Holm."""
    rows = [compared(0.1, 0.7, df=15), compared(0.3, 0.4, df=15), compared(-0.2, 0.2, df=15)]
    found = judged(*rows, margin=1.0)
    p_values = [t(15).sf((1 - abs(row["difference"])) / row["standard_error"]) for row in rows]
    order = np.argsort(p_values)
    level = 0.05 / 3
    for step, place in enumerate(order):
        level = 0.05 / (3 - step)
        if p_values[place] > level:
            break
        assert found["verdict"][int(place)] == "equivalent"
        assert found["equivalence_level"][int(place)] == pytest.approx(level)
    assert word_of(found["verdict"][int(order[-1])]) == (
        "equivalent" if p_values[order[-1]] <= level else "inconclusive"
    )
    row = found.row(0, named=True)
    half = t(15).isf(row["equivalence_level"]) * row["standard_error"]
    assert row["equivalence_high"] == pytest.approx(0.1 + half)


def test_exploratory_equivalence_has_the_90_percent_interval_of_all_tests():
    row = explored(0.1, 0.7, df=15, critical_90=2.5)
    found = judged(row, holm=None, margin=1.0).row(0, named=True)
    assert found["equivalence_low"] == pytest.approx(0.1 - 2.5 * row["standard_error"])
    assert found["verdict"] == "equivalent"
    alone = judged(row | {"critical_90": 1.0}, holm=None, margin=1.0).row(0, named=True)
    half = t(15).isf(0.05) * row["standard_error"]
    assert alone["equivalence_low"] == pytest.approx(0.1 - half), "no more lenient than alone"


def test_an_interval_that_reaches_the_margin_is_not_inside():
    reaching = explored(0.0, 0.9, critical_90=2.5, standard_error=0.4)  # from -1 to 1
    assert verdict(reaching, holm=None, margin=1.0) == "inconclusive"
    assert verdict(reaching, holm=None, margin=1.01) == "equivalent"


def test_a_family_whose_p_cannot_be_small_enough_is_not_tested():
    many = [compared(df=None, p=0.0005, smallest_p=0.001)] * 51
    assert set(judged(*many)["verdict"]) == {"not tested (51 tests: no adjusted p can reach 0.05)"}
    assert set(judged(*many[1:])["verdict"]) == {"lower (of these weights)"}
    with_seeds = judged(*many, compared(p=1e-5))  # whose p has no least value
    assert with_seeds["verdict"].to_list()[-1] == "lower"


def test_the_smallest_difference_is_that_of_the_noncentral_t_at_the_level_of_the_test():
    seeds = {"variance_documents": 0.09, "variance_seeds": 0.16, "df_documents": 99.0}
    found = judged(
        *(compared(-1.0, p, df=5.5, **seeds, df_seeds=4.0, standard_error=0.5) for p in (0.2, 0.4))
    ).row(0, named=True)
    df = degrees_of_freedom(*map(np.array, (0.09, 99.0, 0.16, 4.0)))
    shift = found["smallest_difference"] / 0.5
    assert nct(df, shift).sf(t(df).isf(found["level"] / 2)) == pytest.approx(0.8, abs=1e-3)
    low, high = found["smallest_difference_low"], found["smallest_difference_high"]
    assert low < found["smallest_difference"] < high
    assert found["smallest_margin_low"] < found["smallest_margin"] < found["smallest_margin_high"]


def test_without_seeds_that_vary_there_is_no_range_and_without_a_test_no_power():
    found = judged(compared(df=None), untested("5 gold entities"))
    assert found["smallest_difference"][0] > 0
    assert found["smallest_difference_low"].to_list() == [None, None]
    assert found["smallest_difference"][1] is None


def test_identical_systems_are_equivalent_within_any_margin():
    same = compared(0.0, 1.0, df=float("inf"), ci_low=0.0, ci_high=0.0)
    found = judged(same, margin=0.1).row(0, named=True)
    assert (found["verdict"], found["low"], found["high"]) == ("equivalent", 0, 0)


def test_without_a_margin_equality_is_judged_as_the_first_of_its_family():
    assert judged(*[compared()] * 4)["equivalence_level"].to_list() == [0.0125] * 4
