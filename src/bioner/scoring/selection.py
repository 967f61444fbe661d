"""The best encoder and the best LLM of a dataset, chosen on dev and not on the test set."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from bioner.errors import InputError
from bioner.io.tables import Schema, read_table
from bioner.scoring.score import concat_scores, read_scores

SEARCH, REPORTED_RUNS = "search", "reported runs"
SELECTION: Schema = {
    "dataset": pl.String,
    "family": pl.String,
    "model": pl.String,
    "decoding": pl.String,
    "chosen_by": pl.String,
    "trials": pl.Int64,
    "seeds": pl.Int64,
    "dev_f1": pl.Float64,
    "chosen": pl.Boolean,
}


@dataclass(frozen=True, slots=True)
class SearchedCandidate:
    """A candidate with a search of `trials` trials: `dev_f1` is the winner's strict F1 on dev."""

    model: str
    decoding: str
    dev_f1: float | None
    trials: int


def select(
    scored: Mapping[str, Sequence[Path]],
    searched: Mapping[str, Sequence[SearchedCandidate]] | None = None,
    dataset: str | None = None,
) -> pl.DataFrame:
    """Choose the candidate with the highest strict F1 on dev, for each family.

    If every candidate of a family has a search, the winners of the searches are compared: their
    weights are not reported, so no reported score carries the luck of this choice (Cawley and
    Talbot 2010, "On Over-fitting in Model Selection and Subsequent Selection Bias in Performance
    Evaluation"). Otherwise the reported runs are compared, by their mean over seeds. Of equal
    candidates the first by name is chosen. F1 is in percent; undefined F1 counts as 0.

    Args:
        scored: By family, score files of the dev predictions of reported runs.
        searched: By family, candidates with a search. A family stands in one of the two.
        dataset: Name of the dataset, which searches do not know.

    Raises:
        InputError: A file has no strict score, the files are of several datasets, or a family
            stands in both.
    """
    if both := [family for family in searched or {} if scored.get(family)]:
        raise InputError(
            "select-best",
            f"searches and dev scores of the family {both[0]}",
            "one of the two: the best of several trials is higher by luck",
            "Give the dev scores of all its candidates.",
        )
    tables = [pl.DataFrame(schema=SELECTION)]
    tables += [
        pl.DataFrame(candidates).with_columns(
            dataset=pl.lit(dataset), family=pl.lit(family), chosen_by=pl.lit(SEARCH)
        )
        for family, candidates in (searched or {}).items()
    ]
    tables += [_means_on_dev(family, paths) for family, paths in scored.items() if paths]
    table = pl.concat(tables, how="diagonal_relaxed").with_columns(pl.col("dev_f1").fill_null(0.0))
    if (datasets := table["dataset"].unique().sort()).len() > 1:
        raise InputError(
            "select-best",
            f"scores of {', '.join(map(str, datasets))}",
            "dev scores of one dataset",
            "Name the dev/scores.csv of one dataset.",
        )
    ranked = table.sort("family", "dev_f1", "model", descending=[False, True, False])
    return ranked.with_columns(chosen=pl.int_range(pl.len()).over("family") == 0)


def _means_on_dev(family: str, paths: Sequence[Path]) -> pl.DataFrame:
    """Return the mean strict F1 over the seeds of each candidate of a family."""
    strict_row = {"scorer": "semeval", "scheme": "strict", "stratum": "all", "label": "all"}
    tables = [read_scores(path).filter(**strict_row) for path in paths]
    for path, table in zip(paths, tables, strict=True):
        if table.is_empty():
            raise InputError(
                path,
                "no strict score",
                "what `bioner score` wrote",
                "Score the dev predictions again.",
            )
    means = concat_scores(tables).group_by("dataset", "model", "decoding")
    return means.agg(
        pl.lit(family).alias("family"),
        pl.lit(REPORTED_RUNS).alias("chosen_by"),
        pl.len().cast(pl.Int64).alias("seeds"),
        pl.col("f1").fill_null(0.0).mean().alias("dev_f1"),
    )


def read_selection(path: Path) -> pl.DataFrame:
    """Read and check a selection file: exactly one candidate per family is chosen."""
    table = read_table(path, SELECTION, ["family", "model", "decoding", "chosen_by", "chosen"])
    counts = table.group_by("family", maintain_order=True).agg(pl.col("chosen").sum())
    for family, chosen in counts.rows():
        if chosen != 1:
            raise InputError(
                path,
                f"{chosen} chosen of the family {family}",
                "one",
                "Make it by `bioner select-best`.",
            )
    return table


def chosen_of(selection: pl.DataFrame, candidates: Collection[str], path: Path) -> list[str]:
    """Return the candidates that are chosen, in the order of the selection.

    Raises:
        InputError: The selection does not have a candidate, or none of them is chosen.
    """
    known = selection["model"].to_list()
    if strangers := [name for name in candidates if name not in known]:
        raise InputError(
            path,
            f"no {strangers[0]!r}",
            f"one of {', '.join(known)}",
            "Name models that were candidates.",
        )
    chosen = [model for model in selection.filter("chosen")["model"] if model in candidates]
    if not chosen:
        raise InputError(
            path,
            "none of the candidates chosen",
            "at least one",
            "Name the family's other models too.",
        )
    return chosen
