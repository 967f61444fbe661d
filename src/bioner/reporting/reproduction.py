"""Does it reproduce? One verdict per published run, and every other number beside ours.

A published score is that of one run. The documents are the same, so only variation between runs
stands between it and ours: a run lies within mean ± t·s·√(1 + 1/n) of n others, with Student's t
for n - 1 degrees of freedom (Hahn and Meeker 1991, "Statistical intervals", chapter 4).
"""

from collections.abc import Iterator, Mapping, Sequence
from math import sqrt
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import polars as pl
from scipy.special import bdtrc, stdtr, stdtrit

from bioner.comparison.multiplicity import holm
from bioner.io.tables import Schema
from bioner.reporting.counterparts import Ours, PublishedNumber, corpus_of, ours_of
from bioner.reporting.published import (
    CELL,
    HALF_UNIT,
    NOISE,
    Difference,
    contradictions,
    differences,
    published,
    unstated_setting,
)
from bioner.reporting.tables import BERT_FAMILY, PAPER_CHEMPROT, REPRODUCTION
from bioner.results.consistency import read_records
from bioner.results.load import Results

# The paper's ChemProt is compared with its mislabelled reproduction, instances also with ChemProt.
DATASETS = ("JNLPBA", "BioRED", PAPER_CHEMPROT, REPRODUCTION, "BC5CDR", "Reddit-Impacts")
ENCODERS = (*BERT_FAMILY, "deberta-v3-large")
MODELS = (*ENCODERS, "mistral-7b", "llama-8b")
VERDICTS = ("reproduced", "not reproduced", "cannot tell", "not comparable", "not run", "listed")
LEVEL = 0.05
FEWEST_SEEDS, ADVISED_SEEDS = 3, 5
WIDEST = 3.0  # points of F1: a wider range of a single run holds nearly every number
WINDOW = 510  # words: more do not fit 512 subwords, two of which are [CLS] and [SEP]
REPRODUCED: Schema = {
    **CELL,
    "ours": pl.Float64,
    "seeds": pl.Int64,
    "seed_std": pl.Float64,
    "range_low": pl.Float64,
    "range_high": pl.Float64,
    "p": pl.Float64,
    "p_holm": pl.Float64,
    "verdict": pl.String,
    "reason": pl.String,
    "known": pl.String,
    "compared_on": pl.String,
    "scorer": pl.String,
    "decoding": pl.String,
}

Cell = tuple[str, str]  # dataset and model


def reproduction_table(
    results: Results, settings: Mapping[Cell, Sequence[Mapping[str, Any]]] | None = None
) -> pl.DataFrame:
    """Judge the published runs (overall strict F1 of a corpus and a model), and list the rest.

    Counts of Tables I and II are `reproduced` if equal, else `not reproduced`. A run is, in this
    order:

    - `not comparable`: a known difference bars it (resources/paper/differences.csv), our corpus has
      other counts than the paper's, or the training had a setting that the paper does not state;
    - `not run`: something of ours is missing;
    - `not reproduced`: p after Holm over all runs with a p is at most 0.05;
    - `cannot tell`: fewer than three seeds, a range wider than 3 F1, or a number outside its range
      that Holm's correction lets pass;
    - `reproduced`.

    All other numbers are `listed`: they are parts of these runs, not further evidence.

    Args:
        settings: Recorded settings of the trainings, by dataset and model (`read_settings`).

    Returns:
        A row of REPRODUCED per published number. `range_low` and `range_high` are the 95 %
        prediction interval of a single run, unadjusted; `reason` explains the verdict, and `known`
        names known differences.
    """
    cells = published()
    known = [*differences(), *contradictions(cells)]
    rows = []
    for cell in cells.iter_rows(named=True):
        names = [difference.name for difference in known if difference.concerns(cell)]
        row = _beside(cell, ours_of(results, cell))
        rows.append(row | {"known": "; ".join(names) or None})
    runs = [row for row in rows if is_run(row)]
    for row in runs:
        trained = (settings or {}).get((corpus_of(row["dataset"]), row["model"]), ())
        if bars := list(_bars(row, results, rows, known, trained)):
            row |= {"verdict": "not comparable", "reason": "; ".join(bars), "p": None}
        elif row["reason"] is None and (missing := _uncounted(row, rows)):
            row |= {"verdict": "not run", "reason": missing, "p": None}
    judge_runs([row for row in runs if row["verdict"] == "listed"])
    return pl.DataFrame(rows, schema=REPRODUCED)


def is_run(row: Mapping[str, Any]) -> bool:
    """Return whether a published number is a run's overall strict F1."""
    return (row["table"], row["length"], row["measure"]) == ("III", "all", "f1")


