"""Is a difference between two systems real? Paired resampling by document (by sentence where
unknown).
"""

import itertools
import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
import polars as pl

from bioner.data.instances import Instance, Prediction
from bioner.errors import InputError
from bioner.io.tables import Schema, read_table
from bioner.scoring.labels import bucket_names, bucket_of
from bioner.scoring.pairs import pair_up
from bioner.scoring.resampling import (
    Clusters,
    bootstrap_weights,
    clusters_of,
    drawn_runs,
    interval,
    swaps,
)
from bioner.scoring.tally import Array, divided, prf

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
PAIR = ("model", "decoding", "baseline_model", "baseline_decoding")
NOISE = 1e-9  # equal values come out of other sums of floats


@dataclass(frozen=True, slots=True)
class System:
    """Predictions of a model under one decoding: a run a seed."""

    model: str | None
    decoding: str | None
    runs: Sequence[Sequence[Prediction]]


@dataclass(frozen=True, slots=True)
class Strata:
    """What is compared: strict F1 and recall overall, by entity length, and the longest against the
    shortest.
    """

    names: list[str]

    @property
    def contrast(self) -> str:
        """The stratum of the paper's length claim: how much better a system is on long entities
        than on short ones.
        """
        return f"{self.names[-1]} - {self.names[1]}"

    def statistics(self, totals: Array) -> Array:
        """Every measure in every stratum and in the contrast, in percent; `totals` are … x (strata
        x 3 counts).
        """
        correct, possible, actual = np.moveaxis(totals.reshape(*totals.shape[:-1], -1, 3), -1, 0)
        f1 = prf(correct, possible, correct, actual)[2]
        recall = divided(100 * correct, possible, np.nan)
        return np.concatenate([_with_contrast(f1), _with_contrast(recall)], axis=-1)

    def labels(self) -> Iterator[tuple[str, str]]:
        """Measure and stratum of each statistic, in their order."""
        return itertools.product(MEASURES, [*self.names, self.contrast])


def compare(
    gold: Sequence[Instance],
    systems: Sequence[System],
    cuts: Sequence[int] = (1, 2),
    resamples: int = 10_000,
    seed: int = 0,
) -> Iterator[dict[str, Any]]:
    """Every pair of systems: a row a measure (strict F1, recall) and stratum, without the dataset's
    name.

    Strata are `all`, the length buckets, and the last bucket minus the first, in which `difference`
    is a difference in differences. Scores are of the counts of all runs together. `low` and `high`
    are the 95 % percentile interval of a paired bootstrap that draws documents, and the runs of
    each side; `p` is the two-sided p-value of approximate randomisation that swaps whole documents,
    (r + 1) / (N + 1). Swapped documents know nothing of other runs: where a side has several, p is
    at least the bootstrap's. A single document has neither.
    """
    strata = Strata(["all", *bucket_names(cuts)])
    clusters = clusters_of(gold)
    runs = [
        [_cluster_counts(gold, run, clusters, strata, cuts) for run in system.runs]
        for system in systems
    ]
    means = [np.mean(counts, axis=0) for counts in runs]
    possible = means[0].reshape(clusters.count, -1, 3)[:, :, 1]
    sizes = [_sizes(counts) for counts in (possible.sum(0), (possible > 0).sum(0))]
    resampled = _bootstrap(runs, _keys(systems), clusters, strata, resamples, seed)
    pairs = list(itertools.combinations(range(len(systems)), 2))
    p_values = _p_values(means, pairs, clusters, strata, resamples, seed)
    if clusters.count == 1:
        log.warning(
            "compare: one %s alone: no interval and no test can be had by resampling", clusters.kind
        )
    for pair, p in zip(pairs, p_values, strict=True):
        (one, other), (mine, theirs) = (
            (systems[i] for i in pair),
            (strata.statistics(means[i].sum(0)) for i in pair),
        )
        drawn = resampled[pair[0]] - resampled[pair[1]]
        drawn[np.abs(drawn) < NOISE] = 0.0
        differences = mine - theirs
        differences[np.abs(differences) < NOISE] = 0.0
        if len(one.runs) + len(other.runs) > 2:
            p = np.maximum(p, _tail(drawn))  # what has no p stays without one
        for place, (measure, stratum) in enumerate(strata.labels()):
            low, high = (interval(drawn[:, place]) if clusters.count > 1 else None) or (None, None)
            yield {
                "model": one.model,
                "decoding": one.decoding,
                "seeds": len(one.runs),
                "baseline_model": other.model,
                "baseline_decoding": other.decoding,
                "baseline_seeds": len(other.runs),
                "measure": measure,
                "stratum": stratum,
                "gold_entities": sizes[0][place % len(sizes[0])],
                "cluster": clusters.kind,
                "clusters": clusters.count,
                "clusters_with_gold": sizes[1][place % len(sizes[1])],
                "score": _defined(mine[place]),
                "baseline_score": _defined(theirs[place]),
                "difference": _defined(differences[place]),
                "ci_low": low,
                "ci_high": high,
                "p": _defined(p[place]) if clusters.count > 1 else None,
            }


