"""Families of tests, for chosen and other pairs, and whether verdicts survive other rules."""

import polars as pl
import pytest

from bioner.comparison.counts import Unit
from bioner.comparison.measures import measures_of
from bioner.reporting.significance import OTHER_MEASURES, significance_table, stability_table
from bioner.scoring.selection import REPORTED_RUNS, SEARCH, SELECTION
from bioner.settings.config import MARGINS
from tests.unit.comparison.compared import compared, explored, table, untested
from tests.unit.scoring.chosen import chosen_everywhere


def comparison(dataset="d1", pair=("enc", "llm"), make=compared, **more) -> dict:
    """A row in which the encoder is first: -2 is two points in favour of the LLM."""
    row: dict = {"dataset": dataset}
    for side, model in zip(("", "baseline_"), pair, strict=True):
        decoding = "constrained" if model == "llm" else "direct"
        row |= {f"{side}model": model, f"{side}decoding": decoding}
    return make(**(row | more))


def judged(*rows: dict, datasets=("d1",), margins=MARGINS) -> pl.DataFrame:
    return significance_table(table(*rows), chosen_everywhere(*datasets), margins)


def test_of_every_pair_with_an_llm_it_stands_first():
    seeds = {"seeds": 3, "baseline_seeds": 2}
    found = judged(comparison(**seeds), comparison(pair=("other", "llm"), **seeds))
    for row, (family, encoder) in zip(
        found.iter_rows(named=True), [("primary", "enc"), ("exploratory", "other")], strict=True
    ):
        assert (row["family"], row["model"], row["baseline_model"]) == (family, "llm", encoder)
        assert (row["decoding"], row["seeds"], row["baseline_seeds"]) == ("constrained", 2, 3)
        assert (row["score"], row["baseline_score"], row["difference"]) == (82, 80, 2)
        assert 0 < row["low"] < 2 < row["high"]


@pytest.mark.parametrize(
    ("row", "family"),
    [
        (comparison(), "primary"),
        (comparison(stratum="3+"), "primary"),
        (comparison(stratum="1"), "exploratory"),
        (comparison(label="Chemical"), "exploratory"),
        (comparison(measure="recall"), "exploratory"),
        (comparison(measure="relaxed_f1"), "exploratory"),
        (comparison(stratum="3+ - 1"), "length claim"),
        (comparison(stratum="3+ - 1", measure="recall"), "length claim"),
        (comparison(pair=("other", "llm")), "exploratory"),
        (comparison(baseline_decoding="free"), "exploratory"),  # not how the LLM was chosen on dev
        (comparison(pair=("enc", "other")), "exploratory"),
        (comparison(pair=("dictionary", "llm"), deterministic=True), "controls"),
        (comparison(dataset="d9"), "exploratory"),
        (comparison(dataset="ChemProt-paper"), "exploratory"),
        (comparison(stratum="6+"), "primary"),
        (comparison(stratum="6+ - 1-2"), "length claim"),
    ],
)
def test_the_primary_family_is_one_test_per_dataset_and_stratum(row, family):
    assert judged(row, datasets=("d1", "ChemProt-paper"))["family"].item() == family


def test_the_primary_family_is_adjusted_over_the_datasets_of_a_stratum():
    datasets = ("d1", "d2", "d3")
    rows = [comparison(name, p=p) for name, p in zip(datasets, (0.01, 0.03, 0.04), strict=True)]
    found = judged(*rows, comparison("d1", stratum="3+", p=0.02), datasets=datasets)
    overall, long = found.filter(stratum="all"), found.filter(stratum="3+")
    # Times 3, 2, 1, never falling; the other stratum is a family of its own.
    assert overall["p_adjusted"].to_list() == pytest.approx([0.03, 0.06, 0.06])
    assert overall["verdict"].to_list() == ["higher", "inconclusive", "inconclusive"]
    assert (overall["tests"].to_list(), long["tests"].to_list()) == ([3] * 3, [1])
    assert long["p_adjusted"].item() == 0.02


def test_a_primary_test_leaves_its_exploratory_verdict_aside():
    """Max-T over all pairs does not find it; Holm over one dataset does."""
    row = comparison(make=explored, p=0.04, critical=4.0)
    found = judged(row)
    assert (found["adjustment"].item(), found["verdict"].item()) == ("Holm", "higher")
    other = judged(row | {"model": "other"})
    assert (other["adjustment"].item(), other["verdict"].item()) == ("max-T", "inconclusive")


def test_controls_are_adjusted_over_a_dataset_and_measure():
    pairs = [("dictionary", "llm"), ("dictionary", "enc")]
    rows = [comparison(pair=pair, deterministic=True, p=0.03) for pair in pairs]
    rows += [rows[0] | {"measure": "recall"}, rows[0] | {"stratum": "1"}]
    rows += [rows[0] | {"stratum": "2"}, rows[0] | {"dataset": "d2"}]
    found = judged(*rows)
    assert found["tests"].to_list() == [2, 2, 1, 2, 2, 1]
    assert found["n_higher"].null_count() == 6


