"""The best encoder and the best LLM of a dataset, chosen on dev and not on the test set."""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import polars as pl

from bioner.errors import InputError
from bioner.io.tables import Schema, read_table
from bioner.scoring.score import concat_scores, read_scores

SELECTION: Schema = {
    "dataset": pl.String,
    "family": pl.String,
    "model": pl.String,
    "decoding": pl.String,
    "seeds": pl.Int64,
    "dev_f1": pl.Float64,
    "chosen": pl.Boolean,
}


def select(candidates: Mapping[str, Sequence[Path]]) -> pl.DataFrame:
    """Choose the candidate with the highest mean strict F1 on dev over seeds, for each family.

    Of equal candidates the first by name is chosen. F1 is in percent; undefined F1 counts as 0.

    Args:
        candidates: By family, score files of dev predictions.

    Raises:
        InputError: A file has no strict score, or the files are of several datasets.
    """
    rows = []
    strict_row = {"scorer": "semeval", "scheme": "strict", "stratum": "all", "label": "all"}
    for family, paths in candidates.items():
        tables = [read_scores(path).filter(**strict_row) for path in paths]
        for path, table in zip(paths, tables, strict=True):
            if table.is_empty():
                raise InputError(
                    path,
                    "no strict score",
                    "what `bioner score` wrote",
                    "Score the dev predictions again.",
                )
        strict = concat_scores(tables)
        means = strict.group_by("dataset", "model", "decoding").agg(
            pl.lit(family).alias("family"),
            pl.len().cast(pl.Int64).alias("seeds"),
            pl.col("f1").fill_null(0.0).mean().alias("dev_f1"),
        )
        ranked = means.sort(pl.col("dev_f1"), pl.col("model"), descending=[True, False])
        rows.append(ranked.with_columns(chosen=pl.int_range(pl.len()) == 0))
    table = pl.concat(rows).select(list(SELECTION))
    if (datasets := table["dataset"].unique().sort()).len() > 1:
        raise InputError(
            "select-best",
            f"scores of {', '.join(map(str, datasets))}",
            "dev scores of one dataset",
            "Name the dev/scores.csv of one dataset.",
        )
    return table


def read_selection(path: Path) -> pl.DataFrame:
    """Read and check a selection file: exactly one candidate per family is chosen."""
    table = read_table(path, SELECTION, ["family", "model", "decoding", "chosen"])
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
            "Name models that dev scores were given for.",
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
