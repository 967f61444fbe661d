"""How often the tests of bioner.comparison err in made-up worlds, and how often they find what is
there.

Worlds (parts/worlds.py) are compared by `compare_counts`, the product's own. Give names of studies
to run only those, with * for any text; --list names them. A figure outside its bound is marked.
The last line is JSON, a record per study, in percent.
"""

import argparse
import json
import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from functools import cache

import numpy as np
import polars as pl
from scipy.special import stdtr

from bioner.comparison import compare, replicates
from bioner.comparison.components import degrees_of_freedom
from bioner.comparison.counts import SystemCounts
from bioner.comparison.estimates import LEVEL, bounds_at
from bioner.comparison.measures import measures_of
from bioner.scoring.resampling import bootstrap_weights, swaps
from bioner.scoring.tally import Array

if __package__ == "parts":
    from parts.worlds import UNITS, Player, World
else:  # a test
    from benchmarks.parts.worlds import UNITS, Player, World

RESAMPLES = 2_000
DRAWS = 4  # sets of resamples, taken in turn by the repetitions
MARGIN = 1.0
F1 = 76.0
SYSTEMS = 14
UNEQUAL = (0.4, 2.0)


@dataclass(frozen=True, slots=True)
class Study:
    """A world, and the bounds of what is counted in it, in percent.

    A world of two systems counts, of the comparisons that have them:
        rejected: p at most 0.05.
        corrected: The same, seed x document noise subtracted from the variance between seeds.
        covered: The true difference is in the 95 % interval.
        equivalent: The 90 % interval is within one point of 0.
        old: p at most 0.05 by the previous method (if asked for).
        untested: There is no p.

    A world of more systems counts:
        rejected: A pair that does not differ has an adjusted p of at most 0.05.
        found: Pairs that differ and have one (their share).
        equivalent: A pair that differs is equivalent within one point.
        untested: Pairs without a test (their share).
    """

    world: World
    bounds: Mapping[str, tuple[float, float]]
    old: bool = False

    def run(self, repetitions: int, seed: int = 0) -> dict[str, float]:
        """Return the figures, in percent."""
        draw = np.random.default_rng(seed)
        counted: dict[str, list[float]] = defaultdict(list)
        for number in range(repetitions):
            systems, drawn = self.world.draw(draw)
            table = compare.compare_counts(systems, UNITS, "document", RESAMPLES, number % DRAWS)
            table = table.filter(measure="f1", stratum="all")
            if len(systems) > 2:
                found = _family(table, np.array([player.f1 for player in self.world.players]))
            else:
                found = _pair(table.row(0, named=True), self.world, drawn)
                if self.old:
                    found["old"] = old_p(systems, number % DRAWS) <= LEVEL
            for name, value in found.items():
                counted[name].append(float(value))
        return {name: 100 * float(np.mean(values)) for name, values in counted.items()}

    def outside(self, figures: Mapping[str, float], allowed: float = 0.0) -> list[str]:
        """Name the figures that are outside their bounds by more than is allowed."""
        return [
            f"{name} {figures[name]:.1f} is not within {low:g} to {high:g}"
            for name, (low, high) in self.bounds.items()
            if not low - allowed <= figures[name] <= high + allowed
        ]


def _pair(row: Mapping[str, float], world: World, drawn: Array) -> dict[str, float]:
    """Count one comparison of two systems."""
    one, other = world.players
    of_weights = row["covers"] == "documents"
    true = float(drawn[0] - drawn[1]) if of_weights else one.f1 - other.f1
    found = {"untested": row["p"] is None}
    if row["p"] is not None:
        found["rejected"] = row["p"] <= LEVEL
    if row["ci_low"] is None:
        return found
    found["covered"] = row["ci_low"] <= true <= row["ci_high"]
    df = np.nan if row["df"] is None else row["df"]
    low, high = bounds_at(2 * LEVEL, row["difference"], row["ci_low"], row["ci_high"], df)
    found["equivalent"] = bool(low > -MARGIN and high < MARGIN)
    if row["variance_seeds"] and not of_weights:
        found["corrected"] = _corrected_p(row) <= LEVEL
    return found


def _corrected_p(row: Mapping[str, float]) -> float:
    """Return p as if noise of seed x document were subtracted from the variance between seeds."""
    documents = row["variance_documents"]
    seeds = max(row["variance_seeds"] - row["variance_interaction"], 0.0)
    known = (documents, row["clusters"] - 1, seeds, row["df_seeds"])
    df = degrees_of_freedom(*map(np.asarray, known))
    return float(2 * stdtr(df, -abs(row["difference"]) / np.sqrt(documents + seeds)))


