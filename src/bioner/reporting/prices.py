"""The price of an LLM: its time and arithmetic per sentence in those of a single encoder."""

from collections.abc import Iterator, Mapping
from typing import Any

import polars as pl

from bioner.io.tables import Schema
from bioner.reporting.efficiency import CONDITIONS, over_seeds
from bioner.reporting.significance import PAIR, chosen_pairs
from bioner.results.load import Results

PRICE: Schema = {
    "dataset": pl.String,
    "protocol": pl.String,
    **dict.fromkeys(PAIR[1:], pl.String),
    "compared": pl.Boolean,
    **{
        f"ratio_{name}": pl.Float64
        for name in (
            "best",
            "best_low",
            "best_high",
            "batch_1",
            "batch_1_low",
            "batch_1_high",
            "flops",
        )
    },
    "batch": pl.Int64,
    "baseline_batch": pl.Int64,
    "seconds_per_sample": pl.Float64,
    "baseline_seconds_per_sample": pl.Float64,
    "precision": pl.String,
    "baseline_precision": pl.String,
    "hardware": pl.String,
    "note": pl.String,
}
SECONDS = "seconds_per_sample"


def price_table(results: Results) -> pl.DataFrame:
    """Divide the times of every LLM by those of every encoder that was timed alike.

    `ratio_best` compares each system at its fastest batch size, `ratio_batch_1` both at batch 1,
    and `ratio_flops` the arithmetic at the fastest batch sizes. `_low` and `_high` divide the LLM's
    least time by the encoder's greatest and the reverse, over all timed passes of all seeds; they
    are null if a side was timed once.

    Returns:
        A row of PRICE per protocol, hardware, LLM and encoder. `compared` marks the pair chosen on
        dev, which always has a row: `note` says why it has no ratio.
    """
    systems = over_seeds(results.timing)
    fastest = systems.sort(SECONDS, maintain_order=True).unique(
        [*CONDITIONS, "model", "decoding"], keep="first", maintain_order=True
    )
    alone = _paired(systems.filter(batch=1)).select(
        *CONDITIONS, *PAIR[1:], pl.col("^ratio_time.*$").name.replace("ratio_time", "ratio_batch_1")
    )
    rows = (
        _paired(fastest)
        .rename(lambda name: name.replace("ratio_time", "ratio_best"))
        .join(alone, on=[*CONDITIONS, *PAIR[1:]], how="left", maintain_order="left")
    )
    chosen = chosen_pairs(results.selection).select(*PAIR, compared=pl.lit(True))
    table = pl.concat(
        [
            rows.join(chosen, on=PAIR, how="left", maintain_order="left"),
            pl.DataFrame(_unpriced(chosen.join(rows, on=PAIR, how="anti"), systems), schema=PRICE),
        ],
        how="diagonal",
    ).with_columns(pl.col("compared").fill_null(False))
    corpora = results.cells["dataset"].unique(maintain_order=True)
    places = pl.DataFrame({"dataset": corpora}).with_row_index("place")
    ordered = table.join(places, on="dataset", how="left", maintain_order="left")
    ordered = ordered.sort("place", "compared", descending=[False, True], maintain_order=True)
    return ordered.select(*PRICE)


def _paired(systems: pl.DataFrame) -> pl.DataFrame:
    """Every LLM with every encoder timed alike, and the ratios of their times and arithmetic."""
    llms = systems.filter(pl.col("family") != "encoder")
    both = llms.join(
        systems.filter(family="encoder"),
        on=CONDITIONS,
        suffix="_of_encoder",
        maintain_order="left_right",
    ).rename(lambda name: f"baseline_{name[:-11]}" if name.endswith("_of_encoder") else name)
    return both.with_columns(
        ratio_time=pl.col(SECONDS) / pl.col(f"baseline_{SECONDS}"),
        ratio_time_low=pl.col("seconds_low") / pl.col("baseline_seconds_high"),
        ratio_time_high=pl.col("seconds_high") / pl.col("baseline_seconds_low"),
        ratio_flops=pl.col("gflop_per_sample") / pl.col("baseline_gflop_per_sample"),
    )


def _unpriced(pairs: pl.DataFrame, systems: pl.DataFrame) -> Iterator[dict[str, Any]]:
    """Say why these pairs have no ratio."""
    for pair in pairs.iter_rows(named=True):
        conditions = {}
        for side in ("", "baseline_"):
            name = system_name(pair, side)
            timed = systems.filter(
                dataset=pair["dataset"],
                model=pair[f"{side}model"],
                decoding=pair[f"{side}decoding"],
            )
            how = timed.select(pl.format("{} in {}", "hardware", "precision").unique().sort())
            conditions[name] = " and ".join(how.to_series()) or None
        untimed = [name for name, how in conditions.items() if how is None]
        note = (
            f"{' and '.join(untimed)} not timed"
            if untimed
            else "; ".join(f"{name} timed on {how}" for name, how in conditions.items())
        )
        yield pair | {"note": note}


def write_price(row: Mapping[str, Any], prices: pl.DataFrame) -> str:
    """Say what the LLM of a comparison costs in time and arithmetic against its encoder.

    Args:
        row: Of the pair (PAIR), the LLM first.
        prices: The table of `price_table`.
    """
    pair = prices.filter(**{name: row[name] for name in PAIR})
    priced = pair.drop_nulls("ratio_best").unique("protocol", keep="first", maintain_order=True)
    say = {"fair": _fair, "paper": _paper}
    said = [say[each["protocol"]](each) for each in priced.iter_rows(named=True)]
    if not said:
        why = next(iter(pair["note"].drop_nulls()), "not timed under equal conditions")
        return f"What the LLM costs in time is not known: {why}."
    return " ".join(said)


def _fair(row: Mapping[str, Any]) -> str:
    batches = f"{row['batch']:,} and {row['baseline_batch']:,}"
    costs = [
        f"takes {_times(row, 'best')} as long per sentence as {system_name(row, 'baseline_')}, each"
        f" at its best batch size ({batches})"
    ]
    if row["ratio_batch_1"] is not None:
        costs.append(f"{_times(row, 'batch_1')} with one sentence at a time")
    if row["ratio_flops"] is not None:
        costs.append(f"needs {_times(row, 'flops')} the arithmetic")
    *first, last = costs
    said = f"{', '.join(first)}, and {last}" if first else last
    spread = "" if row["ratio_best_low"] is None else "; ranges over repeated passes"
    return f"The LLM {said} ({row['hardware']}, {row['precision']}{spread})."


def _paper(row: Mapping[str, Any]) -> str:
    how = f"{row['hardware']}, {row['precision']} against {row['baseline_precision']}"
    encoder = system_name(row, "baseline_")
    return (
        f"By the paper's protocol the LLM takes {_times(row, 'best')} as long as {encoder} ({how})."
    )


def system_name(row: Mapping[str, Any], side: str) -> str:
    """Return the model of a side (`` or `baseline_`), with its decoding if it has several."""
    decoding = row[f"{side}decoding"]
    return f"{row[f'{side}model']}" + ("" if decoding == "direct" else f" ({decoding})")


def _times(row: Mapping[str, Any], ratio: str) -> str:
    """Return a ratio with its range, if it has one."""
    low, high = row.get(f"ratio_{ratio}_low"), row.get(f"ratio_{ratio}_high")
    within = "" if low is None or high is None else f" ({_number(low)} to {_number(high)})"
    return f"{_number(row[f'ratio_{ratio}'])} times{within}"


def _number(ratio: float) -> str:
    return f"{ratio:.1f}" if ratio >= 1 else f"{ratio:.2g}"
