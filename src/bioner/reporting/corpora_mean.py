"""The mean difference over the corpora of a run, with its verdicts."""

import polars as pl

from bioner.comparison.corpora_mean import CORPORA_MEAN, PRIMARY
from bioner.comparison.verdicts import JUDGED, judge
from bioner.io.tables import Schema
from bioner.settings.config import Margins

FIRST = ("family", "model", "decoding", "baseline_model", "baseline_decoding", "measure", "corpora")
FOUND = ("score", "baseline_score", "difference", "p")
LAST = (
    *("names", "left_out", "documents", "shared_documents", "seeds", "baseline_seeds", "covers"),
    *("standard_error", "df", "variance_documents", "df_documents", "variance_seeds", "df_seeds"),
)
MEANS: Schema = {
    **{name: CORPORA_MEAN[name] for name in (*FIRST, *FOUND)},
    **JUDGED,
    "margin": pl.Float64,
    **{name: CORPORA_MEAN[name] for name in LAST},
}


def corpora_mean_table(means: pl.DataFrame, margins: Margins) -> pl.DataFrame:
    """Return every mean difference with its verdict.

    `primary`: the best LLM against the best encoder of each corpus, a single test of each measure.
    `exploratory`: every pair of systems, adjusted by max-T when they were compared.

    Args:
        means: Columns CORPORA_MEAN.
        margins: The difference that is too small to matter, in points, by measure.
    """
    primary = pl.col("family") == PRIMARY
    rows = means.with_columns(
        pl.Series("margin", [margins.get(name) for name in means["measure"]], pl.Float64),
        holm=pl.when(primary).then(pl.concat_str("family", "measure", separator=": ")),
        smallest_p=0.0,
        deterministic=False,
    )
    exploratory = pl.when(primary).then("family").otherwise(pl.lit("exploratory"))
    judged = judge(rows).with_columns(family=exploratory)
    return judged.select(pl.col(name).cast(kind) for name, kind in MEANS.items())
