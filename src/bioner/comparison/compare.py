"""Compare every pair of systems on a test set: differences, intervals, p-values, exploration."""

import itertools
import logging
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl

from bioner.comparison.components import (
    NOISE,
    Covers,
    Difference,
    SystemScores,
    difference_of,
    scores_of,
)
from bioner.comparison.counts import SystemCounts, Unit, count_run, units_of
from bioner.comparison.estimates import LEVEL, Estimates, estimate, quantile
from bioner.comparison.measures import Measure, Scores, measures_of
from bioner.comparison.multiplicity import step_down
from bioner.comparison.replicates import NullReplicates, document_replicates
from bioner.data.instances import Instance, Prediction
from bioner.errors import InputError
from bioner.io.tables import Schema, read_table
from bioner.scoring.limits import limit_of
from bioner.scoring.resampling import clusters_of
from bioner.scoring.tally import Array

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
    "label": pl.String,
    "gold_entities": pl.Int64,
    "cluster": pl.String,
    "clusters": pl.Int64,
    "clusters_with_gold": pl.Int64,
    "score": pl.Float64,
    "baseline_score": pl.Float64,
    "difference": pl.Float64,
    "deterministic": pl.Boolean,
    "covers": pl.String,
    "standard_error": pl.Float64,
    "df": pl.Float64,
    "variance_documents": pl.Float64,
    "df_documents": pl.Float64,
    "variance_seeds": pl.Float64,
    "df_seeds": pl.Float64,
    "variance_interaction": pl.Float64,
    "ci_low": pl.Float64,
    "ci_high": pl.Float64,
    "p": pl.Float64,
    "smallest_p": pl.Float64,
    "untested": pl.String,
    "family": pl.String,
    "tests": pl.Int64,
    "p_max_t": pl.Float64,
    "critical": pl.Float64,
    "critical_90": pl.Float64,
}
ADJUSTED: Schema = {
    "row": pl.UInt32,
    **{n: COMPARISON[n] for n in ("family", "tests", "p_max_t", "critical", "critical_90")},
}
PAIR = ("model", "decoding", "baseline_model", "baseline_decoding")
ROW = ("measure", "stratum", "label")
ESTIMATES = ("standard_error", "df", "ci_low", "ci_high", "p", "smallest_p", "untested")
FEWEST_SEEDS = 3  # per side, for exploration


@dataclass(frozen=True, slots=True)
class System:
    """Predictions of a model under one decoding; the other attributes as in `SystemCounts`.

    Systems that share weights have runs of the same seeds in the same order.
    """

    model: str | None
    decoding: str | None
    runs: Sequence[Sequence[Prediction]]
    deterministic: bool = False
    members: frozenset[str] = frozenset()


def compare(
    gold: Sequence[Instance],
    systems: Sequence[System],
    cuts: Sequence[int] = (1, 2),
    resamples: int = 10_000,
    seed: int = 0,
    dataset: str | None = None,
) -> pl.DataFrame:
    """Compare every pair of systems on a test set, as `compare_counts` does.

    Args:
        gold: The test set.
        systems: Their predictions.
        cuts: Upper ends of the length buckets but the last.
        resamples: See `compare_counts`.
        seed: See `compare_counts`.
        dataset: Its name, for the table.
    """
    clusters = clusters_of(gold)
    counted = [
        SystemCounts(
            system.model,
            system.decoding,
            np.array([count_run(gold, run, clusters, cuts) for run in system.runs]),
            system.deterministic,
            system.members,
        )
        for system in systems
    ]
    table = compare_counts(counted, units_of(gold, cuts), clusters.kind, resamples, seed)
    return table.with_columns(pl.lit(dataset, pl.String).alias("dataset"))


