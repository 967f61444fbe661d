"""Rows of score, timing and statistics tables, and the only row with given values."""

import polars as pl

from bioner.corpora.statistics import STATISTICS
from bioner.inference.timing import TIMING
from bioner.reporting.published import published
from bioner.results.cells import CELLS
from bioner.results.load import SCHEMAS, Results
from bioner.scoring.table import MEASURES, SCORE_SCHEMA

CELL = {"scorer": "paper", "label": "all"}
ENDS = {"": 0, "_ci_low": -1, "_ci_high": 1}


def scored(
    dataset="BC5CDR",
    model="bert-large-cased",
    decoding="direct",
    stratum="all",
    scheme="strict",
    f1=(87.0,),
):
    """Rows of a score table, one ratio per seed for all measures, with intervals of ± 1 point."""
    whose = {
        "dataset": dataset,
        "model": model,
        "decoding": decoding,
        "scheme": scheme,
        "stratum": stratum,
        **CELL,
    }
    rows = []
    for seed, each in enumerate(f1):
        ratios = {f"{name}{end}": each + off for name in MEASURES for end, off in ENDS.items()}
        rows.append(whose | {"seed": seed} | ratios)
    return pl.DataFrame(rows, schema=SCORE_SCHEMA)


def loaded(**tables) -> Results:
    """Results with only these tables."""
    empty = {
        name: pl.DataFrame(schema=schema) for name, schema in (SCHEMAS | {"cells": CELLS}).items()
    }
    return Results(**empty | tables)


def timed(model="deberta-v3-large", seconds=(0.0477,), seed=1, **changes):
    """Rows of a timing table like the paper's, each under the next seed."""
    row = {
        "dataset": "BC5CDR",
        "model": model,
        "family": "llm" if model.startswith("llama") else "encoder",
        "batch": 1,
        "decoding": "direct",
        "protocol": "paper",
    }
    row |= {"hardware": "NVIDIA H100 80GB HBM3"} | changes
    rows = [
        row | {"seed": seed + number, "seconds_per_sample": each}
        for number, each in enumerate(seconds)
    ]
    return pl.DataFrame(rows, schema=TIMING)


def counted(dataset, statistic, stratum, value, split="test"):
    return pl.DataFrame(
        [(dataset, split, statistic, stratum, value)], schema=STATISTICS, orient="row"
    )


def counts_of(dataset: str, **ours: float) -> pl.DataFrame:
    """Statistics with the paper's counts of a corpus; `ours` replaces instances of a split."""
    rows = published().filter(pl.col("table").is_in(["I", "II"]), dataset=dataset)
    return pl.concat(
        counted(
            dataset,
            "instances" if row["table"] == "I" else "table2_entities",
            row["length"] or "all",
            ours.get(row["split"], row["paper"]) if row["table"] == "I" else row["paper"],
            row["split"],
        )
        for row in rows.iter_rows(named=True)
    )


def cell(numbers: pl.DataFrame, /, **where) -> dict:
    (found,) = numbers.filter(**where).iter_rows(named=True)
    return found