def single_run(mean: float, std: float, seeds: int, half_unit: float = 0.0) -> tuple[float, float]:
    """Return the 95 % range of a single run, given the mean and deviation of several others.

    Args:
        std: Standard deviation over the others (n - 1).
        seeds: How many there are, at least two.
        half_unit: By how much the single run is rounded, at most.
    """
    reach = float(stdtrit(seeds - 1, 1 - LEVEL / 2)) * std * sqrt(1 + 1 / seeds) + half_unit
    return mean - reach, mean + reach


def p_of_run(value: float, mean: float, std: float, seeds: int, half_unit: float = 0.0) -> float:
    """Return the two-sided p-value of a single run under the distribution of `single_run`."""
    beyond = abs(value - mean) - half_unit
    if beyond <= NOISE:
        return 1.0
    scale = std * sqrt(1 + 1 / seeds)
    return 2 * float(stdtr(seeds - 1, -beyond / scale)) if scale else 0.0


def judge_runs(runs: Sequence[PublishedNumber]) -> None:
    """Set `p_holm`, `verdict` and `reason` of runs that can be judged, as one family of tests."""
    tested = [row for row in runs if row["p"] is not None]
    for row, p_holm in zip(tested, holm([row["p"] for row in tested]), strict=True):
        row["p_holm"] = p_holm
    for row in runs:
        if row["p_holm"] is not None and row["p_holm"] <= LEVEL:
            row |= {"verdict": "not reproduced", "reason": _outside(row)}
        elif doubts := list(_doubts(row, len(tested))):
            row |= {"verdict": "cannot tell", "reason": "; ".join(doubts)}
        else:
            row["verdict"] = "reproduced"


def _doubts(row: PublishedNumber, tests: int) -> Iterator[str]:
    """Say why a number that is not rejected may still not be ours."""
    if row["p"] is not None and row["p"] <= LEVEL:
        yield f"{_outside(row)}, but not after Holm's correction for {tests} runs"
    if row["seeds"] < FEWEST_SEEDS:
        number = {1: "one seed", 2: "two seeds"}[row["seeds"]]
        yield f"{number}: at least {FEWEST_SEEDS} are needed, {ADVISED_SEEDS} advised"
    if row["p"] is not None and (width := row["range_high"] - row["range_low"]) > WIDEST:
        yield f"the range of a single run is {width:.1f} F1 wide, more than {WIDEST:g}"


def _outside(row: PublishedNumber) -> str:
    below = row["paper"] < row["ours"]
    beyond = row["range_low"] - row["paper"] if below else row["paper"] - row["range_high"]
    side = "below" if below else "above"
    return f"the paper's is {beyond:.2f} {side} the range of a single run"


def read_settings(folder: Path, scores: pl.DataFrame) -> dict[Cell, list[dict[str, Any]]]:
    """Read the settings that the trainings of these scores were made with, if recorded."""
    runs = scores.select("dataset", "model", "seed", "decoding").unique(maintain_order=True)
    settings = {}
    for (dataset, model), cell in runs.group_by("dataset", "model", maintain_order=True):
        records = read_records(
            folder / str(dataset) / str(model), cell.select("seed", "decoding").rows()
        )
        settings[str(dataset), str(model)] = [
            record.settings for (_, decoding), record in records.items() if not decoding
        ]
    return settings


def _bars(
    run: PublishedNumber,
    results: Results,
    rows: Sequence[PublishedNumber],
    known: Sequence[Difference],
    trained: Sequence[Mapping[str, Any]],
) -> Iterator[str]:
    """Say why a published run cannot be compared with ours."""
    yield from (each.why.rstrip(".") for each in known if each.bars and each.concerns(run))
    other = [
        f"{row['ours']:,.0f} {row['split']} {row['measure']}, not {row['paper']:,.0f}"
        for row in _counts_of(run, rows)
        if row["verdict"] == "not reproduced"
    ]
    if other:
        yield f"other data than the paper's: {', '.join(other)}"
    longest = results.statistics.filter(
        dataset=corpus_of(run["dataset"]),
        split="test",
        statistic="tokens_per_instance",
        stratum="p100",
    )["value"]
    if run["model"] in ENCODERS and len(longest) and longest.item() > WINDOW:
        yield (
            "the paper cuts encoders' gold at 512 subwords, and a test instance has"
            f" {longest.item():,.0f} words"
        )
    unstated = (unstated_setting(run["model"], each) for each in trained)
    yield from dict.fromkeys(f"trained otherwise: {found}" for found in unstated if found)


def _counts_of(run: PublishedNumber, rows: Sequence[PublishedNumber]) -> Iterator[PublishedNumber]:
    """Yield the instances of every split and the test entities of a run's corpus."""
    for row in rows:
        counts = row["table"] in ("I", "II") and row["length"] in (None, "all")
        if counts and row["dataset"] == run["dataset"]:
            yield row


def _uncounted(run: PublishedNumber, rows: Sequence[PublishedNumber]) -> str | None:
    """Return why it is not known whether our corpus is the paper's; None if it is known."""
    reasons = (row["reason"] for row in _counts_of(run, rows) if row["verdict"] == "not run")
    return next(reasons, None)


