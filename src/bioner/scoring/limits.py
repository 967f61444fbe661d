"""The smallest samples that get an interval or a test."""

from collections.abc import Sequence

import polars as pl

FEWEST_ENTITIES = 30  # with 7, bootstrap intervals meant to cover 95 % cover 70 to 87 %
# n documents make the bootstrap's variance too small by a factor of (n - 1) / n, and swaps of n
# documents give no p-value under 2 / 2^n.
FEWEST_DOCUMENTS = 10
NEEDED = f"{FEWEST_ENTITIES} gold entities, in {FEWEST_DOCUMENTS} documents"


def limit_of(
    entities: int, documents: int, kind: str = "document", what: str = "gold"
) -> str | None:
    """Name the limit that a stratum falls below, as `5 gold entities` or `8 documents`.

    Args:
        entities: Its entities.
        documents: Documents that hold one of them.
        kind: What is resampled: `document` or `sentence` (see `resampling.Clusters`).
        what: Which entities these are: `gold` or `predicted`.

    Returns:
        The limit, that of entities first; None if there is enough for an interval and a test.
    """
    if entities < FEWEST_ENTITIES:
        return f"{entities} {what} {'entity' if entities == 1 else 'entities'}"
    if documents < FEWEST_DOCUMENTS:
        return f"{documents} {kind}{'' if documents == 1 else 's'}"
    return None


def drop_intervals(table: pl.DataFrame, entities: pl.Expr, columns: Sequence[str]) -> pl.DataFrame:
    """Drop the intervals of rows that fall below a limit.

    Args:
        table: A table with the column `no_interval`, which is null in files of earlier versions.
        entities: The gold entities of each row, by which the rows of such files are judged.
        columns: The bounds of the intervals, and what else a limit forbids.
    """
    few = pl.when(entities < FEWEST_ENTITIES).then(pl.lit(f"under {FEWEST_ENTITIES} gold entities"))
    table = table.with_columns(pl.coalesce("no_interval", few).alias("no_interval"))
    return table.with_columns(pl.when(pl.col("no_interval").is_null()).then(pl.col(columns)))
