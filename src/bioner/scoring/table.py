"""The long score table: its columns, and its rows from tallies."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import polars as pl

from bioner.scoring.resampling import Clusters, bootstrap_weights, interval
from bioner.scoring.tally import COUNTS, Array, Macro, Row, Tally, divided, prf
from bioner.tables import Schema

Record = dict[str, object]

SCORE_SCHEMA: Schema = {
    "dataset": pl.String,
    "model": pl.String,
    "seed": pl.Int64,
    "decoding": pl.String,
    "scorer": pl.String,
    "scheme": pl.String,
    "stratum": pl.String,
    "label": pl.String,
    "correct": pl.Int64,
    "incorrect": pl.Int64,
    "partial": pl.Int64,
    "missed": pl.Int64,
    "spurious": pl.Int64,
    "possible": pl.Int64,
    "actual": pl.Int64,
    "precision": pl.Float64,
    "recall": pl.Float64,
    "f1": pl.Float64,
    "f1_low": pl.Float64,
    "f1_high": pl.Float64,
}


def score_table(
    rows: Sequence[Row], clusters: Clusters, bootstrap: int, seed: int, whose: Mapping[str, object]
) -> pl.DataFrame:
    """The score table of these rows, with 95 % intervals of F1 where `bootstrap` resamples are asked for.

    Undefined values are null: recall without gold in a row that has a recall alone, everything where there is neither
    gold nor prediction, intervals of a single cluster.
    """
    bounds = _intervals(rows, clusters, bootstrap, seed) if bootstrap and clusters.count > 1 else {}
    records = []
    for number, row in enumerate(rows):
        low, high = bounds.get(number) or (None, None)
        records.append({**whose, **_record(row), "f1_low": low, "f1_high": high})
    return pl.DataFrame(records, schema=SCORE_SCHEMA)


def _record(row: Row) -> Record:
    key: Record = {"scorer": row.scorer, "scheme": row.scheme, "stratum": row.stratum, "label": row.label}
    if isinstance(row, Macro):
        of_types = np.array([[values.sum() for values in part.arrays()] for part in row.parts]).reshape(-1, 4)
        return key | _measures(_mean(np.array(prf(*of_types.T))))
    key |= {name: round(row.counts[name].sum()) for name in COUNTS if name in row.counts}
    key["possible"] = round(row.possible.sum())
    if row.actual is None:
        recall = divided(100 * row.found.sum(), row.possible.sum(), np.nan)
        return key | {"recall": _defined(recall)}
    key["actual"] = round(row.actual.sum())
    return key | _measures(prf(*(values.sum() for values in row.arrays())))


def _measures(values: Iterable[Array]) -> Record:
    return dict(zip(("precision", "recall", "f1"), map(_defined, values), strict=True))


def _intervals(
    rows: Sequence[Row], clusters: Clusters, resamples: int, seed: int
) -> dict[int, tuple[float, float] | None]:
    """Bounds of F1 by a row's number; rows with a recall alone have none."""
    single = [(number, row) for number, row in enumerate(rows) if isinstance(row, Tally) and row.actual is not None]
    place = {id(row): position for position, (_, row) in enumerate(single)}
    table = np.stack([np.stack(row.arrays(), axis=-1) for _, row in single], axis=1)  # instances x rows x 4
    by_cluster = clusters.sums(table).reshape(clusters.count, -1)
    drawn = [_resampled(weights @ by_cluster) for weights in bootstrap_weights(clusters.count, resamples, seed)]
    f1 = np.concatenate(drawn)
    bounds = {number: interval(f1[:, position]) for position, (number, _) in enumerate(single)}
    for number, row in enumerate(rows):
        if isinstance(row, Macro) and row.parts:
            bounds[number] = interval(_mean(f1[:, [place[id(part)] for part in row.parts]]))
    return bounds


def _resampled(totals: Array) -> Array:
    return prf(*np.moveaxis(totals.reshape(len(totals), -1, 4), -1, 0))[2]


def _mean(values: Array) -> Array:
    """Means over the last axis, those undefined left out; NaN where all are."""
    known = ~np.isnan(values)
    return divided(np.where(known, values, 0).sum(-1), known.sum(-1), np.nan)


def _defined(value: Array) -> float | None:
    return None if np.isnan(value) else float(value)
