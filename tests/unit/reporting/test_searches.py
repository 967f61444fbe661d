"""Searches at equal budgets, with numbers worked out by hand, and the note on who chose."""

import polars as pl
import pytest

from bioner.reporting.searches import note_on_selection, searches_table
from bioner.results.runs import TRIALS
from bioner.scoring.selection import REPORTED_RUNS
from tests.unit.scoring.chosen import chosen_everywhere


def search(model: str, *trials: tuple[float | None, float, float]) -> pl.DataFrame:
    """Trials (F1 on dev, seconds, GPU-hours) of a model, the best first."""
    rows = [
        {"dataset": "d", "model": model, "dev_strict_f1": f1, "seconds": took, "gpu_hours": hours}
        for f1, took, hours in trials
    ]
    return pl.DataFrame(rows, schema=TRIALS)


THREE = ((80.0, 60.0, 2.0), (70.0, 60.0, 1.0), (60.0, 60.0, 3.0))
TWO = ((90.0, 60.0, 1.0), (50.0, 60.0, 2.0))


def test_at_equal_trials_and_at_equal_gpu_hours_the_longer_search_is_cut():
    table = searches_table(pl.concat([search("three", *THREE), search("two", *TWO)]))
    assert table["equal_trials"].to_list() == [2, 2]
    # Pairs of 80, 70, 60: (80 + 80 + 70) / 3.
    assert table["dev_f1_at_equal_trials"].to_list() == [pytest.approx(230 / 3), 90]
    # 3 GPU-hours pay for 1.5 trials of 2 hours: between 70 (one) and 230 / 3 (two).
    assert table["budget"].to_list() == [3, 3]
    assert table["budget_unit"].to_list() == ["GPU-hours"] * 2
    assert table["trials_in_budget"].to_list() == [1.5, 2]
    assert table["dev_f1_in_budget"].to_list() == [pytest.approx((70 + 230 / 3) / 2), 90]


def test_a_budget_below_one_trial_buys_nothing():
    dear = [(f1, took, 10 * hours) for f1, took, hours in TWO]
    table = searches_table(pl.concat([search("three", *THREE), search("dear", *dear)]))
    assert table["trials_in_budget"].to_list() == [3, pytest.approx(6 / 15)]
    assert table["dev_f1_in_budget"].to_list() == [80, None]


def test_without_gpus_seconds_are_equal_and_with_some_nothing_is():
    on_cpu = [(f1, took, 0.0) for f1, took, _ in TWO]
    longer = [(f1, 2 * took, 0.0) for f1, took, _ in TWO]
    table = searches_table(pl.concat([search("a", *on_cpu), search("b", *longer)]))
    assert set(table["budget_unit"]) == {"seconds"}
    assert table["trials_in_budget"].to_list() == [2, 1]
    assert table["dev_f1_in_budget"].to_list() == [90, 70]
    mixed = searches_table(pl.concat([search("a", *on_cpu), search("b", *TWO)]))
    unknown = mixed.select("budget", "budget_unit", "trials_in_budget", "dev_f1_in_budget")
    assert unknown.null_count().row(0) == (2, 2, 2, 2)


def test_datasets_have_budgets_of_their_own_and_a_trial_without_f1_is_0():
    other = search("three", *THREE).with_columns(dataset=pl.lit("e"))
    diverged = search("two", (90.0, 60.0, 1.0), (None, 60.0, 1.0))
    table = searches_table(pl.concat([other, diverged]))
    assert table.select("dataset", "equal_trials", "budget").rows() == [("e", 3, 6), ("d", 2, 2)]
    single = searches_table(pl.concat([diverged, search("one", (10.0, 60.0, 1.0))]))
    assert single["dev_f1_at_equal_trials"].to_list() == [45, 10]
    nothing = searches_table(search("no", (None, 60.0, 1.0), (None, 60.0, 1.0)))
    assert nothing["dev_f1_at_equal_trials"].to_list() == [None]
    assert searches_table(pl.DataFrame(schema=TRIALS)).is_empty()


def test_the_best_that_reported_runs_chose_among_several_are_named():
    table = chosen_everywhere("d1", "d2")
    assert note_on_selection(table) is None, "searches chose"
    by_runs = table.with_columns(chosen_by=pl.lit(REPORTED_RUNS))
    note = note_on_selection(by_runs)
    assert note.startswith("The reported runs themselves chose the best encoder of d1, d2 on dev")
    alone = by_runs.filter(pl.col("model") != "other")
    assert note_on_selection(alone) is None, "one of one"
