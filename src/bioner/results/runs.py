"""What trainings took and how they went: run.json, search.csv and history.csv of every seed."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from bioner.errors import InputError
from bioner.io.tables import Schema, read_table
from bioner.training.search import SEARCH, gpu_hours, gpus_of

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
    cell: Path, dataset: str, model: str, seeds: Sequence[int]
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """What the trainings of a cell took (RUNS), and their dev scores by epoch (CURVES); controls
    have neither.
    """
    rows, curves = [pl.DataFrame(schema=RUNS)], [pl.DataFrame(schema=CURVES)]
    for seed in seeds:
        path = cell / f"seed{seed}" / "run.json"
        if path.is_file():
            record = _record(path)
            rows.append(_run(path, record, {"dataset": dataset, "model": model}))
            curves += _curve(path.with_name("history.csv"), dataset, model, seed, record)
    return pl.concat(rows), pl.concat(curves)


def _record(path: Path) -> dict[str, Any]:
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise _broken(path, error) from None
    if not isinstance(record, dict):
        raise _broken(path, TypeError("no object"))
    return record


def _run(path: Path, record: dict[str, Any], whose: dict[str, str]) -> pl.DataFrame:
    try:
        gpus = gpus_of(record)
        # The first seed's training is the best trial of a search, and the others took their time,
        # too.
        searched = record.get("trial") is not None and (path.parents[1] / "search.csv").is_file()
        trials = read_table(path.parents[1] / "search.csv", SEARCH, ["trial"]) if searched else None
        row = whose | {
            "seed": record["seed"],
            "trained_parameters": record["trained_parameters"],
            "seconds": record["wall_seconds"],
            "gpus": len(gpus),
            "gpu_hours": gpu_hours(record),
            "energy_kwh": record.get("energy_kwh"),
            "trials": None if trials is None else len(trials),
            "search_seconds": None if trials is None else trials["seconds"].sum(),
            "search_gpu_hours": None if trials is None else trials["gpu_hours"].sum(),
            "search_energy_kwh": None
            if trials is None or trials["energy_kwh"].null_count()
            else trials["energy_kwh"].sum(),
            "peak_memory_gb": record["peak_memory_gb"],
            "peak_gpu_memory_gb": record["peak_gpu_memory_gb"] if gpus else None,
            "hardware": ", ".join(gpus) or record["cpu"],
        }
        return pl.DataFrame([row], schema=RUNS)
    except (ValueError, KeyError, TypeError, pl.exceptions.PolarsError) as error:
        raise _broken(path, error) from None


def _broken(path: Path, error: Exception) -> InputError:
    found = f"a broken record ({type(error).__name__}: {error})"
    return InputError(path, found, "what `bioner train` wrote", "Train the cell again.")


def _curve(
    path: Path, dataset: str, model: str, seed: int, record: dict[str, Any]
) -> Iterator[pl.DataFrame]:
    """Dev F1 by epoch, where it was measured, with the epoch whose weights were kept."""
    if not path.is_file():
        return
    names = ["epoch", "dev_strict_f1"]
    try:
        table = pl.read_csv(path, glob=False, columns=names).select(pl.col(names).cast(pl.Float64))
    except (pl.exceptions.PolarsError, OSError):
        remedy = "Train the cell again."
        raise InputError(
            path, "an unreadable table", "the history that `bioner train` wrote", remedy
        ) from None
    kept = record.get("kept")
    epoch = kept.get("epoch") if isinstance(kept, dict) else None
    whose = (
        pl.lit(value).alias(name)
        for name, value in (("dataset", dataset), ("model", model), ("seed", seed))
    )
    yield (
        table.drop_nulls()
        .with_columns(*whose, kept=pl.col("epoch") == epoch if epoch is not None else pl.lit(False))
        .select(pl.col(name).cast(kind) for name, kind in CURVES.items())
    )