def read_comparisons(path: Path) -> pl.DataFrame:
    """A comparison file, with its columns checked."""
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
    gold: Sequence[Instance],
    run: Sequence[Prediction],
    clusters: Clusters,
    strata: Strata,
    cuts: Sequence[int],
) -> Array:
    """Strict counts, clusters x (strata x (correct, possible, actual))."""
    table = np.zeros((len(gold), len(strata.names), 3))
    column = {name: number for number, name in enumerate(strata.names)}
    for row, pair in enumerate(pair_up(gold, run)):
        expected, found = set(pair.gold), set(pair.predicted)
        for kind, entities in enumerate((expected & found, expected, found)):
            for span in entities:
                table[row, column[bucket_of(span.length, cuts)], kind] += 1
    table[:, 0] = table[:, 1:].sum(1)
    return clusters.sums(table.reshape(len(gold), -1))


def _bootstrap(
    runs: Sequence[Sequence[Array]],
    keys: Iterable[Sequence[int]],
    clusters: Clusters,
    strata: Strata,
    resamples: int,
    seed: int,
) -> list[Array]:
    """Statistics of each system in every resample: all systems see the same documents, each draws
    its own runs.
    """
    collected: list[list[Array]] = [[] for _ in runs]
    shares = [
        drawn_runs(len(counts), resamples, seed, key)
        for key, counts in zip(keys, runs, strict=True)
    ]
    start = 0
    for weights in bootstrap_weights(clusters.count, resamples, seed):
        rows = slice(start, start + len(weights))
        start = rows.stop
        for system, counts in enumerate(runs):
            totals = sum(
                shares[system][rows, run, None] * (weights @ count)
                for run, count in enumerate(counts)
            )
            collected[system].append(strata.statistics(np.asarray(totals)))
    return [np.concatenate(parts) for parts in collected]


def _keys(systems: Sequence[System]) -> Iterator[list[int]]:
    """What a system draws its runs by: its name, so that a pair does not depend on who else is
    compared.
    """
    names = [f"{system.model}:{system.decoding}" for system in systems]
    for place, name in enumerate(names):
        yield [crc32(name.encode()), names[:place].count(name)]


def _p_values(
    means: Sequence[Array],
    pairs: Sequence[tuple[int, int]],
    clusters: Clusters,
    strata: Strata,
    resamples: int,
    seed: int,
) -> list[Array]:
    """Two-sided p-values of each pair's statistics."""
    totals = [counts.sum(0) for counts in means]
    observed = [
        np.abs(strata.statistics(totals[a]) - strata.statistics(totals[b])) for a, b in pairs
    ]
    extreme = [np.zeros(len(each)) for each in observed]
    for swapped in swaps(clusters.count, resamples, seed):
        moved = [swapped @ counts for counts in means]
        for pair, (a, b) in enumerate(pairs):
            change = moved[b] - moved[a]
            difference = strata.statistics(totals[a] + change) - strata.statistics(
                totals[b] - change
            )
            extreme[pair] += (np.abs(difference) >= observed[pair] - NOISE).sum(0)
    return [
        np.where(np.isnan(seen), np.nan, (count + 1) / (resamples + 1))
        for seen, count in zip(observed, extreme, strict=True)
    ]


def _tail(drawn: Array) -> Array:
    """Two-sided p-values of the bootstrap: twice the share of resampled differences beyond 0."""
    known = (~np.isnan(drawn)).sum(0)
    beyond = np.minimum((drawn <= 0).sum(0), (drawn >= 0).sum(0))
    p_values: Array = np.minimum((2 * beyond + 1) / (known + 1), 1.0)
    return p_values


def _with_contrast(values: Array) -> Array:
    return np.concatenate([values, values[..., -1:] - values[..., 1:2]], axis=-1)


def _sizes(counts: Array) -> list[int]:
    """Of the strata and the contrast; a contrast has as many as the smaller of its two strata."""
    return [round(count) for count in (*counts, min(counts[1], counts[-1]))]


def _defined(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
