"""Calibration of one run: the row of `calibration.csv` and the bins of `reliability.csv`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from bioner.io.tables import Schema, read_table
from bioner.scoring.confidences import EntityConfidences, fit_temperature
from bioner.scoring.limits import limit_of
from bioner.scoring.reliability import (
    COVERAGES,
    RELIABILITY,
    brier_score,
    calibration_error,
    calibration_interval,
    reliability_bins,
    risk_at,
    risks,
)
from bioner.scoring.score import ScoredRun

RUN: Schema = {
    "dataset": pl.String,
    "model": pl.String,
    "seed": pl.Int64,
    "decoding": pl.String,
}
MEASURES: Schema = {
    **dict.fromkeys(("predicted_entities", "correct", "bins"), pl.Int64),
    **dict.fromkeys(
        (
            "mean_confidence",
            *("ece", "ece_ci_low", "ece_ci_high", "brier", "brier_ci_low", "brier_ci_high"),
            *("aurc", *(f"risk_{coverage}" for coverage in COVERAGES)),
            *("temperature", "ece_scaled", "brier_scaled"),
        ),
        pl.Float64,
    ),
}
CALIBRATION: Schema = {**RUN, **MEASURES, "note": pl.String}
BINNED: Schema = {**RUN, **RELIABILITY}
NOT_KEPT = "the raw outputs keep no log-probabilities; predict again"


@dataclass(frozen=True, slots=True)
class Calibration:
    """A run's row (CALIBRATION) and its bins (BINNED)."""

    row: pl.DataFrame
    bins: pl.DataFrame


def calibrate(
    run: ScoredRun,
    test: EntityConfidences | None,
    dev: EntityConfidences | None,
    resamples: int,
    seed: int,
) -> Calibration:
    """Measure the calibration of a run on test, before and after temperature scaling.

    Args:
        test: Its predicted entities; None if its raw outputs keep no confidences.
        dev: Those of the same weights on dev, which the temperature is fitted on.
        resamples: For the intervals; 0 leaves them out.
        seed: Of the resampling.
    """
    row: dict[str, Any] = run._asdict()
    if test is None:
        row["note"] = NOT_KEPT
        return _tables(row, pl.DataFrame(schema=RELIABILITY))
    right, confidence = test.right, test.confidence()
    bins = reliability_bins(confidence, right)
    row |= {"predicted_entities": len(right), "correct": int(right.sum()), "bins": len(bins)}
    if not len(right):
        return _tables(row | {"note": "no predicted entities"}, bins)
    curve = risks(confidence, right)
    row |= {
        "mean_confidence": float(confidence.mean()),
        "ece": calibration_error(confidence, right),
        "brier": brier_score(confidence, right),
        "aurc": float(curve.mean()),
        **{f"risk_{coverage}": risk_at(curve, coverage) for coverage in COVERAGES},
    }
    notes = []
    documents, kind = len(np.unique(test.cluster)), test.clusters.kind
    if limit := limit_of(len(right), documents, kind, "predicted"):
        notes.append(f"no interval: {limit}")
    elif resamples:
        found = calibration_interval(
            confidence, right, test.cluster, test.clusters, resamples, seed
        )
        row["ece_ci_low"], row["ece_ci_high"] = found.ece
        row["brier_ci_low"], row["brier_ci_high"] = found.brier
    temperature, reason = _temperature(test, dev)
    if temperature is None:
        notes.append(f"no temperature: {reason}")
    else:
        scaled = test.confidence(temperature)
        row |= {
            "temperature": temperature,
            "ece_scaled": calibration_error(scaled, right),
            "brier_scaled": brier_score(scaled, right),
        }
    return _tables(row | {"note": "; ".join(notes) or None}, bins)


def _temperature(
    test: EntityConfidences, dev: EntityConfidences | None
) -> tuple[float | None, str]:
    """Return the temperature fitted on dev, or why there is none."""
    if dev is None:
        return None, "no confidences on dev"
    if not (test.scalable and dev.scalable):
        return None, NOT_KEPT
    temperature = fit_temperature(dev)
    wrong = len(dev.right) - int(dev.right.sum())
    return temperature, f"{len(dev.right)} predicted entities on dev, {wrong} of them wrong"


def _tables(row: dict[str, Any], bins: pl.DataFrame) -> Calibration:
    whose = [pl.lit(row[name], dtype).alias(name) for name, dtype in RUN.items()]
    return Calibration(pl.DataFrame([row], schema=CALIBRATION), bins.select(*whose, pl.all()))


def read_calibration(path: Path) -> pl.DataFrame:
    """Read `calibration.csv`, a row for each seed of a cell.

    Raises:
        InputError: It is missing or has other columns.
    """
    return read_table(path, CALIBRATION, ["dataset", "model", "seed", "decoding"])


def read_reliability(path: Path) -> pl.DataFrame:
    """Read `reliability.csv`, the bins of each seed of a cell.

    Raises:
        InputError: It is missing or has other columns.
    """
    return read_table(path, BINNED, list(BINNED))
