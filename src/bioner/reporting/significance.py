"""Significance of comparisons: the primary family, the paper's length claim, exploration."""

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

import polars as pl

from bioner.comparison.compare import COMPARISON
from bioner.comparison.multiplicity import holds_in, holm
from bioner.io.tables import Schema
from bioner.reporting.tables import REPRODUCTION

FEWEST = 30  # gold entities, and clusters with any, that a verdict needs
LEVEL = 0.05
FAMILIES = ("primary", "length claim", "exploratory")
WHAT = ("dataset", "model", "decoding", "baseline_model", "baseline_decoding", "measure", "stratum")
FOUND = ("score", "baseline_score", "difference", "ci_low", "ci_high", "p")
SIGNIFICANCE: Schema = {
    "family": pl.String,
    **{name: COMPARISON[name] for name in (*WHAT, *FOUND)},
    "p_holm": pl.Float64,
    "verdict": pl.String,
    "n_higher": pl.Int64,
    "n_lower": pl.Int64,
    "tests": pl.Int64,
    "too_few": pl.Boolean,
    **{name: kind for name, kind in COMPARISON.items() if name not in (*WHAT, *FOUND)},
}

JudgedComparison = dict[str, Any]
SystemName = tuple[str, str]  # model and decoding


def significance_table(comparisons: pl.DataFrame, selection: pl.DataFrame) -> pl.DataFrame:
    """Return every comparison with its family of tests, adjusted p-value and verdict.

    `primary`: the best LLM against the best encoder, both chosen on dev, by strict F1 overall and
    in the last length bucket; Holm over datasets, per stratum. `length claim`: the same systems,
    last bucket minus first, by F1 and by recall; Holm over datasets. `exploratory`: all others;
    Holm per dataset. The reproduction of the paper's mislabelled ChemProt is not part of a claim.

    `tests` is the number adjusted together. A stratum with fewer than 30 gold entities, or
    documents with any, is `too_few`: it has no verdict and no part in the adjustment. `higher` and
    `lower` need an adjusted p of at most 0.05 and an interval without 0. `n_higher` and `n_lower`
    are the numbers of datasets in which the claim holds, at least.
    """
    chosen = {
        (row["dataset"], row["family"]): (row["model"], row["decoding"])
        for row in selection.filter("chosen").iter_rows(named=True)
    }
    rows = [_placed(row, chosen) for row in comparisons.iter_rows(named=True)]
    tested = [row for row in rows if not row["too_few"] and row["p"] is not None]
    for _, family in groupby(sorted(tested, key=_adjusted_with), key=_adjusted_with):
        _judge(list(family))
    rows.sort(key=lambda row: FAMILIES.index(row["family"]))
    return pl.DataFrame(rows, schema=SIGNIFICANCE)


def _placed(
    row: JudgedComparison, chosen: Mapping[tuple[str, str], SystemName]
) -> JudgedComparison:
    """The row in its family; of the chosen pair, positive differences favour the LLM."""
    pair = chosen.get((row["dataset"], "encoder")), chosen.get((row["dataset"], "llm"))
    if _systems(row) == pair:
        row = _turned(row)
    family = "exploratory"
    if None not in pair and _systems(row) == pair[::-1] and row["dataset"] != REPRODUCTION:
        if " - " in row["stratum"]:
            family = "length claim"
        elif row["measure"] == "f1" and (row["stratum"] == "all" or row["stratum"].endswith("+")):
            family = "primary"
    too_few = min(row["gold_entities"], row["clusters_with_gold"]) < FEWEST
    verdict = "too few" if too_few else None
    return {"family": family, **row, "too_few": too_few, "verdict": verdict}


def _systems(row: JudgedComparison) -> tuple[SystemName, SystemName]:
    return (row["model"], row["decoding"]), (row["baseline_model"], row["baseline_decoding"])


def _turned(row: JudgedComparison) -> JudgedComparison:
    sides = {name: row[f"baseline_{name}"] for name in ("model", "decoding", "seeds", "score")}
    sides |= {f"baseline_{name}": row[name] for name in sides}
    numbers = {"difference": row["difference"], "ci_low": row["ci_high"], "ci_high": row["ci_low"]}
    return (
        row
        | sides
        | {name: None if value is None else 0.0 - value for name, value in numbers.items()}
    )


def _adjusted_with(row: JudgedComparison) -> tuple[str, ...]:
    """What rows that are adjusted together have in common."""
    if row["family"] == "exploratory":
        return row["family"], row["dataset"]
    return row["family"], row["measure"], row["stratum"]


def _judge(family: Sequence[JudgedComparison]) -> None:
    p_values, differences = [row["p"] for row in family], [row["difference"] for row in family]
    counts = {}
    if family[0]["family"] != "exploratory":
        counts["n_higher"] = holds_in(differences, p_values, LEVEL)
        counts["n_lower"] = holds_in([-difference for difference in differences], p_values, LEVEL)
    for row, p_holm in zip(family, holm(p_values), strict=True):
        row |= {"tests": len(family), "p_holm": p_holm, "verdict": "not shown", **counts}
        if p_holm <= LEVEL and row["ci_low"] > 0:
            row["verdict"] = "higher"
        elif p_holm <= LEVEL and row["ci_high"] < 0:
            row["verdict"] = "lower"