def _beside(cell: PublishedNumber, found: Ours) -> PublishedNumber:
    """Put our value beside a published one: `listed`, `not run`, or the verdict on a count."""
    row: PublishedNumber = dict.fromkeys(REPRODUCED) | cell
    row |= {
        "verdict": "not run" if found.reason else "listed",
        "reason": found.reason,
        "compared_on": found.compared_on,
        "scorer": found.scorer,
        "decoding": found.decoding,
    }
    if not found.values:
        return row
    mean, seeds = fmean(found.values), len(found.values)
    row["ours"] = mean
    if cell["table"] in ("I", "II"):
        equal = mean == cell["paper"]
        apart = None if equal else f"the paper's is {cell['paper'] - mean:+.10g} from ours"
        return row | {"verdict": "reproduced" if equal else "not reproduced", "reason": apart}
    row["seeds"] = seeds
    if seeds > 1:
        row["seed_std"] = stdev(found.values)
        if found.scorer:  # what single timings of the same software scatter by is another matter
            run = (mean, row["seed_std"], seeds, HALF_UNIT[cell["table"]])
            row["range_low"], row["range_high"] = single_run(*run)
            row["p"] = p_of_run(cell["paper"], *run) if is_run(cell) else None
    return row


def reproduction_summary(table: pl.DataFrame) -> str:
    """Summarize the verdicts on runs and counts, with the number outside by chance beside them."""
    counts = table.filter(pl.col("table").is_in(["I", "II"]))
    runs = table.filter(table="III", length="all", measure="f1")
    lines = ["Strict F1 overall, one published run per corpus and model:"]
    shown = runs.filter(~pl.col("verdict").is_in(["not comparable", "not run"]))
    for row in shown.iter_rows(named=True):
        lines.append(_line(row))
    lines += [f"{len(runs)} published runs: {_tally(runs)}", *_chance(shown)]
    unequal = counts.filter(verdict="not reproduced").to_dicts()
    lines += ["", f"{len(counts)} counts of Tables I and II: {_tally(counts)}"]
    lines += [
        f"  {row['table']} {row['dataset']} {row['split']} {row['length'] or ''} {row['measure']}:"
        f" ours {row['ours']:,.0f}, paper {row['paper']:,.0f}; known: {row['known'] or 'nothing'}"
        for row in unequal
    ]
    listed = table.filter(verdict="listed")
    lines += ["", f"{len(listed)} other numbers are listed in the CSV, without a verdict."]
    failed = [*unequal, *runs.filter(verdict="not reproduced").to_dicts()]
    chapters = {
        "What is known of what is not reproduced (docs/reproduction.md):": [
            f"  {each.name}: {each.why}"
            for each in differences()
            if any(map(each.concerns, failed))
        ],
        "Not comparable:": _reasons(runs.filter(verdict="not comparable")),
        "Not run:": _reasons(runs.filter(verdict="not run")),
    }
    for heading, chapter in chapters.items():
        lines += ["", heading, *chapter] if chapter else []
    return "\n".join(lines)


def _line(row: Mapping[str, Any]) -> str:
    seeds, spread = f"{row['seeds']} seed{'' if row['seeds'] == 1 else 's'}", ""
    if row["p"] is not None:
        spread = (
            f", range {row['range_low']:.2f} to {row['range_high']:.2f}, p {row['p']:.2g}, after"
            f" Holm {row['p_holm']:.2g}"
        )
    return (
        f"  {row['dataset']} {row['model']}: {row['verdict']}; paper {row['paper']:.2f}, ours"
        f" {row['ours']:.2f} ({seeds}){spread}"
        f"{'; ' if row['reason'] else ''}{row['reason'] or ''}"
    )


def _chance(runs: pl.DataFrame) -> Iterator[str]:
    """Say how many of the judged runs lie outside their range, and how many would by chance."""
    tested = runs.drop_nulls("p")
    if len(tested):
        outside = tested.filter(pl.col("p") <= LEVEL).height
        by_chance = float(bdtrc(outside - 1, len(tested), LEVEL)) if outside else 1.0
        yield (
            f"Outside their own 95 % range: {outside} of {len(tested)} with several seeds;"
            f" {LEVEL * len(tested):.1f} are expected by chance (so many or more: p"
            f" {by_chance:.2g})"
        )


def _tally(table: pl.DataFrame) -> str:
    numbers = ((verdict, table.filter(verdict=verdict).height) for verdict in VERDICTS)
    return ", ".join(f"{number} {verdict}" for verdict, number in numbers if number)


def _reasons(table: pl.DataFrame) -> list[str]:
    reasons = table["reason"].value_counts().sort("count", "reason", descending=[True, False])
    return [f"  {count:>4}  {reason}" for reason, count in reasons.iter_rows()]