def _family(table: pl.DataFrame, true: Array) -> dict[str, float]:
    """Count one comparison of many systems, each pair once."""
    one, other = np.triu_indices(len(true), 1)
    apart = true[one] - true[other]
    numbers = ("p_max_t", "difference", "critical_90", "standard_error")
    p, difference, critical, error = (table[name].to_numpy() for name in numbers)
    significant = p <= LEVEL
    equivalent = np.abs(difference) + critical * error < MARGIN
    found = {
        "rejected": bool(significant[apart == 0].any()),
        "untested": float(np.isnan(p).mean()),
    }
    if (apart != 0).any():
        found["found"] = float(significant[apart != 0].mean())
        found["equivalent"] = bool(equivalent[np.abs(apart) >= MARGIN].any())
    return found


def old_p(systems: Sequence[SystemCounts], seed: int) -> float:
    """Test as bioner-bench did: swaps of the seeds' averages, and at least the bootstrap's tail."""
    means = [system.runs.mean(0)[:, 0] for system in systems]
    totals = [mean.sum(0) for mean in means]
    observed = abs(_f1(totals[0]) - _f1(totals[1]))
    documents, extreme = len(means[0]), 0
    for swapped in _swaps(documents, RESAMPLES, seed):
        change = swapped @ (means[1] - means[0])
        extreme += int(
            (np.abs(_f1(totals[0] + change) - _f1(totals[1] - change)) >= observed).sum()
        )
    weights = np.concatenate([part for _, part in _weights(documents, RESAMPLES, seed)])
    resampled = []
    for number, system in enumerate(systems):
        runs = len(system.runs)
        drawn = max(1, runs - 1)  # one less than there are, for the variance of the mean
        draw = np.random.default_rng([seed, 3, number])
        shares = draw.multinomial(drawn, np.full(runs, 1 / runs), size=RESAMPLES) / drawn
        by_run = np.stack([weights @ run[:, 0] for run in system.runs])
        resampled.append(_f1(np.einsum("nr,rnc->nc", shares, by_run)))
    change = resampled[0] - resampled[1]
    tails = min((change <= 0).sum(), (change >= 0).sum())
    return max((extreme + 1) / (RESAMPLES + 1), (2 * tails + 1) / (RESAMPLES + 1))


def _f1(counts: Array) -> Array:
    return 200 * counts[..., 0] / (counts[..., 1] + counts[..., 3])


@cache
def _weights(documents: int, resamples: int, seed: int) -> list[tuple[slice, Array]]:
    return list(bootstrap_weights(documents, resamples, seed))


@cache
def _swaps(documents: int, resamples: int, seed: int) -> list[Array]:
    return list(swaps(documents, resamples, seed))


def prepare() -> None:
    """Save time: repetitions share their resampled documents, and only F1 is compared."""
    replicates.bootstrap_weights = _weights
    compare.measures_of = lambda units: measures_of(units)[:1]


def alike(seeds: int, deviations: Sequence[float], apart: float = 0.0, **about) -> World:
    """Two systems whose seeds scatter by these deviations."""
    one, other = (Player(F1, seeds, deviation) for deviation in deviations)
    return World([Player(F1 + apart, seeds, one.deviation), other], **about)


def many(seeds: int, deviations: Sequence[float], apart: float = 0.0) -> World:
    """Fourteen systems whose seeds scatter by these deviations in turn, the latter half better."""
    return World(
        [
            Player(F1 + apart * (2 * n >= SYSTEMS), seeds, deviations[n % len(deviations)])
            for n in range(SYSTEMS)
        ]
    )


