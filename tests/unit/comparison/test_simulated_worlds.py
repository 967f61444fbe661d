"""Simulated worlds in short: `benchmarks/statistics.py` has the figures of docs/statistics.md."""

import pytest

from benchmarks.parts import simulations
from bioner.comparison import compare, replicates

STUDIES = simulations.studies()
QUICK = [
    ("404 documents, 2 seeds, deviation 1", 100),
    ("404 documents, 3 seeds, deviation 0", 150),
    ("404 documents, 3 seeds, deviation 0.4/2", 150),
    ("100 documents, 3 seeds, deviation 1", 200),
    ("10 documents, 3 seeds, deviation 1", 100),
    ("3 seeds of deviation 2 against a deterministic system", 150),
    ("3 seeds against 1", 60),
    ("1 seed of each", 60),
    ("3 shared seeds of deviation 1", 60),
    ("power at 0.5: 3 shared seeds of deviation 1", 60),
    ("family: 3 seeds, deviation 2", 15),
    ("family, half differ: 5 seeds, deviation 0.4/2", 8),
]


@pytest.fixture(autouse=True)
def prepared(monkeypatch):
    monkeypatch.setattr(replicates, "bootstrap_weights", replicates.bootstrap_weights)
    monkeypatch.setattr(compare, "measures_of", compare.measures_of)
    simulations.prepare()


@pytest.mark.parametrize(
    ("name", "repetitions"),
    [
        *QUICK,
        *(
            pytest.param(name, 100 if "family" in name else 300, marks=pytest.mark.slow)
            for name in STUDIES
        ),
    ],
)
def test_tests_keep_their_bounds_in_a_simulated_world(name, repetitions):
    """Within three binomial errors."""
    study = STUDIES[name]
    figures = study.run(repetitions, seed=1)
    assert study.outside(figures, allowed=3 * 100 * (0.05 * 0.95 / repetitions) ** 0.5) == []
