"""The answer in words, one corpus at a time: only what tests and intervals support."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

import polars as pl

from bioner.comparison.verdicts import word_of
from bioner.reporting.prices import system_name, write_price
from bioner.reporting.significance import IS_OVERALL
from bioner.reporting.tables import REPRODUCTION
from bioner.scoring.selection import REPORTED_RUNS

ComparisonRow = Mapping[str, Any]
ALL, POPULATION = "All corpora", "What verdicts are about"
NAMED = 3  # learned models below a control
ONE_SEED = ["one seed", "of these weights"]
IS = {
    "higher": "is above",
    "lower": "is below",
    "equivalent": "is equivalent to",
    "inconclusive": "cannot be distinguished from",
    "not tested": "was not tested against",
}
LENGTH = {
    "higher": "longer entities favour the LLM",
    "lower": "longer entities favour the encoder",
    "equivalent": "entity length makes no difference that matters",
    "inconclusive": "no evidence that entity length matters",
    "not tested": "whether entity length matters was not tested",
}


def write_conclusions(
    datasets: Sequence[str], tables: Mapping[str, pl.DataFrame], controls: Collection[str]
) -> list[tuple[str, list[str]]]:
    """Answer the question for each corpus, and first for all together if there are several.

    A difference is claimed only if its test in its family is significant. Everything else is said
    to be equivalent, inconclusive or not tested, with the interval of the same level.

    Args:
        tables: Of the report: `significance`, `stability`, `corpora_mean`, `table3_strict` and
            `price`.
        controls: Names of models that learn nothing.

    Returns:
        Sentences of plain text, the verdict first, each list with the corpus it is about; last, the
        population that verdicts are about.
    """
    overall_f1 = tables["significance"].filter(IS_OVERALL, measure="f1")
    primary = overall_f1.filter(family="primary")
    answers = [(name, list(_of(name, tables, controls))) for name in datasets]
    if overall := [*_overall(primary), *_mean(tables["corpora_mean"])]:
        answers.insert(0, (ALL, overall))
    judged = primary if len(primary) else overall_f1.filter(pl.col("p_adjusted").is_not_null())
    if len(judged):
        answers.append((POPULATION, [_population(judged)]))
    return answers


def _of(
    dataset: str, tables: Mapping[str, pl.DataFrame], controls: Collection[str]
) -> Iterator[str]:
    if dataset == REPRODUCTION:
        yield (
            "No answer: this is the paper's mislabelled reading of ChemProt, here to be compared"
            " with its rows."
        )
        return
    strict = tables["table3_strict"].filter("headline", dataset=dataset, length="all")
    rows = tables["significance"].filter(dataset=dataset)
    overall = rows.filter(IS_OVERALL, measure="f1")
    yield from _controls(overall, strict, controls)
    row = next(overall.filter(family="primary").iter_rows(named=True), None)
    if row is None:
        yield from _without(strict)
        return
    yield _verdict(row)
    yield from _could_have_shown(row)
    yield from _length(rows.filter(family="length claim"))
    yield from _decodings(row, overall.filter(family="exploratory"))
    yield from _other_rules(tables["stability"].filter(dataset=dataset))
    yield write_price(row, tables["price"])
    if row["chosen_by"] == REPORTED_RUNS:
        yield (
            "In this run the reported seeds chose the pair themselves, so their scores are a little"
            " too high."
        )


def _controls(
    overall: pl.DataFrame, strict: pl.DataFrame, controls: Collection[str]
) -> Iterator[str]:
    """Name the learned models, in their headline decoding, that a control is above."""
    compared = set(strict.select("model", "decoding").iter_rows())
    below: dict[str, list[tuple[float, str]]] = {}
    for row in overall.iter_rows(named=True):
        control, learned = ("", "baseline_") if row["model"] in controls else ("baseline_", "")
        f1, theirs = row[f"{control}score"], row[f"{learned}score"]
        system = row[f"{learned}model"], row[f"{learned}decoding"]
        if row[f"{control}model"] not in controls or system[0] in controls:
            continue
        if system in compared and None not in (f1, theirs) and f1 > theirs:
            test = {"inconclusive": "not significant", "not tested": "not tested"}
            how = test.get(word_of(row["verdict"]), "significant")
            about = f"{row[f'{control}model']} ({f1:.2f} strict F1)"
            below.setdefault(about, []).append(
                (theirs, f"{system_name(row, learned)} ({theirs:.2f}, {how})")
            )
    for control, systems in below.items():
        names = [name for _, name in sorted(systems)]
        more = [f"{len(names) - NAMED} more"] if len(names) > NAMED else []
        yield f"The control {control} is above {_joined([*names[:NAMED], *more])}."


def _verdict(row: ComparisonRow) -> str:
    lead = {
        "higher": "Yes, the LLM surpasses the encoder",
        "lower": "No, the encoder surpasses the LLM",
        "equivalent": f"Neither: the two are equivalent within {row['margin'] or 0:g} F1",
        "inconclusive": "Inconclusive",
        "not tested": "Not tested",
    }[word_of(row["verdict"])]
    limits = _limits(row)
    return (
        f"{lead}{f' ({limits})' if limits else ''}: the best LLM, {system_name(row, '')}, has"
        f" {_f1(row['score'])} strict F1, the best encoder, {system_name(row, 'baseline_')},"
        f" {_f1(row['baseline_score'])} (difference {_numbers(row)})."
    )


def _limits(row: ComparisonRow) -> str:
    """Return what limits a verdict, in its parentheses."""
    limits = (row["verdict"] or "").partition(" (")[2].removesuffix(")")
    return limits.replace("below the margin", f"by less than {row['margin'] or 0:g} F1")


def _could_have_shown(row: ComparisonRow) -> Iterator[str]:
    if word_of(row["verdict"]) == "inconclusive" and row["smallest_difference"] is not None:
        found = _reach(row, "smallest_difference", ", depending on how far seeds truly scatter")
        yield (
            f"With 80 % power this test finds a difference of {found}, and shows equality within"
            f" {_reach(row, 'smallest_margin')}."
        )


def _reach(row: ComparisonRow, name: str, why: str = "") -> str:
    low, high = row[f"{name}_low"], row[f"{name}_high"]
    within = "" if None in (low, high) else f" ({low:.2f} to {high:.2f}{why})"
    return f"{row[name]:.2f} F1{within}"


def _length(claims: pl.DataFrame) -> Iterator[str]:
    """Give one answer for F1 and recall together."""
    rows = claims.sort("measure").to_dicts()
    if not rows:
        return
    said = {row["measure"]: LENGTH[word_of(row["verdict"])] for row in rows}
    if len(set(said.values())) == 1:
        lead = said[rows[0]["measure"]]
    else:
        lead = "; ".join(f"by {_measure(name)}, {text}" for name, text in said.items())
    last, first = rows[0]["stratum"].split(" - ")
    numbers = "; ".join(_numbers(row) for row in rows)
    yield (
        f"{lead[:1].upper()}{lead[1:]} (the LLM's lead for entities of {last} tokens minus that for"
        f" those of {first}: {numbers})."
    )


def _decodings(row: ComparisonRow, explored: pl.DataFrame) -> Iterator[str]:
    """Compare the LLM's decodings, and its free decoding with the encoder, if they were run."""
    if row["decoding"] == "free":
        return
    model, free = row["model"], {"model": row["model"], "decoding": "free"}
    pairs = explored.filter(model=model, baseline_model=model).to_dicts()
    both = {row["decoding"], "free"}
    for pair in pairs:
        if {pair["decoding"], pair["baseline_decoding"]} == both:
            pair = _turned(pair) if pair["decoding"] == "free" else pair
            name = f"{row['decoding'][:1].upper()}{row['decoding'][1:]} decoding"
            how = IS[word_of(pair["verdict"])]
            yield f"{name} {how} free decoding of the same LLM: {_numbers(pair)}."
    encoder = {name: row[name] for name in ("baseline_model", "baseline_decoding")}
    for pair in explored.filter(**free, **encoder).iter_rows(named=True):
        how = IS[word_of(pair["verdict"])]
        yield f"In free decoding the LLM {how} the encoder: {_numbers(pair)}."


