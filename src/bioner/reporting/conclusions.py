"""The answer in words, one corpus at a time: only what tests and intervals support."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import polars as pl

from bioner.reporting.prices import write_price
from bioner.reporting.tables import REPRODUCTION

ComparisonRow = Mapping[str, Any]
ALL = "All corpora"


def write_conclusions(
    datasets: Sequence[str], significance: pl.DataFrame, strict: pl.DataFrame, prices: pl.DataFrame
) -> list[tuple[str, list[str]]]:
    """Answer the question for each corpus, and first for all together if there are several.

    A difference is claimed only if its adjusted p-value is at most 0.05 and its 95 % interval
    excludes 0. Anything else is reported as not shown, with the interval. If a side has one seed,
    variation between trainings is not covered, and the answer is about these weights.

    Args:
        significance: The primary family (the best LLM against the best encoder, both chosen on dev)
            and the length claim.
        strict: Table III.
        prices: The table `price`.

    Returns:
        Sentences of plain text, the verdict first, each list with the corpus it is about.
    """
    primary = significance.filter(family="primary", stratum="all", measure="f1")
    claims = significance.filter(family="length claim", measure="f1")
    answers = [(name, list(_of(name, primary, claims, strict, prices))) for name in datasets]
    overall = list(_overall(primary))
    return [(ALL, overall), *answers] if overall else answers


def _of(
    dataset: str,
    primary: pl.DataFrame,
    claims: pl.DataFrame,
    strict: pl.DataFrame,
    prices: pl.DataFrame,
) -> Iterator[str]:
    row = next(primary.filter(dataset=dataset).iter_rows(named=True), None)
    if dataset == REPRODUCTION:
        yield (
            "No answer: this is the paper's mislabelled reading of ChemProt, here to be compared"
            " with its rows."
        )
    elif row is None:
        yield from _without(dataset, strict)
    else:
        yield _verdict(row)
        yield from map(_length, claims.filter(dataset=dataset).iter_rows(named=True))
        yield write_price(row, prices)


def _verdict(row: ComparisonRow) -> str:
    llm, encoder = _named(row, ""), _named(row, "baseline_")
    if row["verdict"] == "too few":
        return (
            f"Too little text for an answer: {row['gold_entities']:,} gold entities in"
            f" {row['clusters_with_gold']:,} {row['cluster']}s; the best LLM, {llm}, has"
            f" {_f1(row['score'])} strict F1, the best encoder, {encoder},"
            f" {_f1(row['baseline_score'])}."
        )
    apart, side = abs(row["difference"]), "above" if row["difference"] >= 0 else "below"
    what = (
        f"the best LLM, {llm}, has {_f1(row['score'])} strict F1, {apart:.2f} {side} the"
        f" best encoder, {encoder}, with {_f1(row['baseline_score'])} (difference"
        f" {_signed(row['difference'])}, 95 % interval {_signed(row['ci_low'])} to"
        f" {_signed(row['ci_high'])}, {_p(row['p_holm'])} after Holm)."
    )
    lead = {
        "higher": "Yes, the LLM surpasses the encoder",
        "lower": "No, the encoder surpasses the LLM",
        "not shown": "Not shown either way",
    }.get(row["verdict"], "Not tested")
    if not _of_one_seed(row):
        return f"{lead}: {what}"
    if row["verdict"] in ("higher", "lower"):
        lead = f"Of these very weights: {lead[:1].lower()}{lead[1:]}"
    return f"{lead}: {what} One seed a side tells nothing of other trainings."


def _of_one_seed(row: ComparisonRow) -> bool:
    """Whether a side has no second seed to show the variation between trainings."""
    return min(row["seeds"] or 1, row["baseline_seeds"] or 1) < 2


def _length(row: ComparisonRow) -> str:
    last, first = row["stratum"].split(" - ")
    gain = (
        f"{_signed(row['difference'])} F1, 95 % interval {_signed(row['ci_low'])} to"
        f" {_signed(row['ci_high'])}"
        if row["ci_low"] is not None
        else "no interval"
    )
    gain += "" if row["p_holm"] is None else f", {_p(row['p_holm'])} after Holm"
    lead = (
        f"The LLM's lead for entities of {last} tokens less that for those of {first} token is"
        f" {gain}"
    )
    return {
        "higher": f"Longer entities favour the LLM. {lead}.",
        "lower": f"Longer entities favour the encoder. {lead}.",
        "too few": f"Too few long entities to tell whether length matters. {lead}.",
    }.get(row["verdict"], f"That length matters is not shown. {lead}.")


def _without(dataset: str, strict: pl.DataFrame) -> Iterator[str]:
    """Say that there is no answer without an LLM and encoder chosen on dev, and the best score."""
    yield "No answer: this run did not compare an LLM and an encoder here, both chosen on dev."
    rows = strict.filter(
        pl.col("dataset") == dataset, pl.col("length") == "all", pl.col("headline")
    )
    scored = rows.filter(pl.col("f1").is_not_null(), pl.col("model") != "oracle").sort(
        "f1", descending=True
    )
    for best in scored.head(1).iter_rows(named=True):
        within = (
            f" (95 % interval {_f1(best['f1_ci_low'])} to {_f1(best['f1_ci_high'])})"
            if best["f1_ci_low"] is not None
            else ""
        )
        yield f"The highest strict F1 is {best['model']}'s, {_f1(best['f1'])}{within}."


def _overall(primary: pl.DataFrame) -> Iterator[str]:
    """Say how many corpora show a difference (partial conjunction), if several were tested."""
    tested = primary.filter(pl.col("tests").is_not_null())
    if len(tested) < 2:
        return
    row = tested.row(0, named=True)
    higher, lower, unclear = (
        tested.filter(verdict=verdict)["dataset"].to_list()
        for verdict in ("higher", "lower", "not shown")
    )
    rest = f"; neither is shown in {_listed(unclear)}" if unclear else ""
    yield (
        f"Of {row['tests']} corpora with enough entities the LLM surpasses the encoder in "
        f"{_listed(higher)}, the encoder the LLM in {_listed(lower)}{rest}."
    )
    yield (
        f"With 95 % confidence the LLM is ahead in at least {row['n_higher']} of them, the"
        f" encoder in at least {row['n_lower']}."
    )
    alone = [other["dataset"] for other in tested.iter_rows(named=True) if _of_one_seed(other)]
    if alone:
        which = "all of them" if len(alone) == len(tested) else ", ".join(alone)
        yield (
            f"What is said of {which} is of these very weights: one seed a side tells nothing"
            " of other trainings."
        )


def _named(row: ComparisonRow, side: str) -> str:
    decoding = row[f"{side}decoding"]
    return f"{row[f'{side}model']}" + ("" if decoding == "direct" else f" ({decoding})")


def _listed(names: Sequence[str]) -> str:
    return f"{len(names)} ({', '.join(names)})" if names else "none"


def _p(value: float | None) -> str:
    if value is None:
        return "no p"
    return "p < 0.0001" if value < 0.0001 else f"p = {value:.4f}"


def _signed(value: float | None) -> str:
    return "unknown" if value is None else f"{value:+.2f}".replace("-", "−")


def _f1(value: float | None) -> str:
    return "no" if value is None else f"{value:.2f}"
