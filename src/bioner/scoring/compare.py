"""Tests of differences between systems: paired resampling by document, or else by sentence."""

import itertools
import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from zlib import crc32

import numpy as np
import polars as pl

from bioner.data.instances import Instance, Prediction
from bioner.errors import InputError
from bioner.io.tables import Schema, read_table
from bioner.scoring.labels import bucket_names
from bioner.scoring.pairs import pair_up
from bioner.scoring.resampling import (
    Clusters,
    bootstrap_weights,
    clusters_of,
    drawn_runs,
    interval,
    swaps,
)
from bioner.scoring.tally import Array, by_length, divided, prf

log = logging.getLogger(__name__)

COMPARISON: Schema = {
    "dataset": pl.String,
    "model": pl.String,
    "decoding": pl.String,
    "seeds": pl.Int64,
    "baseline_model": pl.String,
    "baseline_decoding": pl.String,
    "baseline_seeds": pl.Int64,
    "measure": pl.String,
    "stratum": pl.String,
    "gold_entities": pl.Int64,
    "cluster": pl.String,
    "clusters": pl.Int64,
    "clusters_with_gold": pl.Int64,
    "score": pl.Float64,
    "baseline_score": pl.Float64,
    "difference": pl.Float64,
    "ci_low": pl.Float64,
    "ci_high": pl.Float64,
    "p": pl.Float64,
}
MEASURES = ("f1", "recall")
RESAMPLED = ("ci_low", "ci_high", "p")
PAIR = ("model", "decoding", "baseline_model", "baseline_decoding")
NOISE = 1e-9  # sums of the same floats in another order may differ by this


@dataclass(frozen=True, slots=True)
class System:
    """Predictions of a model under one decoding: one run per seed."""

    model: str | None
    decoding: str | None
    runs: Sequence[Sequence[Prediction]]


def compare(
    gold: Sequence[Instance],
    systems: Sequence[System],
    cuts: Sequence[int] = (1, 2),
    resamples: int = 10_000,
    seed: int = 0,
    dataset: str | None = None,
) -> pl.DataFrame:
    """Compare every pair of systems: one row per measure (strict F1, recall) and stratum.

    Strata are `all`, the length buckets, and the last bucket minus the first, in which `difference`
    is a difference in differences: how much better a system is on long entities than on short ones.
    Scores are of the counts of all runs together. `ci_low` and `ci_high` are the 95 % percentile
    interval of a paired bootstrap that draws documents, and the runs of each side; `p` is the
    two-sided p-value of approximate randomisation that swaps whole documents, (r + 1) / (N + 1).
    Swaps do not cover variation between runs: if a side has several, p is at least the bootstrap's.
    A single document has neither interval nor p. Undefined values are null.
    """
    clusters = clusters_of(gold)
    runs = [[_cluster_counts(gold, run, clusters, cuts) for run in s.runs] for s in systems]
    means = [np.mean(counts, axis=0) for counts in runs]
    scores = [_statistics(counts.sum(0)) for counts in means]
    resampled = _bootstrap(runs, _keys(systems), clusters, resamples, seed)
    pairs = list(itertools.combinations(range(len(systems)), 2))
    p_values = _p_values(means, pairs, clusters, resamples, seed)
    names = ["all", *bucket_names(cuts)]
    strata = [*names, f"{names[-1]} - {names[1]}"]
    possible = means[0].reshape(clusters.count, -1, 3)[:, :, 1]
    tables = []
    for (one, other), p in zip(pairs, p_values, strict=True):
        mine, theirs = systems[one], systems[other]
        drawn = _without_noise(resampled[one] - resampled[other])
        if len(mine.runs) + len(theirs.runs) > 2:
            p = np.maximum(p, _tail(drawn))  # an undefined p stays undefined
        low, high = interval(drawn)
        columns = {
            "dataset": dataset,
            "model": mine.model,
            "decoding": mine.decoding,
            "seeds": len(mine.runs),
            "baseline_model": theirs.model,
            "baseline_decoding": theirs.decoding,
            "baseline_seeds": len(theirs.runs),
            "measure": np.repeat(MEASURES, len(strata)),
            "stratum": strata * len(MEASURES),
            "gold_entities": _sizes(possible.sum(0)) * len(MEASURES),
            "cluster": clusters.kind,
            "clusters": clusters.count,
            "clusters_with_gold": _sizes((possible > 0).sum(0)) * len(MEASURES),
            "score": scores[one],
            "baseline_score": scores[other],
            "difference": _without_noise(scores[one] - scores[other]),
            "ci_low": low,
            "ci_high": high,
            "p": p,
        }
        tables.append(pl.DataFrame(columns, schema=COMPARISON))
    table = pl.concat(tables).fill_nan(None)
    if clusters.count == 1:
        log.warning(
            "compare: one %s alone: no interval and no test can be had by resampling", clusters.kind
        )
        table = table.with_columns(pl.lit(None, pl.Float64).alias(n) for n in RESAMPLED)
    return table


