"""Our values for published numbers, each from what was run most like the paper's."""

from dataclasses import dataclass, replace
from math import isfinite
from typing import Any

import polars as pl

from bioner.reporting.efficiency import NEAR_THE_PAPER, PAPER_HARDWARE
from bioner.reporting.tables import (
    AVERAGE,
    BERT_FAMILY,
    LIKE_THE_PAPER,
    PAPER_CHEMPROT,
    REPRODUCTION,
)
from bioner.results.load import Results
from bioner.scoring.paper import SCORER

PublishedNumber = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Ours:
    """Our values for a published number, one per seed; `reason` says why there are none."""

    values: tuple[float, ...] = ()
    compared_on: str | None = None
    scorer: str | None = None
    decoding: str | None = None
    reason: str | None = None


def ours_of(results: Results, cell: PublishedNumber) -> Ours:
    """Return our values for a row of `published`."""
    find = {"I": _count, "II": _count, "III": _score, "IV": _seconds, "V": _score}
    return find[cell["table"]](results, cell)


def corpus_of(dataset: str) -> str:
    """Return the corpus of ours that the paper's scores on a dataset are compared with."""
    return REPRODUCTION if dataset == PAPER_CHEMPROT else dataset


def _count(results: Results, cell: PublishedNumber) -> Ours:
    """Find a count of Tables I and II.

    ChemProt's sentences do not depend on how its labels are read; its entities do.
    """
    statistic = {"instances": "instances", "entities": "table2_entities"}[cell["measure"]]
    corpora = [corpus_of(cell["dataset"])] + ([cell["dataset"]] if statistic == "instances" else [])
    where = {"split": cell["split"], "statistic": statistic, "stratum": cell["length"] or "all"}
    for corpus in dict.fromkeys(corpora):
        values = results.statistics.filter(dataset=corpus, **where)["value"].drop_nulls()
        if len(values) == 1 and isfinite(values.item()):
            return Ours((values.item(),), compared_on=corpus)
    faults = (results.fault("statistics", corpus) for corpus in corpora)
    return Ours(
        reason=next(filter(None, faults), f"no {cell['measure']} in statistics of {corpora[0]}")
    )


def _score(results: Results, cell: PublishedNumber) -> Ours:
    """Find our score for Table III or V, by the paper's evaluator and its way of decoding."""
    corpus, model, measure = corpus_of(cell["dataset"]), cell["model"], cell["measure"]
    rows = results.scores.filter(dataset=corpus, model=model)
    if rows.is_empty():
        return Ours(reason=results.fault("scores", corpus, model) or f"no scores on {corpus}")
    decoding = next((name for name in LIKE_THE_PAPER if name in set(rows["decoding"])), None)
    if decoding is None:
        return Ours(
            compared_on=corpus, reason="no scores of free decoding, in which the paper's LLMs wrote"
        )
    scheme = {"III": "strict", "V": "relaxed"}[cell["table"]]
    mine = rows.filter(
        scorer=SCORER, scheme=scheme, stratum=cell["length"], label="all", decoding=decoding
    )
    found = Ours(tuple(mine[measure].drop_nulls()), corpus, SCORER, decoding)
    if mine.is_empty():
        return replace(found, reason="the scores have no row of the paper's evaluator")
    if not found.values:
        return replace(found, reason="our value is not defined: neither gold nor prediction")
    return found


def _seconds(results: Results, cell: PublishedNumber) -> Ours:
    """Find seconds of Table IV: by the paper's protocol, on its kind of GPU, one per seed."""
    corpus, model = corpus_of(cell["dataset"]), cell["model"]
    members = BERT_FAMILY if model == AVERAGE else (model,)
    faults = filter(None, (results.fault("timing", corpus, member) for member in members))
    if fault := next(faults, None):
        return Ours(reason=fault)
    alike = results.timing.filter(
        NEAR_THE_PAPER,
        pl.col("dataset") == corpus,
        pl.col("model").is_in(members),
        pl.col("protocol") == "paper",
        pl.col("hardware").str.contains(PAPER_HARDWARE, literal=True),
    )
    each = alike.group_by("seed", "decoding", "model").agg(pl.col("seconds_per_sample").mean())
    together = each.group_by("seed", "decoding").agg(pl.col("seconds_per_sample").mean(), pl.len())
    whole = together.filter(len=len(members)).sort("decoding", "seed")
    if whole.is_empty():
        return Ours(reason=f"no timing on {corpus} by the paper's protocol on an H100")
    first = whole.filter(decoding=whole["decoding"][0])
    return Ours(tuple(first["seconds_per_sample"]), corpus, decoding=first["decoding"][0])
