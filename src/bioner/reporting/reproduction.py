"""Does it reproduce? Every published number against ours: pass, fail or not run, and why."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from math import hypot, isfinite
from statistics import fmean, stdev
from typing import Any

import polars as pl

from bioner.io.tables import Schema
from bioner.reporting.efficiency import NEAR_THE_PAPER, PAPER_HARDWARE
from bioner.reporting.published import (
    CELL,
    HALF_UNIT,
    NOISE,
    contradictions,
    differences,
    published,
)
from bioner.reporting.tables import (
    AVERAGE,
    BERT_FAMILY,
    LIKE_THE_PAPER,
    PAPER_CHEMPROT,
    REPRODUCTION,
)
from bioner.results.load import Results
from bioner.scoring.paper import SCORER

# The paper's ChemProt is compared with its mislabelled reproduction, instances also with ChemProt.
DATASETS = ("JNLPBA", "BioRED", PAPER_CHEMPROT, REPRODUCTION, "BC5CDR", "Reddit-Impacts")
MODELS = (*BERT_FAMILY, "deberta-v3-large", "mistral-7b", "llama-8b")
VERDICTS = ("pass", "fail", "not run")
NORMAL = 1.96  # standard deviations of a 95 % interval
# Standard deviation over seeds, in points: if some trainings fail, any number would pass.
TOO_FAR = 5.0
REPRODUCED: Schema = {
    **CELL,
    "ours": pl.Float64,
    "low": pl.Float64,
    "high": pl.Float64,
    "seed_std": pl.Float64,
    "seeds": pl.Int64,
    "allowed_low": pl.Float64,
    "allowed_high": pl.Float64,
    "verdict": pl.String,
    "reason": pl.String,
    "known": pl.String,
    "compared_on": pl.String,
    "scorer": pl.String,
    "decoding": pl.String,
}

PublishedNumber = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Ours:
    """Our value for a published number; `reason` says why it cannot be judged."""

    ours: float | None = None
    low: float | None = None
    high: float | None = None
    seed_std: float | None = None
    seeds: int | None = None
    compared_on: str | None = None
    scorer: str | None = None
    decoding: str | None = None
    reason: str | None = None


def reproduction_table(results: Results) -> pl.DataFrame:
    """Judge every number of Tables I to V.

    `low` and `high` are: our count; for scores, the mean 95 % interval over documents; for seconds,
    the least and the greatest. `allowed_low` and `allowed_high` widen these by the spread over
    seeds (`allowed`). A number that lies between them, to its last digit, has the verdict `pass`,
    else `fail`, and `reason` says by how much. `not run`: there is nothing to compare with, and
    `reason` says what is missing. `known` lists known differences, whatever the verdict
    (resources/paper/differences.csv).
    """
    cells = published()
    known = [*differences(), *contradictions(cells)]
    find = {"I": _count, "II": _count, "III": _score, "IV": _seconds, "V": _score}
    rows = []
    for cell in cells.iter_rows(named=True):
        found = find[cell["table"]](results, cell)
        names = [difference.name for difference in known if difference.concerns(cell)]
        verdict = judge(cell["paper"], found, HALF_UNIT[cell["table"]])
        rows.append(cell | verdict | {"known": "; ".join(names) or None})
    return pl.DataFrame(rows, schema=REPRODUCED)


def allowed(
    ours: float, low: float, high: float, seed_std: float | None, seeds: int
) -> tuple[float, float]:
    """Return the range of a single run of the same system.

    It is the interval over documents, widened by the spread over seeds: a run differs from the mean
    of n others by a standard deviation of sd·√(1 + 1/n). 1.96 of these and the distance from `ours`
    to the interval's bound are independent, so they add in quadrature. One seed adds no spread.
    """
    spread = 0.0 if seed_std is None else NORMAL * seed_std * (1 + 1 / seeds) ** 0.5
    return ours - hypot(max(0.0, ours - low), spread), ours + hypot(max(0.0, high - ours), spread)


def judge(paper: float, found: Ours, half_unit: float) -> PublishedNumber:
    """Return the verdict on a published number rounded by at most `half_unit`, with its basis."""
    row: PublishedNumber = asdict(found) | {"verdict": "not run"}
    if found.reason is not None:
        return row
    if found.ours is None or found.low is None or found.high is None or not isfinite(found.ours):
        return row | {"reason": "our value is not defined"}
    low, high = allowed(found.ours, found.low, found.high, found.seed_std, found.seeds or 1)
    if found.scorer is not None:
        low, high = max(low, 0.0), min(high, 100.0)
    row |= {"allowed_low": low, "allowed_high": high}
    beyond = max(low - paper, paper - high) - half_unit
    if beyond <= NOISE:
        return row | {"verdict": "pass"}
    side = "above" if paper > high else "below"
    reason = f"the paper's is {beyond:.2g} {side} what ours allows"
    if half_unit == 0:
        reason = f"the paper's is {paper - found.ours:+.10g} from ours"
    elif found.seed_std is None:
        reason += "; one seed, so that no spread was added"
    return row | {"verdict": "fail", "reason": reason}


def reproduction_summary(table: pl.DataFrame) -> str:
    """Summarize verdicts by table and dataset, failures, and reasons for not run."""
    lines = ["table  dataset          pass  fail  not run"]
    counts = table.group_by("table", "dataset", maintain_order=True).agg(
        (pl.col("verdict") == verdict).sum().alias(verdict) for verdict in VERDICTS
    )
    for name, dataset, passed, failed, not_run in counts.iter_rows():
        lines.append(f"{name:<5}  {dataset:<15}  {passed:>4}  {failed:>4}  {not_run:>7}")
    totals = ", ".join(f"{counts[verdict].sum()} {verdict}" for verdict in VERDICTS)
    failures = table.filter(verdict="fail").to_dicts()
    missing = table.filter(verdict="not run")["reason"].value_counts()
    missing = missing.sort("count", "reason", descending=[True, False])
    chapters = {
        "Failed:": [_failure(row) for row in failures],
        "What is known (docs/reproduction.md):": [
            f"  {each.name}: {each.why}"
            for each in differences()
            if any(map(each.concerns, failures))
        ],
        "Not run:": [f"  {count:>4}  {reason}" for reason, count in missing.iter_rows()],
    }
    lines.append(f"{table.height} published numbers: {totals}")
    for heading, chapter in chapters.items():
        lines += ["", heading, *chapter] if chapter else []
    return "\n".join(lines)


def _failure(row: PublishedNumber) -> str:
    what = " ".join(
        str(row[key])
        for key in ("dataset", "model", "split", "length", "measure")
        if row[key] is not None
    )
    digits = {"I": 0, "II": 0, "IV": 4}.get(row["table"], 2)
    ours, low, high, paper = (
        f"{row[key]:.{digits}f}" for key in ("ours", "allowed_low", "allowed_high", "paper")
    )
    between = "" if low == high else f" ({low} to {high})"
    found = f"ours {ours}{between}, paper {paper}; {row['reason']}"
    return f"  {row['table']} {what}: {found}; known: {row['known'] or 'nothing'}"


def _corpus(dataset: str) -> str:
    return REPRODUCTION if dataset == PAPER_CHEMPROT else dataset


def _count(results: Results, cell: PublishedNumber) -> Ours:
    """Find a count of Tables I and II.

    ChemProt's sentences do not depend on how its labels are read; its entities do.
    """
    statistic = {"instances": "instances", "entities": "table2_entities"}[cell["measure"]]
    corpora = [_corpus(cell["dataset"])] + ([cell["dataset"]] if statistic == "instances" else [])
    where = {"split": cell["split"], "statistic": statistic, "stratum": cell["length"] or "all"}
    for corpus in dict.fromkeys(corpora):
        values = results.statistics.filter(dataset=corpus, **where)["value"].drop_nulls()
        if len(values) == 1:
            count = values.item()
            return Ours(count, count, count, compared_on=corpus)
    faults = (results.fault("statistics", corpus) for corpus in corpora)
    return Ours(
        reason=next(filter(None, faults), f"no {cell['measure']} in statistics of {corpora[0]}")
    )


def _score(results: Results, cell: PublishedNumber) -> Ours:
    """Find a score of Tables III and V: by the paper's evaluator, decoded like the paper's."""
    corpus, model, measure = _corpus(cell["dataset"]), cell["model"], cell["measure"]
    rows = results.scores.filter(dataset=corpus, model=model)
    if rows.is_empty():
        return Ours(reason=results.fault("scores", corpus, model) or f"no scores on {corpus}")
    decoding = next((name for name in LIKE_THE_PAPER if name in set(rows["decoding"])), None)
    if decoding is None:
        return Ours(
            compared_on=corpus, reason="no scores of free decoding, in which the paper's LLMs wrote"
        )
    found = Ours(compared_on=corpus, scorer=SCORER, decoding=decoding)
    scheme = {"III": "strict", "V": "relaxed"}[cell["table"]]
    mine = rows.filter(
        scorer=SCORER, scheme=scheme, stratum=cell["length"], label="all", decoding=decoding
    ).select(value=measure, low=f"{measure}_ci_low", high=f"{measure}_ci_high")
    if mine.is_empty():
        return replace(found, reason="the scores have no row of the paper's evaluator")
    values = mine["value"].drop_nulls().to_list()
    if not values:
        return replace(found, reason="our value is not defined: neither gold nor prediction")
    found = _over_seeds(found, values)
    if (found.seed_std or 0) > TOO_FAR:
        reason = f"our seeds differ by more than {TOO_FAR:g} points (standard deviation): no test"
        return replace(found, reason=reason)
    near = mine.drop_nulls()
    if near.is_empty():
        return replace(found, reason="no interval in the scores")
    below, above = fmean(near["value"] - near["low"]), fmean(near["high"] - near["value"])
    middle = fmean(values)
    return replace(found, low=middle - below, high=middle + above)


def _seconds(results: Results, cell: PublishedNumber) -> Ours:
    """Find seconds of Table IV: by the paper's protocol and on its kind of GPU."""
    corpus, model = _corpus(cell["dataset"]), cell["model"]
    members = BERT_FAMILY if model == AVERAGE else (model,)
    faults = filter(None, (results.fault("timing", corpus, member) for member in members))
    if fault := next(faults, None):
        return Ours(reason=fault)
    rows = results.timing.filter(pl.col("dataset") == corpus, pl.col("model").is_in(members))
    if rows.is_empty():
        return Ours(reason=f"no timing on {corpus}")
    groups = rows.filter(NEAR_THE_PAPER).group_by(
        "hardware", "protocol", "decoding", maintain_order=True
    )
    timed = [
        _timed(Ours(compared_on=corpus, decoding=str(decoding)), seconds, hardware, protocol)
        for (hardware, protocol, decoding), group in groups
        if (seconds := _by_seed(group, members))
    ]
    if not timed:
        reason = "no timing like the paper's: encoders at batch 1, free generation at batch 16"
        return Ours(compared_on=corpus, reason=reason)
    return next((found for found in timed if found.reason is None), timed[0])


