"""The calibration table: means over seeds, and which of them lack a value."""

import polars as pl
import pytest

from bioner.reporting.calibration import calibration_table
from bioner.results.cells import CELLS
from bioner.scoring.calibration import CALIBRATION
from tests.unit.reporting.numbers import loaded

WHOSE = {"dataset": "BC5CDR", "model": "m"}


def test_a_mean_over_seeds_needs_a_value_under_each():
    rows = [
        {"seed": 1, "brier": 0.2, "temperature": 2.0, "correct": 40, "note": None},
        {"seed": 2, "brier": 0.3, "temperature": None, "correct": 42, "note": "no temperature"},
    ]
    calibration = pl.DataFrame([WHOSE | {"decoding": "d"} | r for r in rows], schema=CALIBRATION)
    cells = pl.DataFrame([WHOSE | {"state": "done"}], schema=CELLS)
    (row,) = calibration_table(loaded(calibration=calibration, cells=cells)).to_dicts()
    assert (row["seeds"], row["correct"]) == (2, 41)
    assert (row["brier"], row["temperature"]) == (pytest.approx(0.25), None)
    assert row["note"] == "seed 2: no temperature"
