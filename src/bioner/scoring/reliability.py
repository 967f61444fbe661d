"""Reliability of confidences: accuracy by confidence, and the expected calibration error."""

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
    """Return confidences of the tokens tagged as part of an entity, and whether the tag is right.

    Tokens tagged O are left out: they are nine in ten or more, nearly all right with high
    confidence, so with them every model would look calibrated. The choice is by prediction, not by
    gold, because users of a prediction have no gold; missed entities only count in recall. A tag
    with a wrong boundary or type is wrong. Tokens without a decision have no confidence and are
    left out, too.

    Args:
        confidences: 0 to 1, one list per instance (`raw_outputs.Generated.confidence`).
        predicted: The tags that were scored, for the same tokens.
        gold: The gold tags, for the same tokens.

    Raises:
        ValueError: The lists differ in length.
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
    """Compute mean confidence and accuracy in bins of equal width from 0 to 1 (Guo et al. 2017).

    A bin includes its upper bound and excludes its lower one, but the first includes 0. Empty bins
    are left out.
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
    """Compute the expected calibration error; NaN without bins.

    It is the mean of |accuracy - confidence| over the bins, weighted by their counts.
    """
    error = (pl.col("accuracy") - pl.col("confidence")).abs() * pl.col("count")
    return float(bins.select(error.sum() / pl.col("count").sum()).item())
