"""Score files: one prediction file scored, and the score files of a cell gathered."""

from collections.abc import Sequence
from pathlib import Path

import polars as pl

from bioner.instances import Instance, Prediction
from bioner.scoring.semeval import semeval_rows
from bioner.scoring.table import SCORE_SCHEMA
from bioner.tables import read_table


def score(
    gold: Sequence[Instance],
    predictions: Sequence[Prediction],
    dataset: str | None = None,
    model: str | None = None,
    seed: int | None = None,
    decoding: str | None = None,
    length_cuts: Sequence[int] = (1, 2),
    per_type: bool = True,
) -> pl.DataFrame:
    """The long score table of one prediction file; columns without a source are null."""
    whose = {"dataset": dataset, "model": model, "seed": seed, "decoding": decoding, "f1_low": None, "f1_high": None}
    rows = [whose | row for row in semeval_rows(gold, predictions, length_cuts, per_type)]
    return pl.DataFrame(rows, schema=SCORE_SCHEMA)


def read_scores(path: Path) -> pl.DataFrame:
    """A score file, with its columns checked."""
    return read_table(path, SCORE_SCHEMA)
