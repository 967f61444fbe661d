"""Costs of systems: Table IV beside the paper's, and costs of training and of 1,000 sentences."""

from collections.abc import Mapping
from typing import Any

import polars as pl
from polars import selectors

from bioner.inference.timing import SPREAD
from bioner.io.tables import Schema
from bioner.reporting.tables import AVERAGE, BERT_FAMILY, in_order, paper_table
from bioner.results.cells import notes
from bioner.results.load import Results
from bioner.settings.config import Prices

# Times are only compared under equal conditions. The paper's protocol has a precision per family.
COMPARED_IN = (
    pl.when(pl.col("protocol") == "paper").then(pl.lit("paper")).otherwise("precision")
).alias("compared_in")
CONDITIONS = ["dataset", "protocol", "compared_in", "hardware"]
KEYS = [*CONDITIONS, "precision", "family", "decoding", "draft", "batch"]
MEANS = [
    "seconds_per_sample",
    *SPREAD,
    "seconds_median",
    "seconds_p95",
    "gflop_per_sample",
    "energy_wh_per_sample",
]
SIZES = ["others_on_gpu", "peak_memory_gb", "peak_gpu_memory_gb"]
SENTENCES = 1000
PAPER_HARDWARE = "H100"
# The paper timed encoders one sentence at a time and free generation in batches of 16.
NEAR_THE_PAPER = ((pl.col("family") == "encoder") & (pl.col("batch") == 1)) | (
    pl.col("decoding").is_in(["free", "free-paper"]) & (pl.col("batch") == 16)
)

COST: Schema = {
    "dataset": pl.String,
    "model": pl.String,
    "seed": pl.Int64,
    "stage": pl.String,
    "decoding": pl.String,
    "seconds": pl.Float64,
    "gpus": pl.Int64,
    "gpu_hours": pl.Float64,
    "energy_kwh": pl.Float64,
    "money": pl.Float64,
    "currency": pl.String,
    "peak_memory_gb": pl.Float64,
    "peak_gpu_memory_gb": pl.Float64,
    "trained_parameters": pl.Int64,
    "trials": pl.Int64,
    "hardware": pl.String,
    "note": pl.String,
}


def time_table(results: Results) -> pl.DataFrame:
    """Build Table IV: inference seconds per sample, with the average of the BERT family.

    `seconds_low` and `seconds_high` are the least and the greatest of all timed passes.
    `seconds_median` and `seconds_p95` are of single sentences (batch 1). Ratios compare an LLM with
    encoders on the same dataset, protocol, hardware and, under the fair protocol, precision: the
    average of the BERT family if all three were timed, else of all encoders (`price_table` has
    single encoders). `ratio_time` and `ratio_flops` are at the same batch size (`baseline`);
    `ratio_time_best` compares best batches (`baseline_best`, each encoder at its own best);
    `paper_ratio` is the published one. The difference to the paper is only given for rows that ran
    like the paper's on an H100: by its protocol if timed by it, else encoders at batch 1 and free
    generation at batch 16.
    """
    ours = over_seeds(results.timing)
    encoders = ours.filter(family="encoder")
    baselines = _baselines(encoders, KEYS)
    rows = pl.concat([ours, baselines.filter(model=AVERAGE).select(ours.columns)])
    fastest = pl.col("seconds_per_sample").min().over([*CONDITIONS, "model", "decoding"])
    rows = rows.with_columns(best_batch=pl.col("seconds_per_sample") == fastest)
    each_at_best = encoders.group_by([*CONDITIONS, "model"], maintain_order=True).agg(
        pl.col("seconds_per_sample").min()
    )
    rows = _with_ratios(rows, baselines, _baselines(each_at_best, CONDITIONS))
    paper = paper_table("table4_inference_seconds")
    average = paper.filter(model=AVERAGE).select("dataset", average="paper_seconds_per_sample")
    published = pl.col("paper_seconds_per_sample")
    table = (
        rows.join(paper, on=["dataset", "model"], how="left", maintain_order="left")
        .join(average, on="dataset", how="left", maintain_order="left")
        .with_columns(
            difference=pl.when(_like_the_paper(rows)).then(
                pl.col("seconds_per_sample") - published
            ),
            paper_ratio=pl.when(pl.col("family") != "encoder").then(published / pl.col("average")),
        )
        .drop("average", "compared_in")
    )
    first = [
        *("dataset", "model", "decoding", "protocol", "batch"),
        *("seconds_per_sample", *SPREAD, "paper_seconds_per_sample", "difference"),
    ]
    table = table.select(*first, pl.exclude(first))
    untimed = _untimed(results).join(
        table, on=["dataset", "model"], how="anti", maintain_order="left"
    )
    missing = untimed.join(paper, on=["dataset", "model"], how="left", maintain_order="left")
    return in_order(pl.concat([table, missing], how="diagonal_relaxed"), results.cells)


