"""Counts of a normalized corpus: the paper's Tables I and II and what a reader of scores wants to know beside them."""

from collections import Counter
from collections.abc import Mapping, Sequence

import polars as pl

from bioner.instances import Instance
from bioner.scoring.lengths import bucket_names, bucket_of
from bioner.tags import spans

PAPER_CUTS = (1, 2)


def corpus_statistics(dataset: str, splits: Mapping[str, Sequence[Instance]]) -> pl.DataFrame:
    """Long form `dataset,split,statistic,stratum,value`.

    `instances`, `documents`, `tokens`; `entities` with the strata all, 1, 2, 3+ (length in tokens, Table II) and one
    stratum a type, written `type:NAME`.
    """
    rows: list[tuple[str, str, str, str, int]] = []
    for split, instances in splits.items():
        entities = [span for instance in instances for span in spans(instance.tags)]
        lengths = Counter(bucket_of(span.length, PAPER_CUTS) for span in entities)
        types = Counter(span.type for span in entities)
        rows += [
            (dataset, split, "instances", "all", len(instances)),
            (dataset, split, "documents", "all", len({instance.doc for instance in instances})),
            (dataset, split, "tokens", "all", sum(len(instance.tokens) for instance in instances)),
            (dataset, split, "entities", "all", len(entities)),
            *((dataset, split, "entities", bucket, lengths[bucket]) for bucket in bucket_names(PAPER_CUTS)),
            *((dataset, split, "entities", f"type:{type_}", count) for type_, count in sorted(types.items())),
        ]
    return pl.DataFrame(rows, schema=["dataset", "split", "statistic", "stratum", "value"], orient="row")
