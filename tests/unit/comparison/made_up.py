"""Systems made of counts, for tests of what is computed from them."""

import numpy as np

from bioner.comparison.compare import compare_counts
from bioner.comparison.counts import SystemCounts, Unit
from bioner.scoring.tally import Array

UNITS = [Unit()]


def system(name: str, found: Array, gold: Array, **about) -> SystemCounts:
    """A system that finds so many of the gold entities, and predicts nothing else.

    Args:
        name: Of the model.
        found: Runs x documents.
        gold: Documents.
        about: Other attributes.
    """
    found, gold = np.broadcast_arrays(np.atleast_2d(found), gold)
    counts = np.stack([found, gold, found, found], axis=-1)[:, :, None].astype(float)
    return SystemCounts(name, "direct", counts, **about)


def row_of(*systems: SystemCounts, measure: str = "recall", resamples: int = 4_000) -> dict:
    """The first two systems' row."""
    return compare_counts(systems, UNITS, resamples=resamples).filter(measure=measure).to_dicts()[0]