def read_comparisons(path: Path) -> pl.DataFrame:
    """Read and check a comparison file."""
    table = read_table(
        path, COMPARISON, [*PAIR, "measure", "stratum", "gold_entities", "clusters_with_gold"]
    )
    if table.select("dataset", *PAIR, "measure", "stratum").is_duplicated().any():
        raise InputError(
            path, "a comparison twice", "each once", "Remake it by `bioner compare-all`."
        )
    untested = pl.col("p").is_not_null() & pl.any_horizontal(
        pl.col("difference", "ci_low", "ci_high").is_null()
    )
    if len(table.filter(untested | (pl.col("p") < 0) | pl.col("p").is_nan())):
        raise InputError(
            path,
            "a p-value without its interval",
            "both or neither",
            "Remake it by `bioner compare-all`.",
        )
    return table


def _cluster_counts(
    gold: Sequence[Instance], run: Sequence[Prediction], clusters: Clusters, cuts: Sequence[int]
) -> Array:
    """Count strictly: clusters x (strata x (correct, possible, actual)), without the contrast."""
    pairs = pair_up(gold, run)
    correct = [set(pair.gold) & set(pair.predicted) for pair in pairs]
    counts = []
    for spans in (correct, [pair.gold for pair in pairs], [pair.predicted for pair in pairs]):
        lengths = [(number, span.length) for number, each in enumerate(spans) for span in each]
        by_bucket = by_length(lengths, cuts, len(pairs))
        counts.append(np.vstack([by_bucket.sum(0), by_bucket]))
    return clusters.sums(np.stack(counts).T.reshape(len(pairs), -1))


def _statistics(totals: Array) -> Array:
    """Compute every measure in every stratum and in the contrast, in percent.

    Args:
        totals: Counts, … x (strata x (correct, possible, actual)).

    Returns:
        … x (measures x (strata and the contrast)).
    """
    correct, possible, actual = np.moveaxis(totals.reshape(*totals.shape[:-1], -1, 3), -1, 0)
    f1 = prf(correct, possible, correct, actual)[2]
    recall = divided(100 * correct, possible, np.nan)
    measures = [np.append(m, m[..., -1:] - m[..., 1:2], axis=-1) for m in (f1, recall)]
    return np.concatenate(measures, axis=-1)


def _bootstrap(
    runs: Sequence[Sequence[Array]],
    keys: Iterable[Sequence[int]],
    clusters: Clusters,
    resamples: int,
    seed: int,
) -> Array:
    """Compute systems x resamples x statistics; all systems see the same documents."""
    shares = [
        drawn_runs(len(counts), resamples, seed, key)
        for key, counts in zip(keys, runs, strict=True)
    ]
    parts = []
    for part, weights in bootstrap_weights(clusters.count, resamples, seed):
        totals = [
            sum(drawn[part, run, None] * (weights @ count) for run, count in enumerate(counts))
            for drawn, counts in zip(shares, runs, strict=True)
        ]
        parts.append(_statistics(np.array(totals)))
    return np.concatenate(parts, axis=1)


def _keys(systems: Sequence[System]) -> Iterator[list[int]]:
    """Yield the key by which each system draws its runs: its name, so that no other system matters.

    Systems of the same name are numbered.
    """
    names = [f"{system.model}:{system.decoding}" for system in systems]
    for place, name in enumerate(names):
        yield [crc32(name.encode()), names[:place].count(name)]


def _p_values(
    means: Sequence[Array],
    pairs: Sequence[tuple[int, int]],
    clusters: Clusters,
    resamples: int,
    seed: int,
) -> Array:
    """Compute two-sided p-values by approximate randomisation, pairs x statistics."""
    totals = [counts.sum(0) for counts in means]
    observed = np.abs([_statistics(totals[a]) - _statistics(totals[b]) for a, b in pairs])
    extreme = np.zeros_like(observed)
    for swapped in swaps(clusters.count, resamples, seed):
        moved = [swapped @ counts for counts in means]
        for pair, (a, b) in enumerate(pairs):
            change = moved[b] - moved[a]
            difference = _statistics(totals[a] + change) - _statistics(totals[b] - change)
            extreme[pair] += (np.abs(difference) >= observed[pair] - NOISE).sum(0)
    return np.where(np.isnan(observed), np.nan, (extreme + 1) / (resamples + 1))


def _tail(drawn: Array) -> Array:
    """Compute two-sided bootstrap p-values: twice the share of resampled differences beyond 0."""
    known = (~np.isnan(drawn)).sum(0)
    beyond = np.minimum((drawn <= 0).sum(0), (drawn >= 0).sum(0))
    p_values: Array = np.minimum((2 * beyond + 1) / (known + 1), 1.0)
    return p_values


def _without_noise(differences: Array) -> Array:
    """Return 0 for differences that are only rounding errors."""
    return np.where(np.abs(differences) < NOISE, 0.0, differences)


def _sizes(counts: Array) -> list[int]:
    """Return the sizes of the strata, and of the contrast: the smaller of its two strata's."""
    return [round(count) for count in (*counts, min(counts[1], counts[-1]))]
