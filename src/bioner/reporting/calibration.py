"""The calibration table: how far the confidence of predicted entities can be trusted."""

import polars as pl

from bioner.reporting.tables import in_order
from bioner.results.load import Results
from bioner.scoring.calibration import MEASURES


def calibration_table(results: Results) -> pl.DataFrame:
    """Build the calibration table: means over seeds, in the decoding that a model is compared by.

    Every seed has its own temperature.
    """
    several = pl.col("note").n_unique() > 1
    named = pl.when(several).then(pl.format("seed {}: {}", "seed", "note")).otherwise("note")
    table = results.calibration.group_by("dataset", "model", "decoding", maintain_order=True).agg(
        pl.len().alias("seeds"),
        # Without a value under every seed there is no mean.
        pl.when(~pl.col(list(MEASURES)).is_null().any()).then(pl.col(list(MEASURES)).mean()),
        named.drop_nulls().unique(maintain_order=True).str.join("; ").alias("note"),
    )
    counts = pl.col("predicted_entities", "correct", "bins").round().cast(pl.Int64)
    note = pl.when(pl.col("note") != "").then("note")
    return in_order(table.with_columns(counts, note.alias("note")), results.cells)
