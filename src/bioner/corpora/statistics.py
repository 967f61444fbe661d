"""Counts of a normalized corpus: the paper's Tables I and II and what a reader of scores wants to
know beside them.
"""

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import polars as pl

from bioner.corpora.changes import LOSSES, Changes
from bioner.data.instances import Instance
from bioner.data.tags import spans
from bioner.errors import InputError
from bioner.io.tables import Schema, read_table
from bioner.scoring.labels import PAPER_CUTS, bucket_names, bucket_of

# What stats.csv holds, as it is read.
STATISTICS: Schema = {
    "dataset": pl.String,
    "split": pl.String,
    "statistic": pl.String,
    "stratum": pl.String,
    "value": pl.Float64,
}
PERCENTILES = (50, 90, 95, 99, 100)

StatisticsRow = tuple[str, str, float]


class Mention(NamedTuple):
    """An entity of the corpus by its text, lower-cased."""

    text: str
    type: str
    length: int


def corpus_statistics(
    dataset: str,
    splits: Mapping[str, Sequence[Instance]],
    counted: Mapping[str, Sequence[int]],
    changes: Changes,
) -> pl.DataFrame:
    """Long form `dataset,split,statistic,stratum,value`; docs/corpora.md explains each statistic.

    `counted` are the lengths of each split's entities as Table II counts them, on the tags of the
    files: B- begins an entity and any I- goes on with it.
    """
    mentions = {name: _mentions(instances) for name, instances in splits.items()}
    # As text: counts are whole numbers, shares and means are not.
    rows = [
        (dataset, name, statistic, stratum, str(value))
        for name, instances in splits.items()
        for statistic, stratum, value in (
            *_counts(instances, mentions[name]),
            *_by_length("table2_entities", counted[name]),
            *_lengths(instances),
            *(_duplicates(instances, splits["train"]) if name != "train" else ()),
            *(_seen(mentions[name], mentions["train"]) if name != "train" else ()),
            *(("changes", kind, count) for kind, count in changes.counts(name).items()),
            (
                "annotations_lost",
                "all",
                sum(n for kind, n in changes.counts(name).items() if kind in LOSSES),
            ),
        )
    ]
    return pl.DataFrame(
        rows, schema=["dataset", "split", "statistic", "stratum", "value"], orient="row"
    )


def _counts(instances: Sequence[Instance], mentions: Sequence[Mention]) -> Iterator[StatisticsRow]:
    tags = Counter(tag for instance in instances for tag in instance.tags)
    yield "instances", "all", len(instances)
    yield "documents", "all", len({instance.doc for instance in instances})
    yield "tokens", "all", sum(len(instance.tokens) for instance in instances)
    yield from _by_length("entities", [mention.length for mention in mentions])
    types = Counter(mention.type for mention in mentions)
    yield from (("entities", f"type:{type_}", types[type_]) for type_ in sorted(types))
    yield from (("tags", tag, tags[tag]) for tag in sorted(tags))


def _by_length(statistic: str, lengths: Sequence[int]) -> Iterator[StatisticsRow]:
    buckets = Counter(bucket_of(length, PAPER_CUTS) for length in lengths)
    yield statistic, "all", len(lengths)
    yield from ((statistic, bucket, buckets[bucket]) for bucket in bucket_names(PAPER_CUTS))


def _lengths(instances: Sequence[Instance]) -> Iterator[StatisticsRow]:
    """Tokens an instance: the mean and nearest-rank percentiles (p100 is the longest)."""
    lengths = sorted(len(instance.tokens) for instance in instances)
    yield "tokens_per_instance", "mean", sum(lengths) / len(lengths)
    for percent in PERCENTILES:
        yield (
            "tokens_per_instance",
            f"p{percent}",
            lengths[math.ceil(percent / 100 * len(lengths)) - 1],
        )


def _duplicates(
    instances: Sequence[Instance], train: Sequence[Instance]
) -> Iterator[StatisticsRow]:
    """Instances whose tokens are those of a training instance, and how many texts they are."""
    known = {tuple(instance.tokens) for instance in train}
    found = [tokens for instance in instances if (tokens := tuple(instance.tokens)) in known]
    yield "instances_in_train", "all", len(found)
    yield "instances_in_train", "distinct", len(set(found))


def _seen(mentions: Sequence[Mention], train: Sequence[Mention]) -> Iterator[StatisticsRow]:
    """Share of mentions that are in train, lower-cased: by their text alone, and with the same
    type.
    """
    if mentions:
        texts, typed = (
            {mention.text for mention in train},
            {(mention.text, mention.type) for mention in train},
        )
        by_text = sum(mention.text in texts for mention in mentions)
        by_both = sum((mention.text, mention.type) in typed for mention in mentions)
        yield "mentions_seen_in_train", "text", by_text / len(mentions)
        yield "mentions_seen_in_train", "text and type", by_both / len(mentions)


def _mentions(instances: Sequence[Instance]) -> list[Mention]:
    return [
        Mention(" ".join(instance.tokens[span.start : span.end]).lower(), span.type, span.length)
        for instance in instances
        for span in spans(instance.tags)
    ]


def read_statistics(path: Path) -> pl.DataFrame:
    """A corpus's stats.csv, with its columns checked; every value is a number."""
    table = read_table(path, STATISTICS)
    if not table["value"].drop_nulls().is_finite().all():
        raise InputError(
            path, "a value that is no number", "counts and shares", "Normalize the corpus again."
        )
    return table