def test_in_how_many_datasets_the_claim_holds_stands_in_its_rows():
    datasets = ("d1", "d2", "d3", "d4")
    rows = [
        comparison("d1", p=0.001),
        comparison("d2", p=0.001, difference=2.0),
        comparison("d3", p=0.8),
        comparison("d4", make=untested, reason="5 gold entities"),
    ]
    found = judged(*rows, datasets=datasets)
    assert set(found.select("n_higher", "n_lower").rows()) == {(1, 1)}
    assert found["verdict"].to_list() == [
        *("higher", "lower", "inconclusive", "not tested (5 gold entities)")
    ]


def test_the_two_measures_of_the_length_claim_are_adjusted_apart():
    rows = [
        comparison(stratum="3+ - 1", measure=measure, p=p)
        for measure, p in (("f1", 0.03), ("recall", 0.04))
    ]
    found = judged(*rows)
    assert (found["p_adjusted"].to_list(), found["tests"].to_list()) == ([0.03, 0.04], [1, 1])


def test_margins_are_of_a_measure_and_by_default_of_strict_f1_overall():
    rows = [comparison(), comparison(stratum="3+"), comparison(label="Gene")]
    rows += [comparison(measure="recall")]
    key = ("measure", "stratum", "label")
    found = {row[:3]: row[3] for row in judged(*rows).select(*key, "margin").rows()}
    assert {key: margin for key, margin in found.items() if margin} == {("f1", "all", "all"): 1}
    own = judged(*rows, margins={"f1": None, "recall": 2.0, "f1 by length": 3.0})
    found = {row[:3]: row[3] for row in own.select(*key, "margin").rows()}
    assert {key: margin for key, margin in found.items() if margin} == {
        ("f1", "3+", "all"): 3,
        ("recall", "all", "all"): 2,
    }


def test_what_chose_the_pair_stands_in_its_rows():
    rows = table(comparison(), comparison(pair=("other", "llm")))
    found = significance_table(rows, chosen_everywhere("d1"), MARGINS)
    assert found["chosen_by"].to_list() == [SEARCH, None]
    for family, chosen_by in (("encoder", REPORTED_RUNS), ("llm", SEARCH)):  # one LLM: no choice
        by_runs = pl.when(family=family).then(pl.lit(REPORTED_RUNS)).otherwise("chosen_by")
        luck = chosen_everywhere("d1").with_columns(chosen_by=by_runs)
        assert significance_table(rows, luck, MARGINS)["chosen_by"].to_list() == [chosen_by, None]


def test_the_claims_stand_before_exploration_and_controls():
    rows = [comparison(pair=("dictionary", "enc"), deterministic=True)]
    rows += [comparison(stratum=stratum) for stratum in ("1", "3+ - 1", "all")]
    assert judged(*rows)["family"].to_list() == [
        *("primary", "length claim", "exploratory", "controls")
    ]


def test_without_a_selection_everything_is_exploration():
    found = significance_table(table(comparison()), pl.DataFrame(schema=SELECTION), MARGINS)
    assert found["family"].to_list() == ["exploratory"]
    nothing = table(comparison()).clear()
    assert significance_table(nothing, chosen_everywhere("d1"), MARGINS).is_empty()


def test_the_other_rules_are_every_f1_that_systems_are_compared_by():
    names = [name.removesuffix("_f1") for name in OTHER_MEASURES]
    measures = {measure.name for measure in measures_of([Unit(), *map(Unit, names)])}
    assert measures - {"f1", "recall"} == set(OTHER_MEASURES)
    assert len(OTHER_MEASURES) == 7


def test_sign_and_verdict_under_other_rules_are_compared_with_strict_f1():
    rows = [comparison(p=0.001), comparison(measure="relaxed_f1", p=0.001, difference=-3.0)]
    rows += [
        comparison(measure="token_f1", p=0.2),
        comparison(measure="overlap_f1", difference=1.5),
        comparison(measure="overlap_f1", stratum="1"),
        comparison(measure="recall"),
        comparison(pair=("other", "llm")),
        comparison("ChemProt-paper"),
    ]
    found = stability_table(table(*rows), chosen_everywhere("d1", "ChemProt-paper"), MARGINS)
    assert found.select("measure", "verdict", "same_sign", "same_verdict").rows() == [
        ("f1", "higher", None, None),
        ("relaxed_f1", "higher", True, True),
        ("token_f1", "inconclusive", True, False),
        ("overlap_f1", "lower", False, False),
    ]


def test_two_rules_without_a_test_do_not_have_the_same_verdict():
    rows = [comparison(measure=name, untested="9 documents") for name in ("f1", "relaxed_f1")]
    found = stability_table(table(*rows), chosen_everywhere("d1"), MARGINS)
    assert found["same_sign"].to_list() == [None, True]
    assert found["same_verdict"].to_list() == [None, None]


def test_another_rule_is_adjusted_over_datasets_as_strict_f1_is():
    rows = [comparison(name, p=0.03, measure="token_f1") for name in ("d1", "d2")]
    found = stability_table(table(*rows), chosen_everywhere("d1", "d2"), MARGINS)
    assert found["p_adjusted"].to_list() == [0.06, 0.06]
