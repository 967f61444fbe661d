"""Every published number as a row of one table, the settings that the paper states, and known
reasons for differences from ours.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from bioner.io.tables import Schema, read_table
from bioner.reporting.tables import LENGTHS, PAPER
from bioner.scoring.table import MEASURES

CELL: Schema = {
    "table": pl.String,
    "dataset": pl.String,
    "model": pl.String,
    "split": pl.String,
    "length": pl.String,
    "measure": pl.String,
    "paper": pl.Float64,
}
# Half a unit of the last digit that a table prints.
HALF_UNIT = {"I": 0.0, "II": 0.0, "III": 0.005, "IV": 0.00005, "V": 0.005}
DIFFERENCES: Schema = dict.fromkeys(
    ("difference", "tables", "datasets", "models", "splits", "lengths", "bars", "why", "source"),
    pl.String,
)
SETTINGS: Schema = dict.fromkeys(("models", "key", "values"), pl.String)
NOISE = 1e-9  # of sums of floats in another order


@dataclass(frozen=True, slots=True)
class Difference:
    """A known reason why published numbers differ from ours.

    `where` restricts it to cells with these values, by column; columns left out match all. `bars`:
    numbers that it concerns cannot be compared.
    """

    name: str
    why: str
    source: str
    where: dict[str, frozenset[str]]
    bars: bool = False

    def concerns(self, cell: dict[str, Any]) -> bool:
        """Return whether this is about a row of `published`."""
        return all(cell[key] in values for key, values in self.where.items())


def published() -> pl.DataFrame:
    """Return every number of Tables I to V once, in the tables' order."""
    counts = _paper("table1_instances").unpivot(
        index="dataset", variable_name="split", value_name="paper"
    )
    sizes = _paper("table2_test_entities").rename(LENGTHS)
    sizes = sizes.unpivot(index="dataset", variable_name="length", value_name="paper")
    seconds = _paper("table4_inference_seconds").rename({"seconds_per_sample": "paper"})
    on_test = pl.lit("test").alias("split")
    parts = [
        counts.with_columns(table=pl.lit("I"), measure=pl.lit("instances")),
        sizes.with_columns(on_test, table=pl.lit("II"), measure=pl.lit("entities")),
        _scores("table3_strict").with_columns(on_test, table=pl.lit("III")),
        seconds.with_columns(on_test, table=pl.lit("IV"), measure=pl.lit("seconds")),
        _scores("table5_relaxed").with_columns(on_test, table=pl.lit("V"), length=pl.lit("all")),
    ]
    rows = pl.concat(
        (part.with_columns(pl.col("paper").cast(pl.Float64)) for part in parts), how="diagonal"
    )
    return rows.select(pl.col(name).cast(kind) for name, kind in CELL.items()).drop_nulls("paper")


def differences() -> list[Difference]:
    """Read the known differences (resources/paper/differences.csv)."""
    table = read_table(
        PAPER / "differences.csv", DIFFERENCES, ["difference", "tables", "why", "source"]
    )
    keys = {
        "tables": "table",
        "datasets": "dataset",
        "models": "model",
        "splits": "split",
        "lengths": "length",
    }
    return [
        Difference(
            row["difference"],
            row["why"],
            row["source"],
            {cell: frozenset(row[name].split()) for name, cell in keys.items() if row[name]},
            row["bars"] == "yes",
        )
        for row in table.iter_rows(named=True)
    ]


def unstated_setting(model: str, settings: Mapping[str, Any]) -> str | None:
    """Return the first setting of a training that contradicts the paper's text, or None.

    Only what `settings` holds is checked (resources/paper/settings.csv).
    """
    for row in read_table(PAPER / "settings.csv", SETTINGS, ["models", "key"]).iter_rows(
        named=True
    ):
        *path, last = row["key"].split(".")
        found: Any = settings
        for key in path:
            found = found.get(key) if isinstance(found, Mapping) else None
        if model not in row["models"].split() or not isinstance(found, Mapping):
            continue
        stated = (row["values"] or "").split()
        if last in found and not _states(stated, found[last]):
            return (
                f"{row['key']} {found[last]}, where the paper has {' or '.join(stated) or 'none'}"
            )
    return None


def _states(stated: Sequence[str], value: object) -> bool:
    if not stated:
        return value is None
    if isinstance(value, int | float):
        return float(value) in map(float, stated)
    return value in stated


def contradictions(cells: pl.DataFrame) -> list[Difference]:
    """Find published F1 scores that do not follow from their printed precision and recall."""
    keys = ["table", "dataset", "model", "length"]
    rows = cells.filter(pl.col("table").is_in(["III", "V"])).pivot(
        "measure", index=keys, values="paper"
    )
    half, f1 = HALF_UNIT["III"], pl.col("f1")
    lowest, given, highest = (_f1(off) for off in (-half, 0.0, half))  # F1 grows with both
    odd = rows.with_columns(given=given).filter(
        (f1 < lowest - half - NOISE) | (f1 > highest + half + NOISE)
    )
    return [
        Difference(
            name=f"printed F1 does not follow from P and R, which give {row['given']:.2f}",
            why="",
            source="",
            where={key: frozenset([row[key]]) for key in keys} | {"measure": frozenset(["f1"])},
        )
        for row in odd.iter_rows(named=True)
    ]


def _f1(off: float) -> pl.Expr:
    """F1 of the columns precision and recall, both changed by `off`."""
    precision, recall = pl.col("precision") + off, pl.col("recall") + off
    return 2 * precision * recall / (precision + recall)


def _scores(name: str) -> pl.DataFrame:
    table = _paper(name).with_columns(
        measure=pl.lit(list(MEASURES), pl.List(pl.String)), paper=pl.concat_list(MEASURES)
    )
    return table.explode("measure", "paper").drop(MEASURES)


def _paper(name: str) -> pl.DataFrame:
    return pl.read_csv(PAPER / f"{name}.csv")
