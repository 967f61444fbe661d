"""How far confidences can be trusted: right tags by confidence, and the expected calibration
error.
"""

from collections.abc import Iterable, Sequence

import numpy as np
import polars as pl

from bioner.data.tags import OUTSIDE
from bioner.io.tables import Schema
from bioner.scoring.tally import Array

BINS = 10
RELIABILITY: Schema = {
    "bin_low": pl.Float64,
    "bin_high": pl.Float64,
    "confidence": pl.Float64,
    "accuracy": pl.Float64,
    "count": pl.Int64,
}


def confidence_pairs(
    confidences: Iterable[Sequence[float | None]],
    predicted: Iterable[Sequence[str]],
    gold: Iterable[Sequence[str]],
) -> tuple[Array, Array]:
    """Confidences of the tokens tagged as part of an entity, and whether each tag is the gold one.

    All three hold one list per instance, in the same order, of one value per token: what
    constrained decoding says of its tag (`raw_outputs.Generated.confidence`, 0 to 1), the tag that
    was scored, the gold tag. ValueError if they do not match.

    Tokens tagged O are left out: they are nine in ten or more, nearly all of them right and nearly
    all sure, so with them every model would look calibrated, whatever it thinks of entities. The
    choice is by prediction and not by gold, because who uses a prediction knows no gold. Missed
    entities are therefore not in it: this says how far to trust what was found, recall says what
    was not. Right is the whole tag: a wrong border or type is wrong. Tokens where nothing was
    decided have no confidence and are left out, too.
    """
    decided = [
        (confidence, tag == gold_tag)
        for tokens in zip(confidences, predicted, gold, strict=True)
        for confidence, tag, gold_tag in zip(*tokens, strict=True)
        if confidence is not None and tag != OUTSIDE
    ]
    confidence, right = np.array(decided, dtype=float).reshape(-1, 2).T
    return confidence, right.astype(bool)


def reliability_bins(confidence: Array, right: Array, bins: int = BINS) -> pl.DataFrame:
    """Mean confidence and share of right ones in bins of equal width from 0 to 1; bins without any
    are left out.

    A bin holds what is above its lower bound and at most its upper one, the first also 0 (Guo et
    al. 2017). ValueError for confidences outside 0 to 1 or not as many as `right`.
    """
    bounds = np.arange(bins + 1) / bins
    index = np.clip(np.searchsorted(bounds, confidence, side="left") - 1, 0, bins - 1)
    counts, sure, hits = (
        np.bincount(index, weights, bins) for weights in (None, confidence, right)
    )
    filled = counts > 0
    return pl.DataFrame(
        {
            "bin_low": bounds[:-1][filled],
            "bin_high": bounds[1:][filled],
            "confidence": sure[filled] / counts[filled],
            "accuracy": hits[filled] / counts[filled],
            "count": counts[filled],
        },
        schema=RELIABILITY,
    )


def calibration_error(bins: pl.DataFrame) -> float:
    """The expected calibration error: how far accuracy is from confidence, mean over bins weighted
    by their counts.

    NaN where there is nothing in any bin.
    """
    error = (pl.col("accuracy") - pl.col("confidence")).abs() * pl.col("count")
    return float(bins.select(error.sum() / pl.col("count").sum()).item())
