"""Tables I to III and V in the paper's rows, with the paper's values beside ours."""

from collections.abc import Mapping, Sequence

import polars as pl

from bioner.data.tags import OUTSIDE
from bioner.reporting.caveats import find_possible_readers
from bioner.results.cells import notes
from bioner.results.load import ReportContext, Results
from bioner.scoring.table import MEASURES
from bioner.settings.catalogue import HEADLINE
from bioner.settings.catalogue import REPRODUCTION as REPRODUCTION
from bioner.settings.repository import REPOSITORY

PAPER = REPOSITORY / "resources" / "paper"
LENGTHS = {"total": "all", "length_1": "1", "length_2": "2", "length_3_plus": "3+"}
CELL = ["dataset", "model", "decoding"]
# The paper's LLMs decode freely with their own settings; the first of these in a cell is closest.
LIKE_THE_PAPER = ("direct", "free-paper", "free")
ENDS = ("", "_ci_low", "_ci_high")  # of the columns of a score and of its interval
F1 = [f"f1{end}" for end in ENDS]
NO_INTERVAL = pl.col("no_interval").first()
GOLD_ENTITIES = pl.col("possible").first().alias("gold_entities")  # the same for all seeds
# The paper's ChemProt data were mislabelled (docs/reproduction.md). Its rows are shown with both
# corpora; scores are only compared on the reproduction of these data.
PAPER_CHEMPROT = "ChemProt"
BERT_FAMILY = ("bert-large-uncased", "bert-large-cased", "biomedbert-large")
CONTROLS = ("oracle", "all-o", "dictionary")  # their names in the catalogue that ships
AVERAGE = "bert-family-average"  # a row of Table IV


def instances_table(results: Results) -> pl.DataFrame:
    """Build Table I: instances per split."""
    return _counts(
        results, pl.col("statistic") == "instances", "split", paper_table("table1_instances")
    )


def entities_table(results: Results) -> pl.DataFrame:
    """Build Table II: test entities by length in tokens.

    `scored` counts entities as evaluators see them, after faulty tags are repaired.
    """
    paper = paper_table("table2_test_entities").rename(LENGTHS)
    on_test = pl.col("split") == "test"
    scored = results.statistics.filter(on_test, pl.col("statistic") == "entities").select(
        "dataset", "stratum", pl.col("value").cast(pl.Int64).alias("scored")
    )
    return (
        _counts(results, on_test & (pl.col("statistic") == "table2_entities"), "stratum", paper)
        .join(scored, on=["dataset", "stratum"], how="left", maintain_order="left")
        .rename({"stratum": "length"})
    )


def corpora_table(results: Results, context: ReportContext) -> pl.DataFrame:
    """Describe each test set: size, lengths, density, ambiguity, and what it shares with train.

    Statistics that a stats.csv of an older version lacks are null, and so are documents if no two
    instances share one.

    Args:
        results: The cells whose models may have read a corpus, and statistics.
        context: Published agreement of annotators and year by corpus, and models' entries.
    """
    entities, tokens, instances, documents = (
        _value(name, "all") for name in ("entities", "tokens", "instances", "documents")
    )
    tagged = (
        pl.col("value").filter(pl.col("statistic") == "tags", pl.col("stratum") != OUTSIDE).sum()
    )
    columns = {
        "documents": pl.when(documents < instances).then(documents),
        "entities": entities,
        "entities_per_100_tokens": 100 * entities / tokens,
        "with_entity": _value("instances_with_entity", "all") / instances,
        "tokens_in_entities": tagged / tokens,
        "mean_entity_length": pl.when(entities > 0).then(tagged / entities),
        **{
            name: pl.when(entities > 0).then(_value("entities", stratum) / entities)
            for name, stratum in LENGTHS.items()
            if stratum != "all"
        },
        "mean_tokens": _value("tokens_per_instance", "mean"),
        "p95_tokens": _value("tokens_per_instance", "p95"),
        "longest": _value("tokens_per_instance", "p100"),
        "instances_in_train": _value("instances_in_train", "all"),
        "near_duplicates_in_train": _value("near_duplicates_in_train", "all"),
        "near_duplicate_unit": pl.col("stratum").filter(statistic="near_duplicate_units").first(),
        "mentions_seen_in_train": _value("mentions_seen_in_train", "text and type"),
        "mentions_of_several_types": _value("mentions_of_several_types", "all"),
        "texts_also_untagged": _value("texts_also_untagged", "all"),
        "annotations_lost": _value("annotations_lost", "all"),
        "entities_by_type": _by_type("entities", as_shares=True),
        "seen_in_train_by_type": _by_type("mentions_seen_in_train"),
    }
    test = results.statistics.filter(pl.col("split") == "test")
    table = test.group_by("dataset", maintain_order=True).agg(
        expression.alias(name) for name, expression in columns.items()
    )
    whole = ["documents", "entities", "p95_tokens", "longest", "instances_in_train"]
    whole += ["near_duplicates_in_train", "annotations_lost"]
    scored = set(results.scores.select("dataset", "model").iter_rows())
    readers = {
        name: find_possible_readers(
            year,
            {model: entry for model, entry in context.models.items() if (name, model) in scored},
        )
        for name, year in context.published.items()
    }
    agreement = {name: str(found) for name, found in context.agreement.items()}
    return table.with_columns(
        pl.col(whole).cast(pl.Int64),
        annotator_agreement=_stated(agreement, pl.String),
        published=_stated(context.published, pl.Int64),
        may_have_read=_stated(readers, pl.String),
    )