def _turned(row: dict[str, Any]) -> dict[str, Any]:
    swapped = {"higher": "lower", "lower": "higher"}
    word, space, limits = (row["verdict"] or "").partition(" (")
    return row | {
        "verdict": swapped.get(word, word) + space + limits,
        **{
            name: None if row[other] is None else -row[other]
            for name, other in (
                ("difference", "difference"),
                *(("low", "high"), ("high", "low")),
                *(("equivalence_low", "equivalence_high"), ("equivalence_high", "equivalence_low")),
            )
        },
    }


def _other_rules(stability: pl.DataFrame) -> Iterator[str]:
    """Give the verdict by relaxed F1, and say whether sign and verdict survive every other rule."""
    tested = ~pl.col("verdict").str.starts_with("not tested")
    others = stability.filter(tested, pl.col("same_sign").is_not_null())
    if others.is_empty():
        return
    sign, verdict = (
        f"all {len(others)}" if same == len(others) else f"{same} of {len(others)}"
        for same in others.select(pl.col("same_sign", "same_verdict").sum()).row(0)
    )
    survives = (
        f"the sign is the same under {sign} other rules of scoring, the verdict under {verdict}"
    )
    for row in others.filter(measure="relaxed_f1").iter_rows(named=True):
        how = IS[word_of(row["verdict"])]
        survives = f"by relaxed F1 the LLM {how} the encoder: {_numbers(row)}; {survives}"
    yield f"{survives[:1].upper()}{survives[1:]}."


