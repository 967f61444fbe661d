"""A small result tree that reports are made of, and what tests ask of the tables."""

from pathlib import Path

import polars as pl

from bioner.corpora.changes import Changes
from bioner.corpora.statistics import corpus_statistics
from bioner.data.instances import Instance, Prediction
from bioner.io.tables import write_table
from bioner.reporting.report import report
from bioner.scoring.score import ScoredRun, score
from tests.conftest import instance

GOLD = [
    instance("s1", "gout/B-Disease after/O aspirin/B-Chemical"),
    instance("s2", "renal/B-Disease failure/I-Disease"),
]
WRONG = [Prediction("s1", ["B-Disease", "O", "O"]), Prediction("s2", ["B-Disease", "I-Disease"])]
# The same fifteen times: 45 entities, enough for an interval.
MANY = [
    Instance(f"{item.id}.{n}", f"{item.id}.{n}", item.tokens, item.tags)
    for n in range(15)
    for item in GOLD
]
BERTS = ("bert-large-uncased", "bert-large-cased", "biomedbert-large")


def bc5cdr(folder: Path) -> Path:
    """BC5CDR with three encoders and two seeds: one finds 2 of 3 entities, the other all."""
    for model in BERTS:
        right = [Prediction(item.id, item.tags) for item in GOLD]
        seeds = [
            score(GOLD, found, ScoredRun("BC5CDR", model, seed, "direct"))
            for seed, found in ((1, WRONG), (2, right))
        ]
        write_table(folder / "results" / "BC5CDR" / model / "scores.csv", pl.concat(seeds))
    splits = {"train": GOLD, "dev": GOLD[:1], "test": GOLD}
    # As if the files' tags had joined two entities that evaluators see apart.
    counted = {name: [3] for name in splits}
    write_table(
        folder / "data" / "BC5CDR" / "stats.csv",
        corpus_statistics("BC5CDR", splits, counted, Changes()),
    )
    return folder


def for_many(predictions: list[Prediction]) -> list[Prediction]:
    """The predictions for GOLD as often as MANY has it."""
    return [Prediction(f"{item.id}.{n}", item.tags) for n in range(15) for item in predictions]


def built(kept: Path, **options) -> dict[str, pl.DataFrame]:
    """The reports of a tree."""
    return report(kept / "results", kept / "data", kept / "reports", **options)


def row(table: pl.DataFrame, **where) -> dict:
    """The only row with these values."""
    (found,) = table.filter(**where).iter_rows(named=True)
    return found