def _stated(values: Mapping[str, object], kind: type[pl.DataType]) -> pl.Expr:
    """A value of each dataset, null if there is none."""
    return pl.col("dataset").replace_strict(values, default=None, return_dtype=kind)


def _value(statistic: str, stratum: str) -> pl.Expr:
    return pl.col("value").filter(statistic=statistic, stratum=stratum).first()


def _by_type(statistic: str, as_shares: bool = False) -> pl.Expr:
    """A statistic of each entity type as text, null if there is none."""
    chosen = pl.col("stratum").str.starts_with("type:") & (pl.col("statistic") == statistic)
    types, values = (pl.col(name).filter(chosen) for name in ("stratum", "value"))
    if as_shares:
        values /= values.sum()
    text = pl.format("{} {}", types.str.strip_prefix("type:"), values.round(2)).str.join(", ")
    return pl.when(chosen.any()).then(text)


def _counts(results: Results, chosen: pl.Expr, by: str, paper: pl.DataFrame) -> pl.DataFrame:
    counts = paper.unpivot(index="dataset", variable_name=by, value_name="paper")
    ours = results.statistics.filter(chosen).select(
        "dataset", by, pl.col("value").cast(pl.Int64).alias("ours")
    )
    return ours.join(counts, on=["dataset", by], how="left", maintain_order="left").with_columns(
        difference=pl.col("ours") - pl.col("paper")
    )


def strict_table(results: Results) -> pl.DataFrame:
    """Build Table III: strict scores overall and by entity length, mean over seeds.

    `note` says why a cell has none. The difference to the paper is only given overall: the paper's
    length rows score windows cut around gold entities, ours additive buckets; `paper_scoring`
    compares like with like.
    """
    rows = results.scores.filter(scorer="semeval", scheme="strict", label="all")
    unrepaired = (
        results.scores.filter(scorer="strict-iob2")
        .group_by(CELL)
        .agg(f1_without_repair=pl.col("f1").mean())
    )
    ours = (
        _means(rows)
        .join(
            unrepaired.with_columns(stratum=pl.lit("all")),
            on=[*CELL, "stratum"],
            how="left",
            maintain_order="left",
        )
        .rename({"stratum": "length"})
    )
    paper = paper_table("table3_strict")
    ours = _with_trials(ours, results)
    table = _beside(ours, paper, ["dataset", "model", "length"], pl.col("length") == "all")
    return _with_missing(table, results, paper)


def relaxed_table(results: Results) -> pl.DataFrame:
    """Build Table V: relaxed scores (SemEval partial), mean over seeds."""
    rows = results.scores.filter(scorer="semeval", scheme="relaxed", label="all", stratum="all")
    paper = paper_table("table5_relaxed")
    ours = _with_trials(_means(rows).drop("stratum"), results)
    table = _beside(ours, paper, ["dataset", "model"], pl.lit(True))
    return _with_missing(table, results, paper)