def _timed(found: Ours, seconds: Sequence[float], hardware: object, protocol: object) -> Ours:
    """Add seconds, one per seed, to `found`, and the reason if they are not comparable."""
    reason = None
    if protocol != "paper":
        reason = f"other protocol: {protocol or 'unknown'}"
    elif PAPER_HARDWARE not in str(hardware):
        reason = f"other hardware: {hardware or 'unknown'}; the paper's was an H100"
    elif len(seconds) < 2:
        reason = "timed under one seed: there is no spread to judge by"
    found = _over_seeds(found, seconds)
    return replace(found, low=min(seconds), high=max(seconds), reason=reason)


def _by_seed(rows: pl.DataFrame, members: Sequence[str]) -> list[float]:
    """Mean seconds of the members, for each seed that all of them were timed with."""
    each = rows.group_by("seed", "model").agg(pl.col("seconds_per_sample").mean())
    whole = each.group_by("seed").agg(pl.col("seconds_per_sample").mean(), pl.len())
    seconds: list[float] = (
        whole.filter(len=len(members)).sort("seed")["seconds_per_sample"].drop_nulls().to_list()
    )
    return seconds


def _over_seeds(found: Ours, values: Sequence[float]) -> Ours:
    seed_std = stdev(values) if len(values) > 1 else None
    return replace(found, ours=fmean(values), seeds=len(values), seed_std=seed_std)
