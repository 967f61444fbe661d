"""Families of tests, their adjustment and verdicts, for chosen and other pairs."""

import polars as pl
import pytest

from bioner.comparison.compare import COMPARISON
from bioner.reporting.significance import significance_table
from bioner.scoring.selection import SELECTION
from tests.unit.scoring.chosen import chosen_everywhere


def comparison(
    dataset="d1", pair=("enc", "llm"), stratum="all", measure="f1", difference=-2.0, p=0.01, **more
) -> dict:
    """The encoder is first, as in a configuration: -2 is two points in favour of the LLM."""
    sides = zip(("model", "baseline_model"), ("decoding", "baseline_decoding"), pair, strict=True)
    row: dict = {"dataset": dataset, "measure": measure, "stratum": stratum, "gold_entities": 100}
    for side, decoding, model in sides:
        row |= {side: model, decoding: "constrained" if model == "llm" else "direct"}
    row |= {
        "clusters": 90,
        "clusters_with_gold": 80,
        "score": 80.0,
        "baseline_score": 80.0 - difference,
    }
    return (
        row
        | {"difference": difference, "ci_low": difference - 1, "ci_high": difference + 1, "p": p}
        | more
    )


def judged(*rows: dict, datasets=("d1",)) -> pl.DataFrame:
    return significance_table(
        pl.DataFrame(list(rows), schema=COMPARISON), chosen_everywhere(*datasets)
    )


def test_of_the_chosen_pair_the_llm_stands_first():
    (row,) = judged(comparison(seeds=3, baseline_seeds=1)).iter_rows(named=True)
    assert (row["family"], row["model"], row["baseline_model"]) == ("primary", "llm", "enc")
    assert (row["decoding"], row["seeds"], row["baseline_seeds"]) == ("constrained", 1, 3)
    assert (
        row["score"],
        row["baseline_score"],
        row["difference"],
        row["ci_low"],
        row["ci_high"],
    ) == (82, 80, 2, 1, 3)


@pytest.mark.parametrize(
    ("row", "family"),
    [
        (comparison(), "primary"),
        (comparison(stratum="3+"), "primary"),
        (comparison(stratum="1"), "exploratory"),
        (comparison(measure="recall"), "exploratory"),
        (comparison(stratum="3+ - 1"), "length claim"),
        (comparison(stratum="3+ - 1", measure="recall"), "length claim"),
        (comparison(pair=("other", "llm")), "exploratory"),
        (comparison(baseline_decoding="free"), "exploratory"),  # not how the LLM was chosen on dev
        (comparison(pair=("enc", "other")), "exploratory"),
        (comparison(dataset="d9"), "exploratory"),
        (comparison(dataset="ChemProt-paper"), "exploratory"),
        (comparison(stratum="6+"), "primary"),
        (comparison(stratum="6+ - 1-2"), "length claim"),
    ],
)
def test_the_primary_family_is_one_test_a_dataset_and_stratum(row, family):
    assert judged(row, datasets=("d1", "ChemProt-paper"))["family"].item() == family


def test_the_primary_family_is_adjusted_over_the_datasets_of_a_stratum():
    datasets = ("d1", "d2", "d3")
    rows = [comparison(name, p=p) for name, p in zip(datasets, (0.01, 0.03, 0.04), strict=True)]
    table = judged(*rows, comparison("d1", stratum="3+", p=0.02), datasets=datasets)
    overall, long = table.filter(stratum="all"), table.filter(stratum="3+")
    # Times 3, 2, 1, never falling; the other stratum is a family of its own.
    assert overall["p_holm"].to_list() == [pytest.approx(p) for p in (0.03, 0.06, 0.06)]
    assert overall["verdict"].to_list() == ["higher", "not shown", "not shown"]
    assert (overall["tests"].to_list(), long["tests"].to_list()) == ([3] * 3, [1])
    assert long["p_holm"].item() == 0.02


