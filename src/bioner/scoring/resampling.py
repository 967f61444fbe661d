"""Resampling by cluster: documents drawn again and again (bootstrap), and swapped between systems
(randomisation).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from bioner.data.instances import Instance
from bioner.scoring.tally import Array

CELLS_AT_ONCE = 2_000_000  # of a matrix resamples x clusters: 16 MB
PERCENTILES = (2.5, 97.5)


@dataclass(frozen=True, slots=True)
class Clusters:
    """Which instances belong together: those of a document; every instance alone where documents
    are unknown.
    """

    index: Array
    count: int
    kind: str

    def sums(self, values: Array) -> Array:
        """Sums over the instances of each cluster; `values` are instances x anything."""
        totals = np.zeros((self.count, *values.shape[1:]))
        np.add.at(totals, self.index, values)
        return totals


def clusters_of(gold: Sequence[Instance]) -> Clusters:
    """Clusters of a test set by name, whatever its order; `kind` says whether they are documents or
    sentences.
    """
    numbers = {
        doc: number for number, doc in enumerate(sorted({instance.doc for instance in gold}))
    }
    index = np.array([numbers[instance.doc] for instance in gold])
    return Clusters(index, len(numbers), "sentence" if len(numbers) == len(gold) else "document")


def bootstrap_weights(clusters: int, resamples: int, seed: int) -> Iterator[Array]:
    """How often each cluster was drawn, resamples x clusters, a bounded number of resamples at a
    time.
    """
    draw = np.random.default_rng([seed, 1])
    for size in _chunks(resamples, clusters):
        drawn = draw.integers(clusters, size=(size, clusters))
        drawn += np.arange(size)[:, None] * clusters
        yield (
            np.bincount(drawn.ravel(), minlength=size * clusters)
            .reshape(size, clusters)
            .astype(float)
        )


def swaps(clusters: int, resamples: int, seed: int) -> Iterator[Array]:
    """Which clusters change sides, as 0 and 1, resamples x clusters, a bounded number of resamples
    at a time.
    """
    draw = np.random.default_rng([seed, 2])
    for size in _chunks(resamples, clusters):
        yield draw.integers(2, size=(size, clusters), dtype=np.int8).astype(float)


def drawn_runs(runs: int, resamples: int, seed: int, system: Sequence[int]) -> Array:
    """Shares of a system's training runs in each resample, resamples x runs.

    One less is drawn than there are: so the variance of the mean is right in expectation, where
    drawing all of so few would make it too small by (runs - 1) / runs (Rao and Wu 1988).
    """
    draw = np.random.default_rng([seed, 3, *system])
    drawn = max(1, runs - 1)
    return draw.multinomial(drawn, np.full(runs, 1 / runs), size=resamples) / drawn


def interval(values: Array) -> tuple[float, float] | None:
    """The 95 % percentile interval of resampled values; those undefined in a resample (NaN) are
    left out.
    """
    known = values[~np.isnan(values)]
    if not len(known):
        return None
    low, high = np.percentile(known, PERCENTILES)
    return float(low), float(high)


def _chunks(resamples: int, clusters: int) -> Iterator[int]:
    most = max(1, CELLS_AT_ONCE // clusters)
    for start in range(0, resamples, most):
        yield min(most, resamples - start)
