"""Significance of comparisons: the primary family, the length claim, controls, exploration."""

import polars as pl

from bioner.comparison.compare import COMPARISON
from bioner.comparison.compare import PAIR as SYSTEMS
from bioner.comparison.compare import ROW as MEASURE
from bioner.comparison.counts import CONVENTIONS
from bioner.comparison.estimates import LEVEL
from bioner.comparison.measures import family_of
from bioner.comparison.multiplicity import holds_in
from bioner.comparison.verdicts import JUDGED, judge, word_of
from bioner.io.tables import Schema
from bioner.reporting.tables import REPRODUCTION
from bioner.scoring.selection import REPORTED_RUNS, SEARCH
from bioner.settings.config import Margins

FAMILIES = ("primary", "length claim", "exploratory", "controls")
CLAIMS = FAMILIES[:2]
PAIR = ("dataset", *SYSTEMS)
FOUND = ("score", "baseline_score", "difference")
HOW = (
    *("seeds", "baseline_seeds", "covers", "standard_error", "df", "variance_documents"),
    *("df_documents", "variance_seeds", "df_seeds", "variance_interaction", "gold_entities"),
    *("cluster", "clusters", "clusters_with_gold"),
)
SIGNIFICANCE: Schema = {
    "family": pl.String,
    **{name: COMPARISON[name] for name in (*PAIR, *MEASURE, *FOUND, "p")},
    **JUDGED,
    "margin": pl.Float64,
    "n_higher": pl.Int64,
    "n_lower": pl.Int64,
    "chosen_by": pl.String,
    **{name: COMPARISON[name] for name in HOW},
}
STABILITY: Schema = {
    **{name: COMPARISON[name] for name in (*PAIR, "measure", *FOUND, "p")},
    **{name: JUDGED[name] for name in ("tests", "p_adjusted", "level", "low", "high", "verdict")},
    "same_sign": pl.Boolean,
    "same_verdict": pl.Boolean,
}
OTHER_MEASURES = ("relaxed_f1", *(f"{name}_f1" for name in CONVENTIONS.values()))
IS_OVERALL = (pl.col("stratum") == "all") & (pl.col("label") == "all")


def significance_table(
    comparisons: pl.DataFrame, selection: pl.DataFrame, margins: Margins
) -> pl.DataFrame:
    """Return every comparison with its family of tests and its verdict.

    `primary`: the best LLM against the best encoder, both chosen on dev, by strict F1 overall and
    in the last length bucket; Holm over datasets, for each stratum. `length claim`: the same
    systems, last bucket minus first, by F1 and by recall; Holm over datasets. `controls`: pairs
    with a deterministic system; Holm over those of a dataset and measure. `exploratory`: all
    others, adjusted by max-T when they were compared. The reproduction of the paper's mislabelled
    ChemProt is not part of a claim.

    LLMs come first, so that a positive difference favours the LLM. `n_higher` and `n_lower` are the
    numbers of datasets in which a claim holds, at least.

    Args:
        comparisons: Columns COMPARISON.
        selection: Columns SELECTION.
        margins: By exploratory family, the difference that is too small to matter, in points.
    """
    rows = _turned(comparisons).join(
        chosen_pairs(selection), on=PAIR, how="left", maintain_order="left"
    )
    chosen = pl.col("chosen_by").is_not_null() & (pl.col("dataset") != REPRODUCTION)
    whole, stratum = pl.col("label") == "all", pl.col("stratum")
    contrast = stratum.str.contains(" - ", literal=True)
    last = (stratum == "all") | (stratum.str.ends_with("+") & ~contrast)
    family = (
        pl.when(chosen, whole, contrast)
        .then(pl.lit("length claim"))
        .when(chosen, whole, last, pl.col("measure") == "f1")
        .then(pl.lit("primary"))
        .when(pl.col("deterministic").fill_null(False))
        .then(pl.lit("controls"))
        .otherwise(pl.lit("exploratory"))
        .alias("place")
    )
    kinds = [family_of(*key) for key in rows.select(MEASURE).iter_rows()]
    rows = rows.with_columns(family, kind=pl.Series(kinds, dtype=pl.String))
    rows = rows.with_columns(
        pl.when(pl.col("place").is_in(CLAIMS))
        .then(pl.concat_str("place", "measure", "stratum", separator=": "))
        .when(pl.col("place") == "controls")
        .then(pl.concat_str("place", "dataset", "kind", separator=": "))
        .alias("holm"),
        _margin(pl.col("kind"), margins),
    )
    judged = judge(rows).with_columns(family="place")
    counted = judged.join(_numbers_of_datasets(judged), on="holm", how="left", nulls_equal=False)
    order = pl.col("family").replace_strict(FAMILIES, range(len(FAMILIES)), return_dtype=pl.Int64)
    own = pl.when(pl.col("family").is_in(CLAIMS)).then("chosen_by").alias("chosen_by")
    sorted_rows = counted.with_columns(own).sort(order, maintain_order=True)
    return sorted_rows.select(pl.col(name).cast(kind) for name, kind in SIGNIFICANCE.items())


