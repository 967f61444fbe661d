"""Score one prediction file with every scorer; read and concatenate score files."""

import logging
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import polars as pl

from bioner.data.instances import Instance, Prediction
from bioner.errors import InputError
from bioner.io.tables import read_table
from bioner.scoring.conventions import Orphans, convention_tallies
from bioner.scoring.labels import RESERVED
from bioner.scoring.limits import NEEDED, drop_intervals
from bioner.scoring.pairs import pair_up
from bioner.scoring.paper import paper_tallies
from bioner.scoring.resampling import clusters_of
from bioner.scoring.semeval import semeval_tallies
from bioner.scoring.subsets import subset_tallies
from bioner.scoring.table import BOUNDS, SCORE_SCHEMA, score_table
from bioner.scoring.tally import ScoreRow, Tally
from bioner.settings.config import Scoring

log = logging.getLogger(__name__)

RUN = ["dataset", "model", "seed", "decoding"]
WITHOUT_INTERVALS = Scoring(bootstrap=0)
ROW = ["scorer", "scheme", "stratum", "label"]
OVERALL = {"scorer": "semeval", "scheme": "strict", "stratum": "all", "label": "all"}


class ScoredRun(NamedTuple):
    """Which run a prediction file is of; what is not known is null in its scores."""

    dataset: str | None = None
    model: str | None = None
    seed: int | None = None
    decoding: str | None = None


UNKNOWN = ScoredRun()


def score(
    gold: Sequence[Instance],
    predictions: Sequence[Prediction],
    run: ScoredRun = UNKNOWN,
    options: Scoring = WITHOUT_INTERVALS,
    train: Sequence[Instance] | None = None,
    orphans: Orphans | None = None,
) -> pl.DataFrame:
    """Build the long score table of one prediction file.

    Args:
        run: What its first columns say.
        options: Length buckets, rows of single entity types, and resamples (by document, or else
            by sentence) for the intervals.
        train: Training instances, for the subsets of seen and unseen mentions and new sentences.
        orphans: As for `conventions.convention_tallies`, for strict IOB2.
    """
    pairs = pair_up(gold, predictions)
    semeval = list(semeval_tallies(pairs, sorted(options.length_cuts)))
    overall = overall_tallies(semeval)
    rows = [
        *semeval,
        *subset_tallies(pairs, [overall["strict"], overall["relaxed"]], train),
        *paper_tallies(pairs),
        *convention_tallies(pairs, overall["relaxed"], orphans),
    ]
    resampling = options.bootstrap, options.bootstrap_seed
    table = score_table(rows, clusters_of(gold), *resampling, run._asdict())
    (limit,) = table.filter(**OVERALL)["no_interval"]
    if options.bootstrap and limit:
        log.warning("score: no interval: %s (needed: %s)", limit, NEEDED)
    return table if options.per_type else table.filter(pl.col("label").is_in(RESERVED))


def headline_f1(gold: Sequence[Instance], predictions: Sequence[Prediction]) -> dict[str, float]:
    """Compute SemEval's strict and relaxed F1 over all types in percent; 0 if undefined."""
    overall = overall_tallies(semeval_tallies(pair_up(gold, predictions), []))
    table = score_table(list(overall.values()), clusters_of(gold), 0, 0, {})
    f1 = dict(table.select("scheme", "f1").iter_rows())
    return {scheme: f1[scheme] or 0.0 for scheme in ("strict", "relaxed")}


def overall_tallies(rows: Iterable[ScoreRow]) -> dict[str, Tally]:
    """Return the row of each scheme over all strata and types."""
    return {
        row.scheme: row
        for row in rows
        if isinstance(row, Tally) and row.stratum == row.label == "all"
    }


def read_scores(path: Path) -> pl.DataFrame:
    """Read and check a score file.

    Intervals of few gold entities are dropped from a file of an earlier version, which does not say
    how many documents hold one.
    """
    table = read_table(path, SCORE_SCHEMA, ROW, later=["no_interval"])
    counts_entities = (pl.col("scorer") != "string-set") & pl.col("f1").is_not_null()
    return drop_intervals(table, pl.when(counts_entities).then("possible"), BOUNDS)


def concat_scores(tables: Sequence[pl.DataFrame]) -> pl.DataFrame:
    """Concatenate score tables.

    Raises:
        InputError: A row is there twice: it would count as another run.
    """
    table = pl.concat(tables)
    twice = table.filter(table.select(RUN + ROW).is_duplicated())
    if len(twice):
        whose = ", ".join(f"{name} {twice[name][0]}" for name in RUN)
        raise InputError(
            "score files",
            f"rows twice ({whose})",
            "each run once",
            "Leave one out, or name runs by --seed.",
        )
    return table
