"""Intervals of precision and recall, which score files do not hold: from the predictions that were scored."""

from collections.abc import Callable, Iterable, Sequence

import numpy as np
import polars as pl

from bioner.instances import Instance, Prediction
from bioner.scoring.pairs import Pair
from bioner.scoring.resampling import bootstrap_weights, clusters_of, interval
from bioner.scoring.tally import Array, Tally, prf
from bioner.tables import Schema
from bioner.tags import spans

MEASURES = ("precision", "recall", "f1")
BOUNDS: Schema = {
    "run": pl.Int64,
    "scorer": pl.String,
    "scheme": pl.String,
    "stratum": pl.String,
    "measure": pl.String,
    "value": pl.Float64,
    "low": pl.Float64,
    "high": pl.Float64,
}


def prf_intervals(
    gold: Sequence[Instance],
    runs: Sequence[Sequence[Prediction]],
    tallies: Callable[[Sequence[Pair]], Iterable[Tally]],
    resamples: int,
    seed: int,
) -> pl.DataFrame:
    """Precision, recall and F1 in percent of each run (0, 1, …) with 95 % intervals, as score files have F1's.

    `tallies` are a scorer's; every row needs `right` and `actual`. Documents are drawn once, for all runs and rows.
    What is undefined is null, as are the bounds of a single document.
    """
    clusters = clusters_of(gold)
    expected = [spans(instance.tags) for instance in gold]  # the same for all runs
    rows = [
        (run, row)
        for run, found in enumerate(runs)
        for row in tallies(
            [
                Pair(instance, prediction.tags, entities, spans(prediction.tags))
                for instance, entities, prediction in zip(gold, expected, found, strict=True)
            ]
        )
    ]
    if not rows:
        return pl.DataFrame(schema=BOUNDS)
    by_row = np.stack([clusters.sums(np.stack(row.arrays(), axis=-1)) for _, row in rows], axis=1)
    values = np.stack(prf(*by_row.sum(0).T), axis=-1)  # rows x 3
    flat = by_row.reshape(clusters.count, -1)
    weights = bootstrap_weights(clusters.count, resamples, seed) if resamples and clusters.count > 1 else ()
    drawn = [_measures(each @ flat, len(rows)) for each in weights]
    resampled = np.concatenate(drawn) if drawn else np.full((1, *values.shape), np.nan)
    records = []
    for place, (run, row) in enumerate(rows):
        for kind, measure in enumerate(MEASURES):
            low, high = interval(resampled[:, place, kind]) or (None, None)
            value = None if np.isnan(values[place, kind]) else float(values[place, kind])
            records.append((run, row.scorer, row.scheme, row.stratum, measure, value, low, high))
    return pl.DataFrame(records, schema=BOUNDS, orient="row")


def _measures(totals: Array, rows: int) -> Array:
    """Resamples x rows x (precision, recall, F1) from resamples x (rows x 4)."""
    return np.stack(prf(*np.moveaxis(totals.reshape(len(totals), rows, 4), -1, 0)), axis=-1)
