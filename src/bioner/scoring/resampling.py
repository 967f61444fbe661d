"""Resampling by cluster: bootstrap draws of documents, and swaps of documents between systems."""

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from bioner.data.instances import Instance
from bioner.scoring.tally import Array

CELLS_AT_ONCE = 2_000_000  # of a matrix resamples x clusters: 16 MB
PERCENTILES = (2.5, 97.5)


@dataclass(frozen=True, slots=True)
class Clusters:
    """Which instances are resampled together: those of a document.

    `index` holds the cluster of each instance; `kind` is "sentence" if no two instances share a
    document, else "document".
    """

    index: Array
    count: int
    kind: str

    def sums(self, values: Array) -> Array:
        """Sum over the instances of each cluster; `values` are instances x anything."""
        totals = np.zeros((self.count, *values.shape[1:]))
        np.add.at(totals, self.index, values)
        return totals


def clusters_of(gold: Sequence[Instance]) -> Clusters:
    """Group a test set by document; clusters are numbered by name, whatever the order of `gold`."""
    documents, index = np.unique([instance.doc for instance in gold], return_inverse=True)
    kind = "sentence" if len(documents) == len(gold) else "document"
    return Clusters(index, len(documents), kind)


def bootstrap_weights(clusters: int, resamples: int, seed: int) -> Iterator[tuple[slice, Array]]:
    """Yield how often each cluster was drawn, a bounded number of resamples at a time.

    Yields:
        Which resamples these are, and their weights, resamples x clusters.
    """
    draw = np.random.default_rng([seed, 1])
    for part in _parts(resamples, clusters):
        size = part.stop - part.start
        drawn = draw.integers(clusters, size=(size, clusters))
        drawn += np.arange(size)[:, None] * clusters
        weights = np.bincount(drawn.ravel(), minlength=size * clusters).reshape(size, clusters)
        yield part, weights.astype(float)


def swaps(clusters: int, resamples: int, seed: int) -> Iterator[Array]:
    """Yield which clusters change sides (0 or 1), resamples x clusters, in bounded parts."""
    draw = np.random.default_rng([seed, 2])
    for part in _parts(resamples, clusters):
        drawn = draw.integers(2, size=(part.stop - part.start, clusters), dtype=np.int8)
        yield drawn.astype(float)


def interval(values: Array) -> Array:
    """Compute 95 % percentile intervals over the first axis, without undefined values (NaN).

    Returns:
        Lower and upper bounds, 2 x the other axes; NaN if no value is defined.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # numpy warns if no value is defined
        return np.nanpercentile(values, PERCENTILES, axis=0)


def _parts(resamples: int, clusters: int) -> Iterator[slice]:
    most = max(1, CELLS_AT_ONCE // clusters)
    for start in range(0, resamples, most):
        yield slice(start, min(start + most, resamples))