def paper_scoring_table(results: Results) -> pl.DataFrame:
    """Build Tables III and V by the paper's evaluator and windows, for comparison only."""
    paper = pl.concat(
        [
            paper_table("table3_strict").with_columns(scheme=pl.lit("strict")),
            paper_table("table5_relaxed").with_columns(
                scheme=pl.lit("relaxed"), length=pl.lit("all")
            ),
        ],
        how="diagonal",
    )
    ours = pl.concat(
        # The paper's evaluator divides by a number that depends on the predictions.
        _means(
            results.scores.filter(scorer="paper", scheme=scheme),
            pl.col("possible").mean().alias("divided_by"),
        ).with_columns(scheme=pl.lit(scheme))
        for scheme in ("strict", "relaxed")
    )
    shown = ours.rename({"stratum": "length"}).filter(
        (pl.col("scheme") == "strict") | (pl.col("length") == "all")
    )
    table = _beside(shown, paper, ["dataset", "model", "scheme", "length"], pl.lit(True))
    return table.select(
        pl.lit("comparison only").alias("use"), *CELL, "scheme", pl.exclude("use", *CELL, "scheme")
    )


def conventions_table(results: Results) -> pl.DataFrame:
    """Build the table of F1 under every convention, with intervals, mean over seeds.

    `token_accuracy` is a recall.
    """
    overall = results.scores.filter(
        pl.col("label") == "all", pl.col("stratum") == "all", pl.col("scorer") != "paper"
    )
    named = overall.with_columns(
        convention=pl.when(pl.col("scorer").is_in(["semeval", "lenient"]))
        .then("scheme")
        .otherwise("scorer")
    )
    macro = results.scores.filter(scorer="semeval", scheme="strict", label="macro").with_columns(
        convention=pl.lit("strict macro")
    )
    recall = [pl.col(f"recall{end}").alias(f"f1{end}") for end in ENDS]
    tokens = overall.filter(scorer="token").with_columns(
        *recall, convention=pl.lit("token accuracy")
    )
    rows = pl.concat([named, macro, tokens]).with_columns(
        pl.col("convention").str.replace_all("[- ]", "_")
    )
    table = rows.pivot(
        "convention", index=CELL, values=F1, aggregate_function="mean", maintain_order=True
    )
    names = rows["convention"].unique(maintain_order=True)
    return table.select(
        *CELL, *(pl.col(f"f1{end}_{name}").alias(f"{name}{end}") for name in names for end in ENDS)
    )


def subsets_table(results: Results) -> pl.DataFrame:
    """Build recall of seen, unseen and repeated mentions, and F1 on new sentences.

    What scores of an older version lack is null.
    """
    strict = results.scores.filter(scheme="strict", label="all")
    overall = strict.filter(scorer="semeval", stratum="all").group_by(CELL, maintain_order=True)
    parts = strict.filter(scorer="subset").group_by(CELL)
    columns = [
        column
        for stratum in ("seen", "unseen", "repeated")
        for column in (
            pl.col("possible").filter(stratum=stratum).first().alias(f"{stratum}_mentions"),
            pl.col("recall").filter(stratum=stratum).mean().alias(f"{stratum}_recall"),
        )
    ]
    for stratum in ("new", "near-new"):
        name, chosen = stratum.replace("-", "_"), pl.col("stratum") == stratum
        entities = pl.col("possible").filter(chosen).first()
        columns.append(entities.alias(f"entities_in_{name}_sentences"))
        columns += [pl.col(of).filter(chosen).mean().alias(f"{name}_{of}") for of in F1]
        limit = pl.col("no_interval").filter(chosen).first()
        columns.append(limit.alias(f"{name}_no_interval"))
    subsets = parts.agg(*columns)
    return overall.agg(pl.col(F1).mean(), NO_INTERVAL).join(
        subsets, on=CELL, how="left", maintain_order="left"
    )


def alignment_table(results: Results) -> pl.DataFrame:
    """Build the table of realignment, with the recall that correct tags could reach."""
    reachable = 100 * pl.col("reachable_entities") / pl.col("gold_entities")
    return results.alignments.with_columns(
        reachable_recall=pl.when(pl.col("gold_entities") > 0).then(reachable)
    )