def test_in_how_many_datasets_the_claim_holds_stands_in_its_rows():
    datasets = ("d1", "d2", "d3")
    rows = [
        comparison("d1", p=0.001),
        comparison("d2", p=0.001, difference=2.0),
        comparison("d3", p=0.8),
    ]
    table = judged(*rows, datasets=datasets)
    assert set(table.select("n_higher", "n_lower").rows()) == {(1, 1)}
    assert table["verdict"].to_list() == ["higher", "lower", "not shown"]


def test_exploration_is_adjusted_over_all_of_a_dataset():
    rows = [
        comparison(pair=("enc", "other"), p=0.01),
        comparison(pair=("enc", "other"), stratum="1", p=0.02),
    ]
    more = comparison("d2", pair=("enc", "other"), p=0.04)
    table = judged(*rows, comparison(measure="recall", p=0.03), more, datasets=("d1", "d2"))
    # Times 3, 2, 1, never falling; the other dataset is a family of its own.
    assert table.sort("dataset", "p")["p_holm"].to_list() == [
        pytest.approx(p) for p in (0.03, 0.04, 0.04, 0.04)
    ]
    assert table.sort("dataset", "p")["tests"].to_list() == [3, 3, 3, 1]
    assert table["n_higher"].null_count() == 4


@pytest.mark.parametrize("few", ["gold_entities", "clusters_with_gold"])
def test_a_stratum_with_fewer_than_30_gets_no_verdict_and_costs_the_others_nothing(few):
    rows = [comparison("d1", p=0.03), comparison("d2", p=0.001, **{few: 29})]
    table = judged(*rows, datasets=("d1", "d2"))
    assert table["too_few"].to_list() == [False, True]
    assert table["verdict"].to_list() == ["higher", "too few"]
    assert table["p_holm"].to_list() == [0.03, None]
    assert judged(comparison(**{few: 30}))["too_few"].item() is False


def test_the_two_measures_of_the_length_claim_are_adjusted_apart():
    rows = [
        comparison(stratum="3+ - 1", measure=measure, p=p)
        for measure, p in (("f1", 0.03), ("recall", 0.04))
    ]
    table = judged(*rows)
    assert (table["p_holm"].to_list(), table["tests"].to_list()) == ([0.03, 0.04], [1, 1])


def test_an_adjusted_p_of_the_level_is_enough():
    assert judged(comparison(p=0.05))["verdict"].item() == "higher"
    assert judged(comparison(p=0.05, difference=2.0))["verdict"].item() == "lower"
    assert judged(comparison(p=0.0501))["verdict"].item() == "not shown"


def test_a_verdict_needs_an_interval_without_zero_too():
    assert judged(comparison(p=0.001, ci_low=-4.0, ci_high=0.1))["verdict"].item() == "not shown"
    assert judged(comparison(p=0.001, ci_low=-4.0, ci_high=0.0))["verdict"].item() == "not shown"
    assert (
        judged(comparison(p=0.001, difference=2.0, ci_low=-0.1, ci_high=4.0))["verdict"].item()
        == "not shown"
    )
    assert (
        judged(comparison(p=0.001, difference=2.0, ci_low=0.1, ci_high=4.0))["verdict"].item()
        == "lower"
    )


def test_the_claims_stand_before_the_exploration():
    rows = [comparison(stratum=stratum) for stratum in ("1", "3+ - 1", "all")]
    assert judged(*rows)["family"].to_list() == ["primary", "length claim", "exploratory"]


def test_without_a_test_there_is_no_verdict():
    (row,) = judged(comparison(p=None, ci_low=None, ci_high=None)).iter_rows(named=True)
    assert (row["p_holm"], row["verdict"]) == (None, None)


def test_without_a_selection_everything_is_exploration():
    table = significance_table(
        pl.DataFrame([comparison()], schema=COMPARISON), pl.DataFrame(schema=SELECTION)
    )
    assert table["family"].to_list() == ["exploratory"]