def studies() -> dict[str, Study]:
    """Return every study by its name."""
    found = {}
    covered = (93.0, 98.0)
    named = {"0": (0, 0), "0.5": (0.5, 0.5), "1": (1, 1), "2": (2, 2), "0.4/2": UNEQUAL}
    for documents in (404, 100, 10):
        for seeds in (2, 3, 5):
            size = {"rejected": (0.0, 10.0 if seeds == 2 else 7.0)}
            for name, deviations in named.items():
                world = alike(seeds, deviations, documents=documents)
                key = f"{documents} documents, {seeds} seeds, deviation {name}"
                bounds = {"covered": (90.0, 100.0) if seeds == 2 else covered}
                found[key] = Study(world, size | bounds)
    size = {"rejected": (0.0, 7.0), "covered": covered}
    learned, fixed = Player(F1, 3, 1.0), Player(F1, 1, deterministic=True)
    found["3 seeds skewed"] = Study(World([Player(F1, 3, 1.0, skewed=True)] * 2), size)
    found["3 seeds of deviation 1 against 5 of 0.4"] = Study(
        World([learned, Player(F1, 5, 0.4)]), size
    )
    found["1 seed of each"] = Study(World([Player(F1, 1)] * 2), size)
    found["1 seed of each, deviation 1"] = Study(
        World([Player(F1, 1, 1.0)] * 2), {"covered": covered}
    )
    found["3 seeds against 1"] = Study(
        World([learned, Player(F1, 1, 1.0)]), {"untested": (100.0, 100.0), "covered": covered}
    )
    for deviation in (0.5, 2.0):
        world = World([Player(F1, 3, deviation), fixed])
        found[f"3 seeds of deviation {deviation:g} against a deterministic system"] = Study(
            world, size
        )
    for seeds in (3, 5):
        shared = [
            World([Player(F1, seeds, 1.0), Player(F1 + d, seeds)], shared=True) for d in (0, 0.5)
        ]
        found[f"{seeds} shared seeds of deviation 1"] = Study(shared[0], size)
        power = {"rejected": (80.0, 100.0), "covered": covered}
        found[f"power at 0.5: {seeds} shared seeds of deviation 1"] = Study(shared[1], power)
        for deviation in (0.5, 1.0, 2.0):
            world = alike(seeds, (deviation, deviation), apart=1.5)
            key = f"power at 1.5: {seeds} seeds, deviation {deviation:g}"
            found[key] = Study(world, {"covered": covered}, old=True)
    for name, deviations in named.items():
        world = alike(3, deviations, apart=MARGIN)
        at_margin = {"equivalent": (0.0, 5.0), "covered": covered}
        found[f"at the margin: 3 seeds, deviation {name}"] = Study(world, at_margin)
    found["at the margin: 5 shared seeds"] = Study(
        World([Player(F1, 5, 1.0), Player(F1 + MARGIN, 5)], shared=True), {"equivalent": (0.0, 5.0)}
    )
    for seeds, most in ((3, 7.5), (5, 6.0)):
        bounds = {"rejected": (0.0, most)}
        for name, deviations in named.items():
            if name != "0":
                key = f"{seeds} seeds, deviation {name}"
                found[f"family: {key}"] = Study(many(seeds, deviations), bounds)
                found[f"family, half differ: {key}"] = Study(many(seeds, deviations, 6.0), bounds)
        found[f"family: {seeds} seeds, one system of deviation 2, others of 0.4"] = Study(
            many(seeds, (2.0, *[0.4] * (SYSTEMS - 1))), bounds
        )
        margin = {"rejected": (0.0, most), "equivalent": (0.0, 5.0)}
        found[f"family at the margin: {seeds} seeds, deviation 0.5"] = Study(
            many(seeds, (0.5,), MARGIN), margin
        )
    return found


QUICK = (
    "404 documents, 3 seeds, deviation [01]",
    "3 seeds against 1",
    "*shared*",
    "family*3*0.4/2",
)


def main() -> None:
    """Print the figures of each study as it ends and, last, one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="studies to run, with * for any text")
    parser.add_argument("--repetitions", type=int, default=4_000)
    parser.add_argument("--quick", action="store_true", help="a few studies, 200 repetitions")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--list", action="store_true", help="name the studies and stop")
    options = parser.parse_args()
    wanted = options.names or (QUICK if options.quick else ["*"])
    chosen = {k: s for k, s in studies().items() if any(fnmatch(k, name) for name in wanted)}
    if options.list:
        print(*chosen, sep="\n")
        return
    prepare()
    record = {}
    for name, study in chosen.items():
        figures = study.run(200 if options.quick else options.repetitions, options.seed)
        record[name] = {key: round(value, 2) for key, value in figures.items()}
        shown = "  ".join(f"{key} {value:5.1f}" for key, value in figures.items())
        warning = "".join(f"  ({text})" for text in study.outside(figures))
        print(f"{name:<55}{shown}{warning}", file=sys.stderr, flush=True)
    print(json.dumps(record))
