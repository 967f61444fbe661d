"""The long score table: its columns, and precision, recall and F1 from counts."""

from dataclasses import dataclass

import polars as pl

from bioner.tables import Schema

SCORE_SCHEMA: Schema = {
    "dataset": pl.String,
    "model": pl.String,
    "seed": pl.Int64,
    "decoding": pl.String,
    "scorer": pl.String,
    "scheme": pl.String,
    "stratum": pl.String,
    "label": pl.String,
    "correct": pl.Int64,
    "incorrect": pl.Int64,
    "partial": pl.Int64,
    "missed": pl.Int64,
    "spurious": pl.Int64,
    "possible": pl.Int64,
    "actual": pl.Int64,
    "precision": pl.Float64,
    "recall": pl.Float64,
    "f1": pl.Float64,
    "f1_low": pl.Float64,
    "f1_high": pl.Float64,
}


@dataclass(frozen=True, slots=True)
class Counts:
    """Entity counts of one score; None where the scheme has no such count (length buckets match exactly or not)."""

    correct: int
    possible: int
    actual: int
    incorrect: int | None = None
    partial: int | None = None
    missed: int | None = None
    spurious: int | None = None

    def prf(self, partial_credit: float = 0.0) -> tuple[float | None, float | None, float | None]:
        """Precision, recall, F1 in percent (SemEval 2013 task 9).

        An empty denominator gives 0 for the one ratio, as in nervaluate; where there is neither gold nor prediction
        all three are undefined and None.
        """
        if not self.possible and not self.actual:
            return None, None, None
        credit = self.correct + partial_credit * (self.partial or 0)
        precision = 100 * credit / self.actual if self.actual else 0.0
        recall = 100 * credit / self.possible if self.possible else 0.0
        f1 = 2 * precision * recall / (precision + recall) if precision + recall else 0.0
        return precision, recall, f1
