"""The long score table: its columns, and its rows from tallies."""

from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl

from bioner.io.tables import Schema
from bioner.scoring.limits import limit_of
from bioner.scoring.resampling import Clusters, bootstrap_weights, interval
from bioner.scoring.tally import Array, Macro, ScoreRow, Tally, divided, prf

MEASURES = ("precision", "recall", "f1")
BOUNDS = [f"{measure}_ci_{end}" for measure in MEASURES for end in ("low", "high")]
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
    **dict.fromkeys(BOUNDS, pl.Float64),
    "no_interval": pl.String,
}


def score_table(
    rows: Sequence[ScoreRow],
    clusters: Clusters,
    bootstrap: int,
    seed: int,
    whose: Mapping[str, object],
) -> pl.DataFrame:
    """Build the score table, with 95 % intervals of each ratio if there are `bootstrap` resamples.

    Undefined values are null: all ratios without gold and predictions, recall without gold in a row
    that only has a recall, and intervals of such rows. A row of too few gold entities or documents
    has no interval either; `no_interval` names the limit (see `limits`).

    Args:
        rows: The rows; the parts of a `Macro` are among them.
        whose: Values of the columns `dataset`, `model`, `seed` and `decoding`.
    """
    tallies = [row for row in rows if isinstance(row, Tally)]
    table = np.stack([np.stack(tally.arrays(), axis=-1) for tally in tallies], axis=1)
    by_cluster = clusters.sums(table).reshape(clusters.count, -1)  # clusters x (tallies x 4)
    values = _measures(by_cluster.sum(0), rows)
    limits = _limits(rows, clusters)
    bounds = np.full((2, *values.shape), np.nan)
    if bootstrap and not all(limits):
        drawn = [
            _measures(weights @ by_cluster, rows)
            for _, weights in bootstrap_weights(clusters.count, bootstrap, seed)
        ]
        without = np.isnan(values[2]) | [limit is not None for limit in limits]
        bounds = np.where(without, np.nan, interval(np.concatenate(drawn)))
    records = []
    for number, (row, limit) in enumerate(zip(rows, limits, strict=True)):
        ratios = dict(zip(MEASURES, values[:, number], strict=True))
        ends = dict(zip(BOUNDS, bounds[..., number].T.ravel(), strict=True))
        limit = None if np.isnan(values[2, number]) else limit  # nothing to bound
        records.append({**whose, **_counts(row), **ratios, **ends, "no_interval": limit})
    return pl.DataFrame(records, schema=SCORE_SCHEMA).fill_nan(None)


def _limits(rows: Sequence[ScoreRow], clusters: Clusters) -> list[str | None]:
    """Return the limit that each row falls below; of a mean over types, that of its rarest type."""
    tallies = [row for row in rows if isinstance(row, Tally)]
    by_cluster = clusters.sums(np.stack([tally.entities for tally in tallies], axis=-1))
    sizes = zip(by_cluster.sum(0), (by_cluster > 0).sum(0), strict=True)
    size_of = dict(zip(map(id, tallies), sizes, strict=True))
    limits = []
    for row in rows:
        parts = row.parts if isinstance(row, Macro) else (row,)
        found = (
            limit_of(round(entities), int(documents), clusters.kind)
            for entities, documents in sorted(size_of[id(part)] for part in parts)
        )
        limits.append(next(filter(None, found), None))
    return limits


def _counts(row: ScoreRow) -> dict[str, object]:
    """Return what a row is of, and its counts."""
    record: dict[str, object] = {
        "scorer": row.scorer,
        "scheme": row.scheme,
        "stratum": row.stratum,
        "label": row.label,
    }
    if isinstance(row, Tally):
        counts = {**row.counts, "possible": row.possible, "actual": row.actual}
        sums = {name: values.sum() for name, values in counts.items()}
        record |= {name: round(total) for name, total in sums.items() if not np.isnan(total)}
    return record


def _measures(totals: Array, rows: Sequence[ScoreRow]) -> Array:
    """Compute precision, recall and F1 of every row, … x 3 x rows.

    Args:
        totals: Sums of the tallies among the rows, … x (tallies x 4).
    """
    by_tally = totals.reshape(*totals.shape[:-1], -1, 4)
    ratios = prf(*np.moveaxis(by_tally, -1, 0))
    return np.stack([_with_macros(values, rows) for values in ratios], axis=-2)


def _with_macros(values: Array, rows: Sequence[ScoreRow]) -> Array:
    """Extend values of the tallies among the rows, … x tallies, to all rows, … x rows."""
    tallies = [row for row in rows if isinstance(row, Tally)]
    place = {id(tally): number for number, tally in enumerate(tallies)}
    columns = [
        _mean(values[..., [place[id(part)] for part in row.parts]])
        if isinstance(row, Macro)
        else values[..., place[id(row)]]
        for row in rows
    ]
    return np.stack(columns, axis=-1)


def _mean(values: Array) -> Array:
    """Average over the last axis without undefined values; NaN if all are undefined."""
    known = ~np.isnan(values)
    return divided(np.where(known, values, 0).sum(-1), known.sum(-1), np.nan)
