"""The long score table: its columns, and its rows from tallies."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import polars as pl

from bioner.io.tables import Schema
from bioner.scoring.resampling import Clusters, bootstrap_weights, interval
from bioner.scoring.tally import COUNTS, Array, Macro, ScoreRow, Tally, divided, prf

Record = dict[str, object]

MEASURES = ("precision", "recall", "f1")
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
    **{f"{measure}_ci_{end}": pl.Float64 for measure in MEASURES for end in ("low", "high")},
}


def score_table(
    rows: Sequence[ScoreRow],
    clusters: Clusters,
    bootstrap: int,
    seed: int,
    whose: Mapping[str, object],
) -> pl.DataFrame:
    """The score table of these rows, with 95 % intervals of each ratio if `bootstrap` resamples are
    asked for.

    Undefined values are null: recall without gold in a row that has a recall alone, everything
    where there is neither gold nor prediction, intervals of a single cluster.
    """
    bounds = _intervals(rows, clusters, bootstrap, seed) if bootstrap and clusters.count > 1 else {}
    records = []
    for number, row in enumerate(rows):
        records.append({**whose, **_record(row), **bounds.get(number, {})})
    return pl.DataFrame(records, schema=SCORE_SCHEMA)


def _record(row: ScoreRow) -> Record:
    key: Record = {
        "scorer": row.scorer,
        "scheme": row.scheme,
        "stratum": row.stratum,
        "label": row.label,
    }
    if isinstance(row, Macro):
        of_types = np.array(
            [[values.sum() for values in part.arrays()] for part in row.parts]
        ).reshape(-1, 4)
        return key | _measures(_mean(np.array(prf(*of_types.T))))
    key |= {name: round(row.counts[name].sum()) for name in COUNTS if name in row.counts}
    key["possible"] = round(row.possible.sum())
    if row.actual is None:
        recall = divided(100 * row.recall_credit.sum(), row.possible.sum(), np.nan)
        return key | {"recall": _defined(recall)}
    key["actual"] = round(row.actual.sum())
    return key | _measures(prf(*(values.sum() for values in row.arrays())))


def _measures(values: Iterable[Array]) -> Record:
    return dict(zip(MEASURES, map(_defined, values), strict=True))


def _intervals(
    rows: Sequence[ScoreRow], clusters: Clusters, resamples: int, seed: int
) -> dict[int, Record]:
    """Bounds of precision, recall and F1 by the number of a row; rows that only have a recall have
    none.
    """
    single = [
        (number, row)
        for number, row in enumerate(rows)
        if isinstance(row, Tally) and row.actual is not None
    ]
    place = {id(row): position for position, (_, row) in enumerate(single)}
    table = np.stack(
        [np.stack(row.arrays(), axis=-1) for _, row in single], axis=1
    )  # instances x rows x 4
    by_cluster = clusters.sums(table).reshape(clusters.count, -1)
    drawn = [
        _resampled(weights @ by_cluster)
        for weights in bootstrap_weights(clusters.count, resamples, seed)
    ]
    values = np.concatenate(drawn, axis=1)  # 3 measures x resamples x rows
    bounds = {
        number: _bounds(values[:, :, position]) for position, (number, _) in enumerate(single)
    }
    for number, row in enumerate(rows):
        if isinstance(row, Macro) and row.parts:
            bounds[number] = _bounds(_mean(values[:, :, [place[id(part)] for part in row.parts]]))
    return bounds


def _resampled(totals: Array) -> Array:
    return np.stack(prf(*np.moveaxis(totals.reshape(len(totals), -1, 4), -1, 0)))


def _bounds(values: Array) -> Record:
    """The interval of each measure from its values over the resamples."""
    found: Record = {}
    for measure, resampled in zip(MEASURES, values, strict=True):
        low, high = interval(resampled) or (None, None)
        found |= {f"{measure}_ci_low": low, f"{measure}_ci_high": high}
    return found


def _mean(values: Array) -> Array:
    """Means over the last axis, those undefined left out; NaN where all are."""
    known = ~np.isnan(values)
    return divided(np.where(known, values, 0).sum(-1), known.sum(-1), np.nan)


def _defined(value: Array) -> float | None:
    return None if np.isnan(value) else float(value)