def over_seeds(timing: pl.DataFrame) -> pl.DataFrame:
    """Average what was timed alike over seeds; a single pass in all has no spread."""
    least, greatest = pl.col("seconds_low").min(), pl.col("seconds_high").max()
    passes = pl.col("repeats").sum()
    return (
        timing.with_columns(COMPARED_IN)
        .group_by([*KEYS, "model"], maintain_order=True)
        .agg(
            pl.col(MEANS).exclude(SPREAD).mean(),
            pl.when(passes > 1).then(least).alias("seconds_low"),
            pl.when(passes > 1).then(greatest).alias("seconds_high"),
            pl.col(SIZES).max(),
        )
    )


def _untimed(results: Results) -> pl.DataFrame:
    """Why a cell or family average has no time, for all of them: `dataset`, `model`, `note`."""
    trained = results.runs.select("dataset", "model").unique(maintain_order=True)
    family = (
        results.cells.filter(pl.col("model").is_in(BERT_FAMILY))
        .select("dataset")
        .unique(maintain_order=True)
    )
    alike = f"no average: of {', '.join(BERT_FAMILY)} not all were timed alike"
    return pl.concat(
        [
            notes(results.cells),
            trained.with_columns(note=pl.lit("not timed: no sound timing.csv")),
            family.with_columns(model=pl.lit(AVERAGE), note=pl.lit(alike)),
        ]
    )


def _baselines(encoders: pl.DataFrame, keys: list[str]) -> pl.DataFrame:
    """Means of the encoders timed alike: of the BERT family if all of it was, else of all."""

    def mean_of(rows: pl.DataFrame) -> pl.DataFrame:
        return rows.group_by(keys, maintain_order=True).agg(
            selectors.by_name(MEANS, require_all=False).mean(),
            selectors.by_name(SIZES, require_all=False).max(),
            pl.col("model").sort().str.join(", "),
            members=pl.len(),
        )

    family = mean_of(encoders.filter(pl.col("model").is_in(BERT_FAMILY)))
    whole = family.filter(members=len(BERT_FAMILY)).with_columns(model=pl.lit(AVERAGE))
    others = mean_of(encoders).join(whole, on=CONDITIONS, how="anti", maintain_order="left")
    return pl.concat([whole, others])


def _with_ratios(
    rows: pl.DataFrame, baselines: pl.DataFrame, baselines_at_best: pl.DataFrame
) -> pl.DataFrame:
    """Rows of LLMs with their times in those of encoders."""
    seconds, gflop = pl.col("seconds_per_sample"), pl.col("gflop_per_sample")
    same_batch = baselines.select(
        *CONDITIONS,
        "batch",
        baseline="model",
        baseline_seconds="seconds_per_sample",
        baseline_gflop="gflop_per_sample",
    )
    at_best = baselines_at_best.select(
        *CONDITIONS, baseline_best="model", best_seconds="seconds_per_sample"
    )
    llm = pl.col("family") != "encoder"
    best = llm & pl.col("best_batch")
    return (
        rows.join(same_batch, on=[*CONDITIONS, "batch"], how="left", maintain_order="left")
        .join(at_best, on=CONDITIONS, how="left", maintain_order="left")
        .with_columns(
            ratio_time=pl.when(llm).then(seconds / pl.col("baseline_seconds")),
            ratio_flops=pl.when(llm).then(gflop / pl.col("baseline_gflop")),
            ratio_time_best=pl.when(best).then(seconds / pl.col("best_seconds")),
            baseline=pl.when(llm).then("baseline"),
            baseline_best=pl.when(best).then("baseline_best"),
        )
        .drop("baseline_seconds", "baseline_gflop", "best_seconds")
    )


