"""Sentences of each corpus: counted if it is normalized, known beforehand, or unknown."""

from dataclasses import dataclass
from pathlib import Path

import polars as pl

from bioner.corpora.statistics import read_statistics
from bioner.data.instances import SPLITS
from bioner.errors import InputError
from bioner.settings.repository import REPOSITORY

TOKENS = 26  # per sentence of JNLPBA, the length that costs are stated for
# As this project normalizes the corpora of the catalogue.
KNOWN = REPOSITORY / "resources" / "corpora" / "sizes.csv"
TABLE_1 = REPOSITORY / "resources" / "paper" / "table1_instances.csv"


@dataclass(frozen=True, slots=True)
class Size:
    """Sentences per split, tokens per sentence (None: unknown), and the source of both."""

    sentences: dict[str, int]
    tokens: float | None
    source: str

    @property
    def length(self) -> float:
        """The length of its sentences, relative to those that costs are stated for."""
        return (self.tokens or TOKENS) / TOKENS


def size_of(dataset: str, data: Path) -> Size | None:
    """Return a corpus's size: counted in data/{dataset}/stats.csv, known beforehand, or None.

    Raises:
        InputError: The table of statistics is broken.
    """
    counted = data / dataset / "stats.csv"
    if counted.exists():
        return _counted(counted)
    known = pl.read_csv(KNOWN).filter(dataset=dataset)
    if len(known):
        full = known.drop_nulls("tokens")
        tokens = sum(full["tokens"]) / sum(full["instances"])
        sentences = dict(known.select("split", "instances").iter_rows())
        return Size(sentences, tokens, "known of its usual files")
    table = pl.read_csv(TABLE_1).filter(dataset=dataset)
    if len(table):
        return Size({split: table[split][0] for split in SPLITS}, None, "the paper's Table I")
    return None


def _counted(path: Path) -> Size:
    table = read_statistics(path).filter(pl.col("value") >= 1, stratum="all")
    counts = {
        name: {split: int(value) for split, value in found.select("split", "value").iter_rows()}
        for (name,), found in table.group_by("statistic")
    }
    instances = counts.get("instances", {})
    tokens = counts.get("tokens", {})
    if instances.keys() != set(SPLITS) or tokens.keys() != set(SPLITS):
        remedy = "Normalize the corpus again."
        raise InputError(
            path, "no instances or tokens of a split", "those of train, dev and test", remedy
        )
    return Size(instances, sum(tokens.values()) / sum(instances.values()), "counted")
