"""What a comparison could have shown, beside scipy's noncentral t and a simulation."""

import numpy as np
import pytest
from scipy import stats

from bioner.comparison.components import degrees_of_freedom, satterthwaite
from bioner.comparison.power import Precision, pilot_of
from tests.unit.comparison.compared import compared

PRECISION = Precision(
    documents=np.array([0.3, 0.3, 0.3, 0.3]),
    df_documents=np.array([403.0, 20, 403, np.nan]),
    seeds=np.array([0.0, 0, 0.6, 0]),
    df_seeds=np.array([np.nan, np.nan, 2, np.nan]),
)


@pytest.mark.parametrize("level", [0.05, 0.001])
def test_the_smallest_difference_is_found_with_80_percent_power(level):
    found, error, df = (
        PRECISION.smallest_difference(level),
        PRECISION.standard_error,
        np.nan_to_num(PRECISION.df, nan=1e9),
    )
    for difference, se, each in zip(found, error, df, strict=True):
        critical = stats.t.ppf(1 - level / 2, each)
        if each > 1e6:  # a test by resampling: normal
            assert stats.norm.sf(critical - difference / se) == pytest.approx(0.8, abs=1e-3)
        else:
            power = stats.nct.sf(critical, each, difference / se)
            assert power == pytest.approx(0.8, abs=1e-3)


def test_at_the_smallest_margin_equal_systems_are_equivalent_in_80_percent():
    draw = np.random.default_rng(0)
    margin, error, df = (
        each[1]
        for each in (PRECISION.smallest_margin(0.05), PRECISION.standard_error, PRECISION.df)
    )
    difference = draw.normal(0, error, 20_000)
    spread = error * np.sqrt(draw.chisquare(df, 20_000) / df)
    inside = np.abs(difference) + stats.t.ppf(0.95, df) * spread < margin
    assert inside.mean() == pytest.approx(0.8, abs=0.01)


@pytest.mark.parametrize(("seeds", "least", "most"), [(2, 52, 75), (3, 71, 80), (5, 78, 80)])
@pytest.mark.parametrize("deviation", [0.25, 0.5, 1, 2])
def test_studies_that_estimate_their_degrees_of_freedom_find_it_as_often_as_is_documented(
    seeds, least, most, deviation
):
    draw, studies = np.random.default_rng(0), 20_000
    documents, df_documents = np.array([0.25]), np.array([199.0])
    variance, df_seeds = np.array([2 * deviation**2 / seeds]), np.array([2.0 * (seeds - 1)])
    planned = Precision(documents, df_documents, variance, df_seeds).smallest_difference(0.05)
    runs = draw.normal(0, deviation, (2, studies, seeds))
    difference = draw.normal(planned, 0.5, studies) + np.subtract(*runs.mean(2))
    found = documents * draw.chisquare(df_documents, studies) / df_documents
    sides = runs.var(2, ddof=1) / seeds
    df = satterthwaite(sides, np.full((2, 1), seeds - 1.0))
    t = np.abs(difference) / np.sqrt(found + sides.sum(0))
    critical = stats.t.ppf(0.975, degrees_of_freedom(found, df_documents, sides.sum(0), df))
    power = 100 * (t > critical).mean()
    assert least - 1 < power < most + 1


def test_more_scatter_between_seeds_makes_both_larger():
    low, high = PRECISION.at_ends()
    for name in ("smallest_difference", "smallest_margin"):
        least, found, most = (getattr(each, name)(0.05) for each in (low, PRECISION, high))
        assert least[2] < found[2] < most[2]
        assert least[[0, 1, 3]] == pytest.approx(most[[0, 1, 3]])  # no seeds: nothing to vary


def test_a_pilot_against_a_control_says_how_far_the_seeds_of_its_other_side_scatter():
    """The variance of a mean of three is a third of that of one: √(3 · 0.12)."""
    about = {"deterministic": True, "variance_seeds": 0.12, "df_seeds": 2.0}
    for seeds, baseline_seeds in ((1, 3), (3, 1)):
        _, found = pilot_of(compared(seeds=seeds, baseline_seeds=baseline_seeds, **about))
        assert (found.deviation, found.sides, found.df) == (pytest.approx(0.6), 1, 2)
