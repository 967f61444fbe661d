"""Costs and learning curves of trainings: run.json, search.csv and history.csv of each seed."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl

from bioner.errors import InputError
from bioner.io.records import RunRecord
from bioner.io.tables import Schema, read_table
from bioner.results import layout
from bioner.results.consistency import RunRecords
from bioner.training.search import SEARCH, gpu_hours

RUNS: Schema = {
    "dataset": pl.String,
    "model": pl.String,
    "seed": pl.Int64,
    "trained_parameters": pl.Int64,
    "seconds": pl.Float64,
    "gpus": pl.Int64,
    "gpu_hours": pl.Float64,
    "energy_kwh": pl.Float64,
    "trials": pl.Int64,
    "search_seconds": pl.Float64,
    "search_gpu_hours": pl.Float64,
    "search_energy_kwh": pl.Float64,
    "peak_memory_gb": pl.Float64,
    "peak_gpu_memory_gb": pl.Float64,
    "hardware": pl.String,
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
    for (seed, decoding), record in records.items():
        if not decoding:
            folder, whose = cell / f"seed{seed}", {"dataset": dataset, "model": model}
            rows.append(_run(folder / layout.RECORD, record, whose))
            curves.append(_curve(folder / layout.HISTORY, record, whose | {"seed": seed}))
    return pl.concat(rows), pl.concat(curves)


def _run(path: Path, record: RunRecord, whose: Mapping[str, Any]) -> pl.DataFrame:
    search = path.parents[1] / layout.SEARCH
    took: dict[str, Any] = {}
    # The first seed's training is the best trial of a search; the others took their time, too.
    if record.trial is not None and search.is_file():
        trials = read_table(search, SEARCH, ["trial"])
        energy = trials["energy_kwh"]
        took = {
            "trials": len(trials),
            "search_seconds": trials["seconds"].sum(),
            "search_gpu_hours": trials["gpu_hours"].sum(),
            "search_energy_kwh": None if energy.null_count() else energy.sum(),
        }
    if record.wall_seconds is None or record.seed is None:
        found, remedy = "a record without seed or wall_seconds", "Train the cell again."
        raise InputError(path, found, "what `bioner train` wrote", remedy)
    gpus = record.gpus_of("train")
    row = {
        **whose,
        **took,
        "seed": record.seed,
        "trained_parameters": record.trained_parameters,
        "seconds": record.wall_seconds,
        "gpus": len(gpus),
        "gpu_hours": gpu_hours(record),
        "energy_kwh": record.energy_kwh,
        "peak_memory_gb": record.peak_memory_gb,
        "peak_gpu_memory_gb": record.peak_gpu_memory_gb if gpus else None,
        "hardware": ", ".join(gpus) or record.cpu,
    }
    return pl.DataFrame([row], schema=RUNS)


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
