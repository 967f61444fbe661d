"""Hyper-parameter searches at equal budgets, and what chose the best systems on dev."""

from collections.abc import Sequence

import polars as pl

from bioner.io.tables import Schema
from bioner.scoring.selection import REPORTED_RUNS
from bioner.training.search import expected_best

SEARCHES: Schema = {
    "dataset": pl.String,
    "model": pl.String,
    "trials": pl.Int64,
    "dev_f1": pl.Float64,
    "seconds": pl.Float64,
    "gpu_hours": pl.Float64,
    "equal_trials": pl.Int64,
    "dev_f1_at_equal_trials": pl.Float64,
    "budget": pl.Float64,
    "budget_unit": pl.String,
    "trials_in_budget": pl.Float64,
    "dev_f1_in_budget": pl.Float64,
}


def searches_table(trials: pl.DataFrame) -> pl.DataFrame:
    """Return the expected best strict F1 on dev of each search, at budgets equal within a dataset.

    The expected best of n trials is the mean over all draws of n of the model's trials without
    replacement (Dodge et al. 2019, "Show Your Work"; unbiased as in Tang et al. 2020, "Showing Your
    Work Doesn't Always Work"). A trial that diverged counts as 0.

    `equal_trials` is the smallest number of trials that a searched model of the dataset has.
    `budget` is the smallest total cost that one of them has: in GPU-hours, or in seconds if no
    trial of the dataset had a GPU; there is none if only some had. `trials_in_budget` is the budget
    over the model's mean cost per trial. Between whole numbers of trials F1 is interpolated
    linearly; if the budget pays for less than one trial, there is none.

    Args:
        trials: The trials of all searches (TRIALS in results.runs), the winner of each first.
    """
    has_gpu, unit = pl.col("gpu_hours") > 0, pl.col("budget_unit")
    with_units = trials.with_columns(
        pl.when(has_gpu.all().over("dataset"))
        .then(pl.lit("GPU-hours"))
        .when(~has_gpu.any().over("dataset"))
        .then(pl.lit("seconds"))
        .alias("budget_unit")
    )
    searches = with_units.group_by("dataset", "model", maintain_order=True).agg(
        pl.len().cast(pl.Int64).alias("trials"),
        pl.col("dev_strict_f1").first().alias("dev_f1"),
        pl.col("seconds", "gpu_hours").sum(),
        unit.first(),
        scores=pl.col("dev_strict_f1"),
    )
    cost = pl.when(unit == "GPU-hours").then("gpu_hours").when(unit == "seconds").then("seconds")
    paid = pl.col("trials") * pl.col("budget") / cost
    budgets = searches.with_columns(
        equal_trials=pl.col("trials").min().over("dataset"), budget=cost.min().over("dataset")
    ).with_columns(
        trials_in_budget=pl.when(paid.is_not_null()).then(pl.min_horizontal(paid, "trials"))
    )
    rows = [
        row
        | {
            "dev_f1_at_equal_trials": _expected_best(row["scores"], row["equal_trials"]),
            "dev_f1_in_budget": _expected_best(row["scores"], row["trials_in_budget"]),
        }
        for row in budgets.iter_rows(named=True)
    ]
    return pl.DataFrame(rows, schema=SEARCHES)


def note_on_selection(selection: pl.DataFrame) -> str | None:
    """Return a sentence on the best encoders and LLMs that reported runs chose, if there are any.

    There is no luck in choosing one of one.
    """
    candidates = pl.len().over("dataset", "family")
    chosen = selection.filter(candidates > 1).filter("chosen", chosen_by=REPORTED_RUNS)
    corpora = chosen.group_by("family", maintain_order=True).agg(pl.col("dataset").str.join(", "))
    nouns = {"encoder": "encoder", "llm": "LLM"}
    best = [
        f"the best {nouns[family]} of {names}" for family, names in corpora.sort("family").rows()
    ]
    if not best:
        return None
    return (
        f"The reported runs themselves chose {' and '.join(best)} on dev, since not every candidate"
        " had a search. The luck of this choice raises the scores of those chosen a little;"
        " `chosen_by` in Tables III and V marks them."
    )


def _expected_best(scores: Sequence[float | None], drawn: float | None) -> float | None:
    """Return the expected best of so many trials; None if none is paid for or none has an F1."""
    if drawn is None or drawn < 1 or all(score is None for score in scores):
        return None
    expected = expected_best([score or 0.0 for score in scores])
    whole = int(drawn)
    following = expected[min(whole, len(scores) - 1)]
    return expected[whole - 1] + (drawn - whole) * (following - expected[whole - 1])
