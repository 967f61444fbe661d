"""Every published number as a row of one table, and what is known to stand between it and ours."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import polars as pl

from bioner.io.tables import Schema, read_table
from bioner.reporting.tables import PAPER

CELL: Schema = {
    "table": pl.String,
    "dataset": pl.String,
    "model": pl.String,
    "split": pl.String,
    "length": pl.String,
    "measure": pl.String,
    "paper": pl.Float64,
}
LENGTHS = {"total": "all", "length_1": "1", "length_2": "2", "length_3_plus": "3+"}
# Half a unit of the last digit that a table prints.
HALF_UNIT = {"I": 0.0, "II": 0.0, "III": 0.005, "IV": 0.00005, "V": 0.005}
DIFFERENCES: Schema = dict.fromkeys(
    ("difference", "tables", "datasets", "models", "splits", "lengths", "why", "source"), pl.String
)
NOISE = 1e-9  # equal values come out of other sums of floats


@dataclass(frozen=True, slots=True)
class Difference:
    """Something that stands between a published number and ours; `where` are the cells, no entry
    being all.
    """

    name: str
    why: str
    source: str
    where: dict[str, frozenset[str]]

    def concerns(self, cell: dict[str, Any]) -> bool:
        """Whether a row of `published` is among its cells."""
        return all(cell[key] in values for key, values in self.where.items())


def published() -> pl.DataFrame:
    """Every number of Tables I to V once, in the tables' order; no row where the paper has none."""
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
    """What is known to stand between the paper's numbers and ours
    (resources/paper/differences.csv).
    """
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
        )
        for row in table.iter_rows(named=True)
    ]


def contradictions(cells: pl.DataFrame) -> dict[tuple[str, str, str, str], str]:
    """Published F1 that no precision and recall that print like theirs give, by table, dataset,
    model and length.
    """
    keys = ["table", "dataset", "model", "length"]
    rows = cells.filter(pl.col("table").is_in(["III", "V"])).pivot(
        "measure", index=keys, values="paper"
    )
    return dict(_contradictions(rows))


def _contradictions(rows: pl.DataFrame) -> Iterator[tuple[tuple[str, str, str, str], str]]:
    for table, dataset, model, length, *scores in rows.iter_rows():
        precision, recall, f1 = scores
        half = HALF_UNIT[table]
        low, high = (
            harmonic(precision + off, recall + off) for off in (-half, half)
        )  # it grows with both
        if not low - half - NOISE <= f1 <= high + half + NOISE:
            given = harmonic(precision, recall)
            yield (
                (table, dataset, model, length),
                f"printed F1 does not follow from P and R, which give {given:.2f}",
            )


def harmonic(precision: float, recall: float) -> float:
    """F1 of precision and recall, of which one is not 0."""
    return 2 * precision * recall / (precision + recall)


def _scores(name: str) -> pl.DataFrame:
    table = _paper(name)
    measures = ["precision", "recall", "f1"]
    rows = table.with_row_index().unpivot(
        measures, index=["index", *(column for column in table.columns if column not in measures)],
        variable_name="measure", value_name="paper",
    )  # fmt: skip
    order = pl.col("measure").replace_strict(measures, range(3), return_dtype=pl.Int64)
    return rows.sort("index", order).drop("index")


def _paper(name: str) -> pl.DataFrame:
    return pl.read_csv(PAPER / f"{name}.csv")