def compare_counts(
    systems: Sequence[SystemCounts],
    units: Sequence[Unit],
    kind: str = "document",
    resamples: int = 10_000,
    seed: int = 0,
) -> pl.DataFrame:
    """Compare every pair of systems in every measure (docs/statistics.md).

    Args:
        systems: Their counts on the same documents.
        units: What the counts are of, in order.
        kind: What is resampled: `document` or `sentence`.
        resamples: Replicates of the bootstrap, of max-T and of approximate randomisation.
        seed: Of their random numbers.

    Returns:
        A row per pair, measure, stratum and entity type (columns COMPARISON). Undefined values are
        null.

    Raises:
        InputError: Systems that share weights have different numbers of runs.
    """
    scores = Scores(units, measures_of(units))
    found = [scores_of(system, scores) for system in systems]
    drawn = document_replicates(systems, scores, resamples, seed)
    active = [scores.active(system.runs.sum(0)) for system in systems]
    possible = systems[0].runs[0, :, :, 1]  # documents x units
    sizes = scores.sizes(possible.sum(0)).round().astype(int).tolist()
    with_gold = scores.sizes((possible > 0).sum(0)).tolist()
    limits = [limit_of(*size, kind) for size in zip(sizes, with_gold, strict=True)]
    about = {
        "measure": [measure.name for measure in scores.measures],
        "stratum": [measure.stratum for measure in scores.measures],
        "label": [measure.unit.label for measure in scores.measures],
        "gold_entities": sizes,
        "clusters_with_gold": with_gold,
    }
    null = NullReplicates(systems, resamples, seed)
    table: dict[str, list[object]] = defaultdict(list)
    explored: dict[str, list[_Exploration]] = defaultdict(list)
    for one, other in itertools.combinations(range(len(systems)), 2):
        pair, sides = (systems[one], systems[other]), (found[one], found[other])
        check_seeds(*pair)
        difference = difference_of(pair, sides, active[one] | active[other])
        tested = estimate(
            pair, difference, drawn[one] - drawn[other], scores, limits, resamples, seed
        )
        columns = {
            **_names(*pair),
            **about,
            "cluster": kind,
            "clusters": len(possible),
            "score": sides[0].pooled,
            "baseline_score": sides[1].pooled,
            "difference": difference.value,
            "covers": str(tested.covers),
            "variance_documents": difference.documents,
            "df_documents": difference.df_documents,
            "variance_seeds": difference.seeds,
            "df_seeds": difference.df_seeds,
            "variance_interaction": difference.interaction,
            **{name: getattr(tested, name) for name in ESTIMATES},
        }
        for name, places in _explored(pair, tested, scores.measures).items():
            row = len(table["measure"])
            explored[name].append(_Exploration((one, other), difference, tested, places, row))
        for name, column in columns.items():
            values = column.tolist() if isinstance(column, np.ndarray) else column
            table[name] += values if isinstance(values, list) else [values] * len(limits)
    if len(possible) == 1:
        log.warning("compare: a single %s: no interval and no test are possible", kind)
    rows = []
    for name, tests in explored.items():  # one after another: their replicates fill the memory
        family = [test for each in tests for test in each.tests(null, found, drawn)]
        rows += adjusted(name, family)
    types = {name: COMPARISON[name] for name in table}
    return (
        pl.DataFrame(table, schema=types)
        .with_row_index("row")
        .fill_nan(None)
        .join(pl.DataFrame(rows, schema=ADJUSTED), on="row", how="left")
        .with_columns(dataset=pl.lit(None, pl.String))
        .select(pl.col(name).cast(kind) for name, kind in COMPARISON.items())
    )


class Explored(NamedTuple):
    """A test of an exploratory family: its row, |t|, df, p, and |t| under the null hypothesis."""

    row: int
    t: float
    df: float
    p: float
    replicates: Array


@dataclass(frozen=True, slots=True)
class _Exploration:
    """The tests of a pair of systems, given by their places, in a family.

    Attributes:
        pair: The places.
        difference: Between the two.
        tested: Its tests.
        measures: Those of the family.
        row: Of the pair's first measure in the table.
    """

    pair: tuple[int, int]
    difference: Difference
    tested: Estimates
    measures: Sequence[int]
    row: int

    def tests(
        self, null: NullReplicates, scores: Sequence[SystemScores], drawn: Array
    ) -> Iterator[Explored]:
        """Yield the tests with their replicates; the systems' scores, and those redrawn."""
        one, other = self.pair
        sides, apart = (scores[one], scores[other]), drawn[one] - drawn[other]
        replicates = null.of(self.pair, self.difference, sides, apart, self.measures)
        for place, each in zip(self.measures, replicates, strict=True):
            t, df, p = abs(self.difference.t[place]), self.tested.df[place], self.tested.p[place]
            yield Explored(self.row + place, t, df, p, each)