def _without(strict: pl.DataFrame) -> Iterator[str]:
    """Say that there is no answer without an LLM and encoder chosen on dev, and the best score."""
    yield "No answer: this run did not compare an LLM and an encoder here, both chosen on dev."
    scored = strict.filter(pl.col("f1").is_not_null(), pl.col("model") != "oracle").sort(
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
    tested = primary.filter(pl.col("p_adjusted").is_not_null()).to_dicts()
    if len(tested) < 2:
        return
    found = {
        word: [row["dataset"] for row in tested if word_of(row["verdict"]) == word] for word in IS
    }
    rest = "".join(
        f"; {word} in {_listed(found[word])}"
        for word in ("equivalent", "inconclusive")
        if found[word]
    )
    yield (
        f"Of {len(tested)} corpora tested, the LLM surpasses the encoder in"
        f" {_listed(found['higher'])}, the encoder the LLM in {_listed(found['lower'])}"
        f"{rest}."
    )
    yield (
        f"With 95 % confidence the LLM is ahead in at least {tested[0]['n_higher']} of them, the"
        f" encoder in at least {tested[0]['n_lower']}."
    )


def _mean(means: pl.DataFrame) -> Iterator[str]:
    """Give the mean difference of the best LLM from the best encoder, if it is known."""
    for row in means.filter(family="primary", measure="f1").iter_rows(named=True):
        limits = _limits(row)
        yield (
            f"On average over {row['corpora']} corpora{f' ({limits})' if limits else ''} the best"
            f" LLM {IS[word_of(row['verdict'])]} the best encoder: {_numbers(row)}. Nothing is said"
            " about other corpora."
        )


def _population(judged: pl.DataFrame) -> str:
    about = (
        "New documents of the same corpus and new seeds at the same hyper-parameters and training"
        " set; not new training sets, not new searches"
    )
    limited = pl.col("verdict").fill_null("").str.contains_any(ONE_SEED).all()
    datasets = judged.group_by("dataset", maintain_order=True).agg(limited=limited)
    single = datasets.filter("limited")["dataset"].to_list()
    if len(single) == len(datasets):
        return (
            "New documents of the same corpus and these weights: with one seed, nothing is known of"
            " other trainings."
        )
    return (
        f"{about}. With one seed ({', '.join(single)}): these weights." if single else f"{about}."
    )


def _numbers(row: ComparisonRow) -> str:
    """Return a difference with the interval of its test and the adjusted p-value."""
    parts = []
    low, high, level = row["low"], row["high"], row["level"]
    if word_of(row["verdict"]) == "equivalent" and row.get("equivalence_low") is not None:
        low, high = row["equivalence_low"], row["equivalence_high"]
        level = 2 * row["equivalence_level"]
    if None in (low, high):
        parts.append("no interval")
    else:
        parts.append(f"{_confidence(level)} % interval {_signed(low)} to {_signed(high)}")
    if row["p_adjusted"] is not None:
        parts.append(f"adjusted {_p(row['p_adjusted'])}")
    return f"{_signed(row['difference'])} {_measure(row['measure'])}, {', '.join(parts)}"


def _measure(name: str) -> str:
    return "recall" if name == "recall" else "F1"


def _confidence(level: float) -> str:
    return f"{100 - float(f'{100 * level:.2g}'):g}"


def _joined(names: Sequence[str]) -> str:
    *others, last = names
    return f"{', '.join(others)} and {last}" if others else last


def _listed(names: Sequence[str]) -> str:
    return f"{len(names)} ({', '.join(names)})" if names else "none"


def _p(value: float) -> str:
    return "p < 0.0001" if value < 0.0001 else f"p = {value:.4f}"


def _signed(value: float | None) -> str:
    return "unknown" if value is None else f"{value:+z.2f}".replace("-", "−")


def _f1(value: float | None) -> str:
    return "no" if value is None else f"{value:.2f}"
