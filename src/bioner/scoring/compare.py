"""Is a difference between two systems real? Paired resampling of strict F1 by document (by sentence where unknown)."""

from collections.abc import Iterator, Sequence

import numpy as np
import polars as pl

from bioner.instances import Instance, Prediction
from bioner.scoring.lengths import bucket_names, bucket_of
from bioner.tables import Schema
from bioner.tags import spans

Counts = np.ndarray  # clusters x (correct, possible, actual)

COMPARISON: Schema = {
    "dataset": pl.String,
    "model": pl.String,
    "decoding": pl.String,
    "versus_model": pl.String,
    "versus_decoding": pl.String,
    "stratum": pl.String,
    "gold_entities": pl.Int64,
    "cluster": pl.String,
    "clusters": pl.Int64,
    "f1": pl.Float64,
    "versus_f1": pl.Float64,
    "difference": pl.Float64,
    "low": pl.Float64,
    "high": pl.Float64,
    "p": pl.Float64,
}
ROWS_AT_ONCE = 500  # resamples drawn together: bounds memory at 4,797 clusters to some 20 MB


def compare(
    gold: Sequence[Instance],
    predictions: Sequence[Sequence[Prediction]],
    versus: Sequence[Sequence[Prediction]],
    cuts: Sequence[int] = (1, 2),
    resamples: int = 10_000,
    seed: int = 0,
) -> Iterator[dict[str, object]]:
    """A row a stratum (all, and the length buckets): both strict F1s, their difference, its interval, its p-value.

    Several prediction files a side are seeds of one system; their counts are averaged within a cluster. `low` and
    `high` are the 95 % percentile interval of a paired bootstrap over clusters; `p` is the two-sided p-value of
    approximate randomisation that swaps whole clusters, (r + 1) / (N + 1). F1 in percent.
    """
    index = {doc: position for position, doc in enumerate(dict.fromkeys(instance.doc for instance in gold))}
    cluster = "sentence" if len(index) == len(gold) else "document"
    strata = ["all", *bucket_names(cuts)]
    ours = _cluster_counts(gold, predictions, index, strata, cuts)
    theirs = _cluster_counts(gold, versus, index, strata, cuts)
    for stratum in strata:
        mine, other = ours[stratum], theirs[stratum]
        f1, versus_f1 = float(_f1(mine.sum(0))), float(_f1(other.sum(0)))
        low, high = _interval(mine, other, resamples, np.random.default_rng([seed, 1]))
        yield {
            "stratum": stratum,
            "gold_entities": round(mine[:, 1].sum()),
            "cluster": cluster,
            "clusters": len(index),
            "f1": f1,
            "versus_f1": versus_f1,
            "difference": f1 - versus_f1,
            "low": low,
            "high": high,
            "p": _p_value(mine, other, resamples, np.random.default_rng([seed, 2])),
        }


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down adjustment, in the order given."""
    adjusted = [0.0] * len(p_values)
    largest = 0.0
    for rank, position in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[position]))
        adjusted[position] = largest
    return adjusted


def _cluster_counts(
    gold: Sequence[Instance],
    runs: Sequence[Sequence[Prediction]],
    index: dict[str, int],
    strata: Sequence[str],
    cuts: Sequence[int],
) -> dict[str, Counts]:
    counts = {stratum: np.zeros((len(index), 3)) for stratum in strata}
    for run in runs:
        for instance, prediction in zip(gold, run, strict=True):
            expected, found = set(spans(instance.tags)), set(spans(prediction.tags))
            row = index[instance.doc]
            for column, entities in enumerate((expected & found, expected, found)):
                for span in entities:
                    counts["all"][row, column] += 1
                    counts[bucket_of(span.length, cuts)][row, column] += 1
    return {stratum: table / len(runs) for stratum, table in counts.items()}


def _f1(totals: np.ndarray) -> np.ndarray:
    """F1 in percent of counts in the last axis: 2 TP / (gold + predicted), and 0 where there is neither."""
    both = totals[..., 1] + totals[..., 2]
    f1: np.ndarray = np.divide(200 * totals[..., 0], both, out=np.zeros_like(both), where=both > 0)
    return f1


def _interval(mine: Counts, other: Counts, resamples: int, draw: np.random.Generator) -> tuple[float, float]:
    differences = []
    for size in _chunks(resamples):
        chosen = draw.integers(len(mine), size=(size, len(mine)))
        times = np.apply_along_axis(np.bincount, 1, chosen, minlength=len(mine)).astype(float)
        differences.append(_f1(times @ mine) - _f1(times @ other))
    low, high = np.percentile(np.concatenate(differences), [2.5, 97.5])
    return float(low), float(high)


def _p_value(mine: Counts, other: Counts, resamples: int, draw: np.random.Generator) -> float:
    observed = abs(_f1(mine.sum(0)) - _f1(other.sum(0)))
    extreme = 0
    for size in _chunks(resamples):
        swapped = draw.integers(2, size=(size, len(mine))).astype(float)
        moved = swapped @ (other - mine)
        difference = _f1(mine.sum(0) + moved) - _f1(other.sum(0) - moved)
        # Equal differences come out of other sums of floats: count those that differ in rounding alone.
        extreme += int((np.abs(difference) >= observed - 1e-9).sum())
    return (extreme + 1) / (resamples + 1)


def _chunks(total: int) -> Iterator[int]:
    for start in range(0, total, ROWS_AT_ONCE):
        yield min(ROWS_AT_ONCE, total - start)
