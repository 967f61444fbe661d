"""The outcome of every cell of the matrix: done, or why its scores are missing, and the log."""

from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass

import polars as pl

from bioner.io.tables import Schema

# In the order in which a reader would fix them.
STATES = {
    "done": "its scores are in the tables",
    "incomplete": "its scores are in the tables, but a job of it failed; `log` says why",
    "refused": "its files belong to other data or another configuration than the rest",
    "broken": "a file of it cannot be read",
    "failed": "a job of it failed; `log` says why",
    "absent": "its corpus is not at hand",
    "not run": "nothing of it is there",
}
SOUND = ("done", "incomplete")  # states of cells whose scores are in the tables
CELLS: Schema = {
    "dataset": pl.String,
    "model": pl.String,
    "state": pl.String,
    "reason": pl.String,
    "log": pl.String,
}


@dataclass(frozen=True, slots=True)
class CellOutcome:
    """The state (one of STATES) of a model on a dataset, with the reason and log, if any."""

    dataset: str
    model: str
    state: str
    reason: str | None = None
    log: str | None = None


def missing(
    dataset: str, model: str, left_out: Mapping[str, str], failed: Mapping[str, str]
) -> CellOutcome:
    """Return why a cell has no scores: no corpus, a failed job, or it did not run."""
    if dataset in left_out:
        return CellOutcome(dataset, model, "absent", left_out[dataset])
    shared = {job: log for job, log in failed.items() if job.split(" ")[1:] in ([dataset], [model])}
    if failure := failure_of(dataset, model, failed) or next(iter(shared.items()), None):
        return CellOutcome(dataset, model, "failed", *failure)
    return CellOutcome(dataset, model, "not run", "no scores found")


def failure_of(dataset: str, model: str, failed: Mapping[str, str]) -> tuple[str, str] | None:
    """Return a cell's first failed job and its log.

    Args:
        failed: Logs by job. A job is its rule and wildcards: `train demo bert-mini 42`.
    """
    return next(
        (failure for failure in failed.items() if failure[0].split(" ")[1:3] == [dataset, model]),
        None,
    )


def cells_table(cells: Sequence[CellOutcome]) -> pl.DataFrame:
    """Return one row per cell, in the order of the configuration."""
    return pl.DataFrame([astuple(cell) for cell in cells], schema=CELLS, orient="row")


def notes(cells: pl.DataFrame) -> pl.DataFrame:
    """Return cells without scores as rows of other tables: `dataset`, `model`, `note`."""
    absent = pl.col("state") == "absent"
    parts = [
        pl.col("state"),
        pl.lit(": ") + pl.when(absent).then(pl.lit(STATES["absent"])).otherwise("reason"),
        pl.lit(" (") + pl.col("log") + pl.lit(")"),
    ]
    without = cells.filter(~pl.col("state").is_in(SOUND))
    return without.select("dataset", "model", note=pl.concat_str(parts, ignore_nulls=True))
