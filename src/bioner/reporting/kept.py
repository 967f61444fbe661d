"""The files that reports are made of: read, checked, and put together."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from bioner.errors import InputError
from bioner.scoring.compare import COMPARISON
from bioner.scoring.score import read_scores
from bioner.scoring.table import SCORE_SCHEMA
from bioner.tables import Schema, read_table

STATISTICS: Schema = {
    "dataset": pl.String,
    "split": pl.String,
    "statistic": pl.String,
    "stratum": pl.String,
    "value": pl.Float64,
}
TIMING: Schema = {
    "dataset": pl.String,
    "model": pl.String,
    "seed": pl.Int64,
    "batch": pl.Int64,
    "precision": pl.String,
    "decoding": pl.String,
    "draft": pl.String,
    "hardware": pl.String,
    "sentences": pl.Int64,
    "repeats": pl.Int64,
    "seconds_per_sample": pl.Float64,
}
RUNS: Schema = {
    "dataset": pl.String,
    "model": pl.String,
    "seed": pl.Int64,
    "trained_parameters": pl.Int64,
    "train_seconds": pl.Float64,
    "gpu_hours": pl.Float64,
    "peak_memory_gb": pl.Float64,
    "peak_gpu_memory_gb": pl.Float64,
    "hardware": pl.String,
}


@dataclass(frozen=True, slots=True)
class Kept:
    """Everything reports are made of, read from results and data folders."""

    scores: pl.DataFrame
    statistics: pl.DataFrame
    timing: pl.DataFrame
    runs: pl.DataFrame
    comparisons: pl.DataFrame


def read_kept(results: Path, data: Path, datasets: Sequence[str], models: Sequence[str]) -> Kept:
    """Read the files of these cells, in this order; cells without a file are passed over."""
    cells = [(dataset, model, results / dataset / model) for dataset in datasets for model in models]
    scores = [
        _scores_of(dataset, model, path) for dataset, model, cell in cells if (path := cell / "scores.csv").is_file()
    ]
    timing = [read_table(path, TIMING) for _, _, cell in cells if (path := cell / "timing.csv").is_file()]
    statistics = [
        read_table(path, STATISTICS) for dataset in datasets if (path := data / dataset / "stats.csv").is_file()
    ]
    versus = [(cell / "versus" / f"{other}.csv") for _, _, cell in cells for other in models]
    comparisons = [read_table(path, COMPARISON) for path in versus if path.is_file()]
    runs = [
        _run(dataset, model, path)
        for dataset, model, cell in cells
        for seed in _seeds(scores, dataset, model)
        if (path := cell / f"seed{seed}" / "run.json").is_file()
    ]
    return Kept(
        scores=pl.concat(scores) if scores else pl.DataFrame(schema=SCORE_SCHEMA),
        statistics=pl.concat(statistics) if statistics else pl.DataFrame(schema=STATISTICS),
        timing=pl.concat(timing) if timing else pl.DataFrame(schema=TIMING),
        runs=pl.DataFrame(runs, schema=RUNS),
        comparisons=pl.concat(comparisons) if comparisons else pl.DataFrame(schema=COMPARISON),
    )


def _scores_of(dataset: str, model: str, path: Path) -> pl.DataFrame:
    table = read_scores(path)
    for found in table.select("dataset", "model").unique().iter_rows():
        if found != (dataset, model):
            remedy = "Score the cell again, with --dataset and --model."
            raise InputError(path, f"scores of {found[0]} by {found[1]}", f"{dataset} by {model}", remedy)
    return table


def _seeds(scores: Sequence[pl.DataFrame], dataset: str, model: str) -> list[int]:
    found = [table.filter(dataset=dataset, model=model)["seed"].unique().sort().to_list() for table in scores]
    return [seed for seeds in found for seed in seeds]


def _run(dataset: str, model: str, path: Path) -> dict[str, Any]:
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        gpus = record["gpus"][: record["settings"]["resources"]["gpus"]]
        return {
            "dataset": dataset,
            "model": model,
            "seed": record["seed"],
            "trained_parameters": record["trained_parameters"],
            "train_seconds": record["wall_seconds"],
            "gpu_hours": record["wall_seconds"] / 3600 * len(gpus),
            "peak_memory_gb": record["peak_memory_gb"],
            "peak_gpu_memory_gb": record["peak_gpu_memory_gb"] if gpus else None,
            "hardware": ", ".join(gpus) or record["cpu"],
        }
    except (ValueError, KeyError, TypeError) as error:
        found = f"a broken record ({type(error).__name__}: {error})"
        raise InputError(path, found, "what `bioner train` wrote", "Train the cell again.") from None