def _means(rows: pl.DataFrame, size: pl.Expr = GOLD_ENTITIES) -> pl.DataFrame:
    """Means over seeds, with the deviation over seeds and the mean intervals over the test set.

    `headline` marks the decoding that a model is compared by (HEADLINE).
    """
    means = rows.group_by([*CELL, "stratum"], maintain_order=True).agg(
        pl.len().alias("seeds"),
        size,
        *(pl.col(name).mean() for name in (*MEASURES, "f1_ci_low", "f1_ci_high")),
        NO_INTERVAL,
        pl.col("f1").std().alias("f1_std"),
    )
    rank = _rank_among(HEADLINE, other=-1)
    headline = rank == rank.max().over("dataset", "model")
    return means.select(*CELL, headline.alias("headline"), pl.exclude(*CELL))


def _with_trials(means: pl.DataFrame, results: Results) -> pl.DataFrame:
    """Add the number of trials of each model's search, and what chose the best of a family."""
    model = ["dataset", "model"]
    searched = results.trials.group_by(model).agg(pl.len().cast(pl.Int64).alias("trials"))
    trained = results.runs.select(model).unique().join(searched, on=model, how="left")
    best = results.selection.filter("chosen").select(*CELL, "chosen_by")
    both = means.join(
        trained.with_columns(pl.col("trials").fill_null(1)),
        on=model,
        how="left",
        maintain_order="left",
    ).join(best, on=CELL, how="left", maintain_order="left")
    place = means.columns.index("seeds") + 1
    before, after = means.columns[:place], means.columns[place:]
    return both.select(*before, "trials", "chosen_by", *after)


def _rank_among(decodings: Sequence[str], other: int | None) -> pl.Expr:
    """Place of the decoding in this order; `other` if it is not in it."""
    return pl.col("decoding").replace_strict(
        decodings, range(len(decodings)), default=other, return_dtype=pl.Int64
    )


def _beside(
    ours: pl.DataFrame, paper: pl.DataFrame, keys: list[str], comparable: pl.Expr
) -> pl.DataFrame:
    rank = _rank_among(LIKE_THE_PAPER, other=None)
    comparable &= (pl.col("dataset") != PAPER_CHEMPROT) & (
        rank == rank.min().over("dataset", "model")
    )
    return ours.join(paper, on=keys, how="left", maintain_order="left").with_columns(
        pl.when(comparable).then(pl.col(name) - pl.col(f"paper_{name}")).alias(f"{name}_difference")
        for name in MEASURES
    )


def _with_missing(table: pl.DataFrame, results: Results, paper: pl.DataFrame) -> pl.DataFrame:
    """Add the cells without scores: the paper's numbers, and why ours are missing."""
    lacking = notes(results.cells).join(
        paper, on=["dataset", "model"], how="left", maintain_order="left"
    )
    if "length" in table.columns:
        lacking = lacking.with_columns(pl.col("length").fill_null("all"))
    whole = pl.concat([table, lacking.select(pl.exclude("note"), "note")], how="diagonal_relaxed")
    return in_order(whole, results.cells)


def in_order(table: pl.DataFrame, cells: pl.DataFrame) -> pl.DataFrame:
    """Sort rows like the cells; an average of the BERT family follows its last member."""
    places = cells.select("dataset", "model").with_row_index("place")
    family = places.filter(pl.col("model").is_in(BERT_FAMILY)).group_by("dataset")
    averages = family.agg(pl.col("place").max(), pl.lit(AVERAGE).alias("model"))
    ordered = table.join(
        pl.concat([places, averages], how="diagonal"),
        on=["dataset", "model"],
        how="left",
        maintain_order="left",
    )
    return ordered.sort("place", pl.col("model") == AVERAGE, maintain_order=True).drop("place")


def paper_table(name: str) -> pl.DataFrame:
    """Read a table of the paper; its ChemProt rows also stand for the reproduced data."""
    columns = {name: f"paper_{name}" for name in (*MEASURES, "seconds_per_sample")}
    table = pl.read_csv(PAPER / f"{name}.csv").rename(columns, strict=False)
    again = table.filter(dataset=PAPER_CHEMPROT).with_columns(dataset=pl.lit(REPRODUCTION))
    return pl.concat([table, again])