def read_comparisons(path: Path) -> pl.DataFrame:
    """Read and check a comparison file."""
    if path.is_file():
        with path.open(errors="replace") as stream:
            header = stream.readline().strip().split(",")
        if {"difference", "p"} <= {*header} and "covers" not in header:
            remedy = "Compare again: `snakemake --forcerun compare`."
            raise InputError(path, "a table of an earlier version", "the column covers", remedy)
    required = [*PAIR, *ROW, "gold_entities", "clusters_with_gold"]
    table = read_table(path, COMPARISON, required)
    remedy = "Remake it with `bioner compare-all`."
    if table.select("dataset", *PAIR, *ROW).is_duplicated().any():
        raise InputError(path, "a comparison twice", "each once", remedy)
    check_estimates(path, table, pl.col("family").is_not_null(), remedy)
    return table


def check_estimates(path: Path, table: pl.DataFrame, explored: pl.Expr, remedy: str) -> None:
    """Raise InputError if the numbers of a table of comparisons cannot belong together.

    Args:
        path: Its file.
        table: With the columns of estimates, and of adjustment by max-T.
        explored: Which rows are part of an exploratory family.
        remedy: What to do.
    """
    floats = pl.col(name for name, kind in table.schema.items() if kind == pl.Float64)
    shares = pl.col(name for name in ("p", "smallest_p", "p_max_t") if name in table.columns)
    interval = pl.col("difference", "ci_low", "ci_high")
    adjustment = pl.any_horizontal(pl.col(ADJUSTED.keys() - {"row", "family"}).is_null())
    apart = pl.col("score") - pl.col("baseline_score") - pl.col("difference")
    wrong = {
        "a number that is not finite": pl.any_horizontal(~floats.is_finite()),
        "a p-value outside 0 to 1": pl.any_horizontal(~shares.is_between(0, 1)),
        "a p-value without its interval": pl.col("p").is_not_null()
        & pl.any_horizontal(interval.is_null()),
        "a difference that is not that of its scores": apart.abs() > NOISE,
        "bounds in the wrong order": pl.col("ci_low") > pl.col("ci_high"),
        "no positive degrees of freedom": pl.col("p").is_not_null() & (pl.col("df") <= 0),
        "a standard error below 0": pl.col("standard_error") < 0,
        "a test of a family without its adjustment": explored & adjustment,
    }
    for found, rows in wrong.items():
        if (places := table.select(rows.fill_null(False)).to_series().arg_true()).len():
            where = f"{path}:{places[0] + 2}"
            raise InputError(where, found, "what was written when systems were compared", remedy)


def check_seeds(one: SystemCounts, other: SystemCounts) -> None:
    if one.shares_weights(other) and len(one.runs) != len(other.runs):
        names = " and ".join(f"{side.model} ({side.decoding})" for side in (one, other))
        raise InputError(
            "compare",
            f"{len(one.runs)} and {len(other.runs)} runs of {names}, which share weights",
            "runs of the same seeds, in the same order",
            "Give both the predictions of every seed.",
        )


def _names(one: SystemCounts, other: SystemCounts) -> dict[str, object]:
    names: dict[str, object] = {"deterministic": one.deterministic or other.deterministic}
    for side, system in (("", one), ("baseline_", other)):
        names[f"{side}model"], names[f"{side}decoding"] = system.model, system.decoding
        names[f"{side}seeds"] = len(system.runs)
    return names


def _explored(
    pair: tuple[SystemCounts, SystemCounts], tested: Estimates, measures: Sequence[Measure]
) -> dict[str, list[int]]:
    """Return the measures in which a pair is part of an exploratory family, by family."""
    enough = tested.covers == Covers.WEIGHTS or all(len(s.runs) >= FEWEST_SEEDS for s in pair)
    if not enough or any(system.deterministic for system in pair):
        return {}
    found: dict[str, list[int]] = defaultdict(list)
    for place in np.flatnonzero(~np.isnan(tested.p) & tested.agrees).tolist():
        found[measures[place].family].append(place)
    return found


def adjusted(family: str, tests: Sequence[Explored]) -> list[dict[str, object]]:
    """Return the columns ADJUSTED of the rows of a family.

    Neither is more lenient than the test alone.
    """
    observed = np.array([test.t for test in tests])
    found = step_down(observed, np.stack([test.replicates for test in tests]), LEVEL)
    alone = quantile(LEVEL, np.array([test.df for test in tests]))
    return [
        {
            "row": test.row,
            "family": family,
            "tests": len(tests),
            "p_max_t": max(p, test.p),
            "critical": critical,
            "critical_90": found.critical_90,
        }
        for test, p, critical in zip(tests, found.p, np.maximum(found.critical, alone), strict=True)
    ]
