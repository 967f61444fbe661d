"""Tables I to V in the paper's rows, ours beside the paper's, from kept files alone."""

import polars as pl

from bioner.config import REPOSITORY
from bioner.reporting.kept import Kept

PAPER = REPOSITORY / "resources" / "paper"
CELL = ["dataset", "model", "decoding"]
MEASURES = ("precision", "recall", "f1")
# The paper's rows of ChemProt were made on mislabelled data (docs/reproduction.md). They stand beside both corpora,
# and scores are held against them on the reproduction of that data alone.
PAPER_CHEMPROT, REPRODUCTION = "ChemProt", "ChemProt-paper"
BERT_FAMILY = ("bert-large-uncased", "bert-large-cased", "biomedbert-large")


def instances_table(kept: Kept) -> pl.DataFrame:
    """Table I: instances a split."""
    return _counts(kept, pl.col("statistic") == "instances", "split", _paper("table1_instances"))


def entities_table(kept: Kept) -> pl.DataFrame:
    """Table II: test entities by length in tokens; `scored` are those evaluators see, once faulty tags are repaired."""
    paper = _paper("table2_test_entities").rename(
        {"total": "all", "length_1": "1", "length_2": "2", "length_3_plus": "3+"}
    )
    on_test = pl.col("split") == "test"
    scored = kept.statistics.filter(on_test, pl.col("statistic") == "entities").select(
        "dataset", "stratum", pl.col("value").cast(pl.Int64).alias("scored")
    )
    return (
        _counts(kept, on_test & (pl.col("statistic") == "table2_entities"), "stratum", paper)
        .join(scored, on=["dataset", "stratum"], how="left", maintain_order="left")
        .rename({"stratum": "length"})
    )


def corpora_table(kept: Kept) -> pl.DataFrame:
    """What a reader of scores wants to know of each test set: its size, its sentences, what it shares with train."""
    columns = {
        ("documents", "all"): "documents",
        ("tokens_per_instance", "mean"): "mean_tokens",
        ("tokens_per_instance", "p95"): "p95_tokens",
        ("tokens_per_instance", "p100"): "longest",
        ("instances_in_train", "all"): "instances_in_train",
        ("mentions_seen_in_train", "text and type"): "mentions_seen_in_train",
        ("annotations_lost", "all"): "annotations_lost",
    }
    test = kept.statistics.filter(pl.col("split") == "test")
    table = test.select(pl.col("dataset").unique(maintain_order=True))
    for (statistic, stratum), name in columns.items():
        value = test.filter(statistic=statistic, stratum=stratum).select("dataset", pl.col("value").alias(name))
        table = table.join(value, on="dataset", how="left", maintain_order="left")
    whole = ["documents", "p95_tokens", "longest", "instances_in_train", "annotations_lost"]
    return table.with_columns(pl.col(whole).cast(pl.Int64))


def _counts(kept: Kept, chosen: pl.Expr, by: str, paper: pl.DataFrame) -> pl.DataFrame:
    published = paper.unpivot(index="dataset", variable_name=by, value_name="paper")
    ours = kept.statistics.filter(chosen).select("dataset", by, pl.col("value").cast(pl.Int64).alias("ours"))
    return ours.join(published, on=["dataset", by], how="left", maintain_order="left").with_columns(
        difference=pl.col("ours") - pl.col("paper")
    )


def strict_table(kept: Kept) -> pl.DataFrame:
    """Table III: strict scores, overall and by entity length, mean over seeds.

    The paper's numbers stand beside ours. The difference is given overall only: its length rows score windows cut
    around gold entities, ours the additive buckets, which are other quantities (docs/reproduction.md).
    """
    ours = _means(kept.scores, "strict", per_length=True).rename({"stratum": "length"})
    return _beside(ours, _paper("table3_strict"), ["dataset", "model", "length"], pl.col("length") == "all")


def relaxed_table(kept: Kept) -> pl.DataFrame:
    """Table V: relaxed scores (SemEval partial), mean over seeds."""
    ours = _means(kept.scores, "relaxed", per_length=False).drop("stratum")
    return _beside(ours, _paper("table5_relaxed"), ["dataset", "model"], pl.lit(True))


def time_table(kept: Kept) -> pl.DataFrame:
    """Table IV: inference seconds a sample, with the average row of the BERT family where all three were timed.

    The difference is given in the rows that run as the paper's did: encoders at batch 1, free generation at batch 16.
    """
    keys = ["dataset", "model", "decoding", "batch", "precision", "hardware"]
    encoders = (pl.col("decoding") == "direct") & (pl.col("batch") == 1)
    like_the_paper = encoders | ((pl.col("decoding") == "free") & (pl.col("batch") == 16))
    ours = kept.timing.group_by(keys, maintain_order=True).agg(pl.col("seconds_per_sample").mean())
    family = (
        ours.filter(pl.col("model").is_in(BERT_FAMILY))
        .group_by([key for key in keys if key != "model"], maintain_order=True)
        .agg(pl.col("seconds_per_sample").mean(), pl.len().alias("members"))
        .filter(pl.col("members") == len(BERT_FAMILY))
        .with_columns(pl.lit("bert-family-average").alias("model"))
        .select(ours.columns)
    )
    paper = _paper("table4_inference_seconds").rename({"seconds_per_sample": "paper_seconds_per_sample"})
    return (
        pl.concat([ours, family])
        .join(paper, on=["dataset", "model"], how="left", maintain_order="left")
        .with_columns(
            difference=pl.when(like_the_paper).then(pl.col("seconds_per_sample") - pl.col("paper_seconds_per_sample"))
        )
    )


def cost_table(kept: Kept) -> pl.DataFrame:
    """Training cost a cell and seed: seconds, GPU-hours, peak memory, trained parameters."""
    return kept.runs


def _means(scores: pl.DataFrame, scheme: str, per_length: bool) -> pl.DataFrame:
    rows = scores.filter((pl.col("scorer") == "semeval") & (pl.col("scheme") == scheme) & (pl.col("label") == "all"))
    if not per_length:
        rows = rows.filter(pl.col("stratum") == "all")
    return rows.group_by([*CELL, "stratum"], maintain_order=True).agg(
        pl.len().alias("seeds"),
        pl.col("possible").first().alias("gold_entities"),
        *(pl.col(name).mean() for name in MEASURES),
        # Over seeds; with one seed there is none.
        pl.col("f1").std().alias("f1_sd_seeds"),
    )


def _beside(ours: pl.DataFrame, paper: pl.DataFrame, keys: list[str], comparable: pl.Expr) -> pl.DataFrame:
    published = paper.rename({name: f"paper_{name}" for name in MEASURES})
    comparable &= pl.col("dataset") != PAPER_CHEMPROT
    return ours.join(published, on=keys, how="left", maintain_order="left").with_columns(
        pl.when(comparable).then(pl.col(name) - pl.col(f"paper_{name}")).alias(f"{name}_difference")
        for name in MEASURES
    )


def _paper(name: str) -> pl.DataFrame:
    table = pl.read_csv(PAPER / f"{name}.csv")
    again = table.filter(pl.col("dataset") == PAPER_CHEMPROT).with_columns(dataset=pl.lit(REPRODUCTION))
    return pl.concat([table, again])
