"""Counts of a normalized corpus: the paper's Tables I and II and what explains scores."""

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence, Set
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import polars as pl

from bioner.corpora.changes import Changes
from bioner.corpora.fates import Fates, fates_of
from bioner.data.instances import Instance
from bioner.data.near_duplicates import find_near_duplicates
from bioner.data.tags import OUTSIDE, spans
from bioner.errors import InputError
from bioner.io.tables import Schema, read_table
from bioner.scoring.labels import PAPER_CUTS, bucket_names, bucket_of

# The columns of stats.csv.
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
    """An entity by its lower-cased text; `length` is in tokens."""

    text: str
    type: str
    length: int


def corpus_statistics(
    dataset: str,
    splits: Mapping[str, Sequence[Instance]],
    counted: Mapping[str, Sequence[int]],
    changes: Changes,
) -> pl.DataFrame:
    """Return the statistics in long form, one row each (docs/corpora.md explains them).

    Args:
        dataset: The corpus's name.
        splits: The instances of each split.
        counted: The lengths of each split's entities as Table II counts them, on the tags of the
            files: B- opens an entity and any I- continues it.
        changes: What was repaired or lost.
    """
    mentions = {name: _mentions(instances) for name, instances in splits.items()}
    types: dict[str, set[str]] = {}  # of each text, in any split
    for mention in chain.from_iterable(mentions.values()):
        types.setdefault(mention.text, set()).add(mention.type)
    # Values as text: counts are whole numbers, shares and means are not.
    rows = [
        (dataset, name, statistic, stratum, str(value))
        for name, instances in splits.items()
        for statistic, stratum, value in (
            *_counts(instances, mentions[name]),
            *_by_length("table2_entities", counted[name]),
            *_ambiguity(instances, mentions[name], types),
            *_lengths(instances),
            *(_duplicates(instances, splits["train"]) if name != "train" else ()),
            *(_near_duplicates(instances, splits["train"]) if name != "train" else ()),
            *(_seen(mentions[name], mentions["train"]) if name != "train" else ()),
            *(("changes", kind, count) for kind, count in changes.counts(name).items()),
            *_fates(fates_of(changes, name, len(mentions[name]))),
        )
    ]
    return pl.DataFrame(rows, schema=list(STATISTICS), orient="row")


def _counts(instances: Sequence[Instance], mentions: Sequence[Mention]) -> Iterator[StatisticsRow]:
    tags = Counter(tag for instance in instances for tag in instance.tags)
    yield "instances", "all", len(instances)
    yield "documents", "all", len({instance.doc for instance in instances})
    yield "tokens", "all", sum(len(instance.tokens) for instance in instances)
    with_entity = sum(any(tag != OUTSIDE for tag in instance.tags) for instance in instances)
    yield "instances_with_entity", "all", with_entity
    yield from _by_length("entities", [mention.length for mention in mentions])
    types = Counter(mention.type for mention in mentions)
    yield from (("entities", f"type:{type_}", types[type_]) for type_ in sorted(types))
    yield from (("tags", tag, tags[tag]) for tag in sorted(tags))


def _by_length(statistic: str, lengths: Sequence[int]) -> Iterator[StatisticsRow]:
    buckets = Counter(bucket_of(length, PAPER_CUTS) for length in lengths)
    yield statistic, "all", len(lengths)
    yield from ((statistic, bucket, buckets[bucket]) for bucket in bucket_names(PAPER_CUTS))


def _lengths(instances: Sequence[Instance]) -> Iterator[StatisticsRow]:
    """Yield tokens per instance: the mean and nearest-rank percentiles (p100 is the longest)."""
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
    """Yield how many instances are also training instances, all and distinct."""
    known = {tuple(instance.tokens) for instance in train}
    found = [tokens for instance in instances if (tokens := tuple(instance.tokens)) in known]
    yield "instances_in_train", "all", len(found)
    yield "instances_in_train", "distinct", len(set(found))


def _near_duplicates(
    instances: Sequence[Instance], train: Sequence[Instance]
) -> Iterator[StatisticsRow]:
    """Yield how many units have a near-duplicate in train, all and exact, and how many exist."""
    found = find_near_duplicates(instances, train)
    yield "near_duplicates_in_train", "all", len(found.similarity)
    yield "near_duplicates_in_train", "exact", list(found.similarity.values()).count(1)
    yield "near_duplicate_units", found.unit, found.units


def _seen(mentions: Sequence[Mention], train: Sequence[Mention]) -> Iterator[StatisticsRow]:
    """Yield the share of mentions that also occur in train: by text, by text and type, and the
    latter of each type.
    """
    if mentions:
        texts = {mention.text for mention in train}
        seen = [mention for mention in mentions if mention.text in texts]
        yield "mentions_seen_in_train", "text", len(seen) / len(mentions)
        typed = {(mention.text, mention.type) for mention in train}
        seen = [mention for mention in seen if (mention.text, mention.type) in typed]
        yield "mentions_seen_in_train", "text and type", len(seen) / len(mentions)
        all_of, seen_of = (Counter(each.type for each in some) for some in (mentions, seen))
        for type_ in sorted(all_of):
            yield "mentions_seen_in_train", f"type:{type_}", seen_of[type_] / all_of[type_]


def _ambiguity(
    instances: Sequence[Instance], mentions: Sequence[Mention], types: Mapping[str, set[str]]
) -> Iterator[StatisticsRow]:
    """Yield the share of mentions whose text has several types in the corpus, and the share of
    their distinct texts that also occur untagged in the split.
    """
    if mentions:
        several = sum(len(types[mention.text]) > 1 for mention in mentions)
        yield "mentions_of_several_types", "all", several / len(mentions)
        texts = {mention.text for mention in mentions}
        yield "texts_also_untagged", "all", len(_untagged(instances, texts)) / len(texts)


def _untagged(instances: Sequence[Instance], texts: Set[str]) -> set[str]:
    """Return the texts that also occur where every token is O."""
    lengths: dict[str, set[int]] = {}  # in tokens, by first token
    for text in texts:
        tokens = text.split(" ")
        lengths.setdefault(tokens[0], set()).add(len(tokens))
    found = set()
    for instance in instances:
        lowered = [token.lower() for token in instance.tokens]
        for start, first in enumerate(lowered):
            for length in lengths.get(first, ()):
                place = slice(start, start + length)
                text = " ".join(lowered[place])
                if text in texts and {*instance.tags[place]} == {OUTSIDE}:
                    found.add(text)
    return found


def _fates(fates: Fates) -> Iterator[StatisticsRow]:
    yield from (("annotations", fate, number) for fate, number in fates._asdict().items())
    yield "annotations_lost", "all", fates.lost


def _mentions(instances: Sequence[Instance]) -> list[Mention]:
    return [
        Mention(" ".join(instance.tokens[span.start : span.end]).lower(), span.type, span.length)
        for instance in instances
        for span in spans(instance.tags)
    ]


def read_statistics(path: Path) -> pl.DataFrame:
    """Read a corpus's stats.csv.

    Raises:
        InputError: Other columns, or a value that is not finite.
    """
    table = read_table(path, STATISTICS)
    if not table["value"].drop_nulls().is_finite().all():
        raise InputError(
            path, "a value that is no number", "counts and shares", "Normalize the corpus again."
        )
    return table
