"""Rows of score, timing and statistics tables, and the only row of a table that is asked for."""

import polars as pl

from bioner.corpora.statistics import STATISTICS
from bioner.scoring.table import SCORE_SCHEMA
from bioner.timing import TIMING

CELL = {"scorer": "paper", "label": "all"}


def scored(dataset="BC5CDR", model="bert-large-cased", decoding="direct", stratum="all", scheme="strict", f1=(87.0,)):
    """Rows of a score table, an F1 a seed, each with an interval of one point on both sides."""
    whose = {"dataset": dataset, "model": model, "decoding": decoding, "scheme": scheme, "stratum": stratum, **CELL}
    values = [{"seed": seed, "f1": each, "f1_low": each - 1, "f1_high": each + 1} for seed, each in enumerate(f1)]
    rows = [whose | value | {"precision": value["f1"], "recall": value["f1"]} for value in values]
    return pl.DataFrame(rows, schema=SCORE_SCHEMA)


def timed(model="deberta-v3-large", seconds=(0.0477,), seed=1, **changes):
    """Rows of a timing table like the paper's, each under the next seed."""
    row = {"dataset": "BC5CDR", "model": model, "batch": 1, "decoding": "direct", "protocol": "paper"}
    row |= {"hardware": "NVIDIA H100 80GB HBM3"} | changes
    rows = [row | {"seed": seed + number, "seconds_per_sample": each} for number, each in enumerate(seconds)]
    return pl.DataFrame(rows, schema=TIMING | {"protocol": pl.String})


def counted(dataset, statistic, stratum, value, split="test"):
    return pl.DataFrame([(dataset, split, statistic, stratum, value)], schema=STATISTICS, orient="row")


def cell(numbers: pl.DataFrame, /, **where) -> dict:
    (found,) = numbers.filter(**where).iter_rows(named=True)
    return found