def _like_the_paper(rows: pl.DataFrame) -> pl.Expr:
    """Whether a row ran like the paper's, as nearly as any of its model."""
    by_the_paper = rows.filter(protocol="paper")["model"].unique().implode()
    like = (
        pl.when(pl.col("model").is_in(by_the_paper))
        .then(pl.col("protocol") == "paper")
        .otherwise(NEAR_THE_PAPER)
    )
    return like & pl.col("hardware").str.contains(PAPER_HARDWARE, literal=True)


def cost_table(results: Results, prices: Prices) -> pl.DataFrame:
    """Build the cost table: searches (`search`), trainings (`train`), and `1000 sentences` of test.

    `seed` of a search is the one that its trials ran under. 1,000 sentences take the fastest timed
    way of each decoding, in the mean over the timed seeds (`seed` if there is only one).

    Args:
        prices: per hour. `money` is GPU-hours at `gpu_hour`, or hours
            of a machine without GPUs at `cpu_hour`; empty if the price is unknown.
    """
    searches = results.trials.partition_by("dataset", "model", maintain_order=True)
    rows = [_searched(trials) for trials in searches]
    rows += [_trained(run) for run in results.runs.iter_rows(named=True)]
    rows += [_predicted(row) for row in _fastest(results.timing).iter_rows(named=True)]
    for row in rows:
        price, hours = prices.gpu_hour, row["gpu_hours"]
        if not row["gpus"]:
            price, hours = prices.cpu_hour, (row["seconds"] or 0.0) / 3600
        row["money"] = None if price is None else hours * price
        row["currency"] = prices.currency
    table = pl.DataFrame(rows, schema=COST)
    return in_order(pl.concat([table, notes(results.cells)], how="diagonal_relaxed"), results.cells)


def _searched(trials: pl.DataFrame) -> dict[str, Any]:
    """Row of COST for a search: the sum over its trials."""
    winner, energy = trials.row(0, named=True), trials["energy_kwh"]
    sums = trials.select(pl.col("seconds", "gpu_hours").sum(), pl.col("^peak_.*$").max())
    found = sums.row(0, named=True)
    return {
        **{name: value for name, value in winner.items() if name in COST},
        **found,
        "stage": "search",
        "gpus": round(found["gpu_hours"] * 3600 / found["seconds"]),  # of every trial
        "energy_kwh": None if energy.null_count() else energy.sum(),
        "trials": len(trials),
    }


def _trained(run: Mapping[str, Any]) -> dict[str, Any]:
    """Row of COST for a training."""
    return {name: value for name, value in run.items() if name in COST} | {"stage": "train"}


def _fastest(timing: pl.DataFrame) -> pl.DataFrame:
    """The fastest way of each decoding by the fair protocol, mean over seeds."""
    fair = (
        timing.filter(protocol="fair")
        .with_columns(COMPARED_IN)
        .group_by([*KEYS, "model"], maintain_order=True)
        .agg(
            pl.when(pl.col("seed").n_unique() == 1).then(pl.col("seed").first()).alias("seed"),
            pl.col(MEANS).mean(),
            pl.col("peak_memory_gb", "peak_gpu_memory_gb").max(),
        )
    )
    least = pl.col("seconds_per_sample").min().over("dataset", "model", "decoding")
    return fair.filter(pl.col("seconds_per_sample") == least).unique(
        ["dataset", "model", "decoding"], keep="first", maintain_order=True
    )


def _predicted(row: Mapping[str, Any]) -> dict[str, Any]:
    seconds, energy = row["seconds_per_sample"] * SENTENCES, row["energy_wh_per_sample"]
    on_gpu = row["peak_gpu_memory_gb"] is not None
    return {
        **{name: row[name] for name in ("dataset", "model", "seed", "decoding", "hardware")},
        "stage": f"{SENTENCES} sentences",
        "seconds": seconds,
        "gpus": int(on_gpu),
        "gpu_hours": seconds / 3600 if on_gpu else 0.0,
        "energy_kwh": None if energy is None else energy * SENTENCES / 1000,
        "peak_memory_gb": row["peak_memory_gb"],
        "peak_gpu_memory_gb": row["peak_gpu_memory_gb"],
        "note": f"batch {row['batch']}",
    }
