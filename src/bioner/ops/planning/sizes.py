"""Sentences a run goes through: counted where a corpus is normalized, known of those that ship,
else unknown.
"""

from dataclasses import dataclass
from pathlib import Path

import polars as pl

from bioner.corpora.statistics import STATISTICS
from bioner.data.instances import SPLITS
from bioner.errors import InputError
from bioner.io.tables import read_table
from bioner.settings.config import REPOSITORY

# a sentence of JNLPBA, whose length costs are stated for, and that of a corpus of unknown length
TOKENS = 26
KNOWN = (
    REPOSITORY / "resources" / "corpora" / "sizes.csv"
)  # as this project normalizes what the catalogue names
TABLE_1 = REPOSITORY / "resources" / "paper" / "table1_instances.csv"


@dataclass(frozen=True, slots=True)
class Size:
    """Sentences a split, tokens a sentence (None: unknown), and where both are from."""

    sentences: dict[str, int]
    tokens: float | None
    source: str

    @property
    def length(self) -> float:
        """How many times as long as those that costs are stated for its sentences are."""
        return (self.tokens or TOKENS) / TOKENS


def size_of(dataset: str, data: Path) -> Size | None:
    """A corpus's size, from data/{dataset}/stats.csv or what is known of corpora beforehand; None
    where nothing is.

    Raises InputError for a table of statistics that is broken.
    """
    counted = data / dataset / "stats.csv"
    if counted.exists():
        return _counted(counted)
    known = pl.read_csv(KNOWN).filter(dataset=dataset)
    if len(known):
        sentences = {
            split: int(count) for split, count in known.select("split", "instances").iter_rows()
        }
        full = list(known.drop_nulls("tokens").select("instances", "tokens").iter_rows())
        tokens = sum(tokens for _, tokens in full) / sum(count for count, _ in full)
        return Size(sentences, tokens, "known of its usual files")
    table = pl.read_csv(TABLE_1).filter(dataset=dataset)
    if len(table):
        return Size({split: int(table[split][0]) for split in SPLITS}, None, "the paper's Table I")
    return None


def _counted(path: Path) -> Size:
    table = read_table(path, STATISTICS).filter(pl.col("value").is_finite(), stratum="all")
    counts = {
        statistic: {
            split: int(value)
            for split, value in table.filter(statistic=statistic)
            .select("split", "value")
            .iter_rows()
        }
        for statistic in ("instances", "tokens")
    }
    if any(found.keys() != set(SPLITS) or min(found.values()) < 1 for found in counts.values()):
        remedy = "Normalize the corpus again."
        raise InputError(
            path, "no instances or tokens of a split", "those of train, dev and test", remedy
        )
    tokens = sum(counts["tokens"].values()) / sum(counts["instances"].values())
    return Size(counts["instances"], tokens, "counted")