def stability_table(
    comparisons: pl.DataFrame, selection: pl.DataFrame, margins: Margins
) -> pl.DataFrame:
    """Return whether sign and verdict of the chosen pairs survive other rules of scoring.

    Each other F1 overall is judged as if it were the primary one: Holm over datasets within it, at
    the margin of strict F1. Nothing is adjusted over the rules, which are not searched for a
    significant one.

    Args:
        comparisons: Columns COMPARISON.
        selection: Columns SELECTION.
        margins: See `significance_table`.

    Returns:
        A row per dataset and rule, strict F1 first; `same_sign` and `same_verdict` compare it with
        strict F1, without the qualifiers of verdicts.
    """
    measures = ("f1", *OTHER_MEASURES)
    rows = (
        _turned(comparisons.filter(IS_OVERALL, pl.col("measure").is_in(measures)))
        .join(chosen_pairs(selection), on=PAIR, maintain_order="left")
        .filter(pl.col("dataset") != REPRODUCTION)
        .with_columns(_margin(pl.lit("f1"), margins), holm="measure")
    )
    judged = judge(rows).with_columns(
        word=pl.col("verdict").map_elements(word_of, pl.String), sign=pl.col("difference").sign()
    )
    strict = judged.filter(measure="f1").select("dataset", "word", "sign")
    both = judged.join(strict, on="dataset", how="left", suffix="_strict", maintain_order="left")
    is_other = pl.col("measure") != "f1"
    tested = (pl.col("word") != "not tested") | (pl.col("word_strict") != "not tested")
    return both.with_columns(
        pl.when(is_other & known).then(pl.col(name) == pl.col(f"{name}_strict")).alias(same)
        for name, known, same in (
            ("sign", pl.lit(True), "same_sign"),
            ("word", tested, "same_verdict"),
        )
    ).select(pl.col(name).cast(kind) for name, kind in STABILITY.items())


def _turned(comparisons: pl.DataFrame) -> pl.DataFrame:
    """Put LLMs first: systems that decode stand before those that do not."""
    turn = (pl.col("decoding") == "direct") & (pl.col("baseline_decoding") != "direct")
    swapped = []
    for name in ("model", "decoding", "seeds", "score"):
        swapped += [(name, f"baseline_{name}"), (f"baseline_{name}", name)]
    negated = (("difference", "difference"), ("ci_low", "ci_high"), ("ci_high", "ci_low"))
    return comparisons.with_columns(
        *(pl.when(turn).then(other).otherwise(name).alias(name) for name, other in swapped),
        *(
            pl.when(turn).then(_negative(other)).otherwise(name).alias(name)
            for name, other in negated
        ),
    )


def _negative(name: str) -> pl.Expr:
    """Return a number with the other sign; 0 has none."""
    return pl.when(pl.col(name) != 0).then(-pl.col(name)).otherwise(name)


def chosen_pairs(selection: pl.DataFrame) -> pl.DataFrame:
    """Return the pair of each dataset that dev scores chose, and what chose it.

    It is `reported runs` if they chose one of several candidates on either side.
    """
    system = ("model", "decoding", "by_runs")
    several = pl.len().over("dataset", "family") > 1
    by_runs = several & (pl.col("chosen_by") == REPORTED_RUNS)
    chosen = selection.with_columns(by_runs=by_runs).filter("chosen")
    llms, encoders = (
        chosen.filter(family=family).select("dataset", *system) for family in ("llm", "encoder")
    )
    pairs = llms.join(encoders.rename({name: f"baseline_{name}" for name in system}), on="dataset")
    luck = pl.col("by_runs") | pl.col("baseline_by_runs")
    what = pl.when(luck).then(pl.lit(REPORTED_RUNS)).otherwise(pl.lit(SEARCH))
    return pairs.select(*PAIR, chosen_by=what)


def _margin(kind: pl.Expr, margins: Margins) -> pl.Expr:
    known = {name: margin for name, margin in margins.items() if margin is not None}
    found = kind.replace_strict(
        list(known), list(known.values()), default=None, return_dtype=pl.Float64
    )
    return found.alias("margin")


def _numbers_of_datasets(judged: pl.DataFrame) -> pl.DataFrame:
    """Return in how many datasets each claim and its opposite hold, by its family in `holm`."""
    rows = []
    tested = judged.filter(pl.col("family").is_in(CLAIMS), pl.col("p_adjusted").is_not_null())
    for (family,), claim in tested.group_by("holm", maintain_order=True):
        differences, p_values = claim["difference"].to_list(), claim["p"].to_list()
        opposite = [-difference for difference in differences]
        counts = [holds_in(signs, p_values, LEVEL) for signs in (differences, opposite)]
        rows.append((family, *counts))
    schema = {"holm": pl.String, "n_higher": pl.Int64, "n_lower": pl.Int64}
    return pl.DataFrame(rows, schema=schema, orient="row")
