"""The files that reports are made of: read, checked, and put together."""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from bioner.errors import InputError
from bioner.realignment.realign import ALIGNMENT
from bioner.scoring.compare import COMPARISON, read_comparisons
from bioner.scoring.score import read_scores, together
from bioner.scoring.selection import SELECTION, read_selection
from bioner.scoring.table import SCORE_SCHEMA
from bioner.search import SEARCH, gpu_hours, gpus_of
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
ALIGNED: Schema = {
    "dataset": pl.String,
    "model": pl.String,
    "seed": pl.Int64,
    "decoding": pl.String,
    "sentences": pl.Int64,
    **dict.fromkeys(
        (
            *("gold_tokens", "output_tokens", "exact", "substituted", "dropped", "added"),
            *("illegal_tags", "orphan_tags", "hit_budget", "gold_entities", "reachable_entities"),
        ),
        pl.Int64,
    ),
}
RUNS: Schema = {
    "dataset": pl.String,
    "model": pl.String,
    "seed": pl.Int64,
    "trained_parameters": pl.Int64,
    "train_seconds": pl.Float64,
    "gpu_hours": pl.Float64,
    "energy_kwh": pl.Float64,
    "trials": pl.Int64,
    "search_seconds": pl.Float64,
    "search_gpu_hours": pl.Float64,
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
    selection: pl.DataFrame
    alignments: pl.DataFrame


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
    comparisons, selections = (
        [_of_dataset(dataset, path, read) for dataset in datasets if (path := results / dataset / name).is_file()]
        for name, read in (("comparisons.csv", read_comparisons), ("selection.csv", read_selection))
    )
    runs = [
        _run(dataset, model, path)
        for dataset, model, cell in cells
        for seed in _seeds(scores, dataset, model)
        if (path := cell / f"seed{seed}" / "run.json").is_file()
    ]
    return Kept(
        scores=together([pl.DataFrame(schema=SCORE_SCHEMA), *scores]),
        statistics=pl.concat([pl.DataFrame(schema=STATISTICS), *statistics]),
        timing=pl.concat([pl.DataFrame(schema=TIMING), *timing]),
        runs=pl.DataFrame(runs, schema=RUNS),
        comparisons=pl.concat([pl.DataFrame(schema=COMPARISON), *comparisons]).filter(
            pl.col("model").is_in(models), pl.col("versus_model").is_in(models)
        ),
        selection=pl.concat([pl.DataFrame(schema=SELECTION), *selections]),
        alignments=pl.concat([pl.DataFrame(schema=ALIGNED), *_alignments(results, scores)]),
    )


def _alignments(results: Path, scores: Sequence[pl.DataFrame]) -> Iterator[pl.DataFrame]:
    """One row a scored prediction file that came out of realignment."""
    for table in scores:
        for whose in table.select("dataset", "model", "seed", "decoding").unique(maintain_order=True).iter_rows():
            dataset, model, seed, decoding = whose
            path = results / dataset / model / f"seed{seed}" / decoding / "alignment.csv"
            if path.is_file():
                names = [name for name in ALIGNED if name in ALIGNMENT]
                sums = read_table(path, ALIGNMENT, ["id"]).select(pl.len().alias("sentences"), pl.col(names).sum())
                keys = zip(("dataset", "model", "seed", "decoding"), whose, strict=True)
                row = sums.with_columns(pl.lit(value).alias(name) for name, value in keys)
                yield row.select(pl.col(name).cast(kind) for name, kind in ALIGNED.items())


def _of_dataset(dataset: str, path: Path, read: Callable[[Path], pl.DataFrame]) -> pl.DataFrame:
    table = read(path)
    for (found,) in table.select("dataset").unique().iter_rows():
        if found != dataset:
            raise InputError(path, f"rows of {found}", f"of {dataset} alone", "Remake it with --dataset, or move it.")
    return table


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
        gpus = gpus_of(record)
        # The first seed's training is the best trial of a search, and the others took their time, too.
        searched = record.get("trial") is not None and (path.parents[1] / "search.csv").is_file()
        trials = read_table(path.parents[1] / "search.csv", SEARCH, ["trial"]) if searched else None
        return {
            "dataset": dataset,
            "model": model,
            "seed": record["seed"],
            "trained_parameters": record["trained_parameters"],
            "train_seconds": record["wall_seconds"],
            "gpu_hours": gpu_hours(record),
            "energy_kwh": record.get("energy_kwh"),
            "trials": None if trials is None else len(trials),
            "search_seconds": None if trials is None else trials["seconds"].sum(),
            "search_gpu_hours": None if trials is None else trials["gpu_hours"].sum(),
            "peak_memory_gb": record["peak_memory_gb"],
            "peak_gpu_memory_gb": record["peak_gpu_memory_gb"] if gpus else None,
            "hardware": ", ".join(gpus) or record["cpu"],
        }
    except (ValueError, KeyError, TypeError) as error:
        found = f"a broken record ({type(error).__name__}: {error})"
        raise InputError(path, found, "what `bioner train` wrote", "Train the cell again.") from None
