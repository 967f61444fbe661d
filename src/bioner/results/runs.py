"""Costs and learning curves of trainings, and the trials of their search."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl

from bioner.comparison.predictions import PredictionAgreement
from bioner.errors import InputError
from bioner.io.records import AsTrained, RunRecord, read_record
from bioner.io.tables import Schema
from bioner.results import layout
from bioner.results.consistency import RunRecords, unlike_winner
from bioner.settings.model_entry import ModelEntry
from bioner.training.search import SEARCH, gpu_hours, read_search

RUNS: Schema = {
    "dataset": pl.String,
    "model": pl.String,
    "seed": pl.Int64,
    "trained_parameters": pl.Int64,
    "seconds": pl.Float64,
    "gpus": pl.Int64,
    "gpu_hours": pl.Float64,
    "energy_kwh": pl.Float64,
    "peak_memory_gb": pl.Float64,
    "peak_gpu_memory_gb": pl.Float64,
    "hardware": pl.String,
    "merging": pl.String,  # why the merged weights that predict are no substitute; else null
}
TRIALS: Schema = {
    "dataset": pl.String,
    "model": pl.String,
    "seed": pl.Int64,
    "trained_parameters": pl.Int64,
    "hardware": pl.String,
    **SEARCH,
}
CURVES: Schema = {
    "dataset": pl.String,
    "model": pl.String,
    "seed": pl.Int64,
    "epoch": pl.Float64,
    "dev_strict_f1": pl.Float64,
    "kept": pl.Boolean,
}


def read_runs(
    cell: Path, dataset: str, model: str, records: RunRecords
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return costs (RUNS) and dev scores by epoch (CURVES) of a cell's trainings."""
    rows, curves = [pl.DataFrame(schema=RUNS)], [pl.DataFrame(schema=CURVES)]
    merged = {seed for (seed, decoding), record in records.items() if decoding and record.merged}
    for (seed, decoding), record in records.items():
        if not decoding:
            folder, whose = cell / f"seed{seed}", {"dataset": dataset, "model": model}
            rows.append(_run(folder / layout.RECORD, record, whose, seed in merged))
            curves.append(_curve(folder / layout.HISTORY, record, whose | {"seed": seed}))
    return pl.concat(rows), pl.concat(curves)


def read_trials(
    cell: Path, dataset: str, model: str, records: RunRecords, entry: ModelEntry | None
) -> pl.DataFrame:
    """Return the trials of a cell's search (TRIALS), the winner first; none without a search.

    Seed, parameters and hardware are those of the winner; null if its run.json is gone. A search of
    another run is left out: one that the model's entry does not have, or, if the entry is unknown,
    one that chose other values than the cell was trained with.
    """
    path, none = cell / layout.SEARCH, pl.DataFrame(schema=TRIALS)
    if not path.is_file() or (entry and not entry.searched()):
        return none
    trials = read_search(path)
    best = trials.row(0, named=True)
    trainings = [record for (_, decoding), record in records.items() if not decoding]
    if entry is None and any(unlike_winner(record, best) for record in trainings):
        return none
    winner = cell / "trials" / Path(best["trial"]).name / layout.RECORD
    record = read_record(winner) if winner.is_file() else RunRecord()
    about = {
        "dataset": dataset,
        "model": model,
        "seed": record.seed,
        "trained_parameters": record.trained_parameters,
        "hardware": _hardware(record),
    }
    columns = [pl.lit(value).cast(TRIALS[name]).alias(name) for name, value in about.items()]
    return trials.with_columns(*columns).select(list(TRIALS))


def _hardware(record: RunRecord) -> str | None:
    return ", ".join(record.gpus_of("train")) or record.cpu


def _run(
    path: Path, record: RunRecord, whose: Mapping[str, Any], predicts_merged: bool
) -> pl.DataFrame:
    if record.wall_seconds is None or record.seed is None:
        found, remedy = "a record without seed or wall_seconds", "Train the cell again."
        raise InputError(path, found, "what `bioner train` wrote", remedy)
    gpus, as_trained = record.gpus_of("train"), record.as_trained
    row = {
        **whose,
        "seed": record.seed,
        "trained_parameters": record.trained_parameters,
        "seconds": record.wall_seconds,
        "gpus": len(gpus),
        "gpu_hours": gpu_hours(record),
        "energy_kwh": record.energy_kwh,
        "peak_memory_gb": record.peak_memory_gb,
        "peak_gpu_memory_gb": record.peak_gpu_memory_gb if gpus else None,
        "hardware": _hardware(record),
        "merging": _agreement(as_trained).fault if as_trained and predicts_merged else None,
    }
    return pl.DataFrame([row], schema=RUNS)


def _agreement(found: AsTrained) -> PredictionAgreement:
    return PredictionAgreement(**found.model_dump(include=set(PredictionAgreement._fields)))


def _curve(path: Path, record: RunRecord, whose: Mapping[str, Any]) -> pl.DataFrame:
    """Dev F1 by epoch, if measured; `kept` marks the epoch whose weights were saved."""
    if not path.is_file():
        return pl.DataFrame(schema=CURVES)
    names = ["epoch", "dev_strict_f1"]
    try:
        table = pl.read_csv(path, glob=False, columns=names).select(pl.col(names).cast(pl.Float64))
    except (pl.exceptions.PolarsError, OSError):
        remedy = "Train the cell again."
        raise InputError(
            path, "an unreadable table", "the history that `bioner train` wrote", remedy
        ) from None
    rows = table.drop_nulls().with_columns(
        *(pl.lit(value).alias(name) for name, value in whose.items()),
        kept=pl.col("epoch").eq_missing(record.kept.epoch),
    )
    return rows.select(pl.col(name).cast(kind) for name, kind in CURVES.items())
