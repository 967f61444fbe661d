"""Rows of comparison tables made up from a difference and a p-value, consistent with each other."""

import polars as pl
from scipy.stats import norm, t

from bioner.comparison.compare import COMPARISON


def compared(
    difference: float = -2.0, p: float = 0.01, df: float | None = 20.0, **other: object
) -> dict[str, object]:
    """A tested row of three seeds per side, or without `df` of one seed, in no family of max-T.

    The encoder is first, as in a configuration: -2 is two points in favour of the LLM.
    """
    students = norm if df is None else t(df)
    error = abs(difference) / students.isf(p / 2) if difference else 0.0
    half = students.isf(0.025) * error
    row: dict[str, object] = {
        "dataset": "d1",
        "model": "enc",
        "decoding": "direct",
        "baseline_model": "llm",
        "baseline_decoding": "constrained",
        "seeds": 3 if df else 1,
        "baseline_seeds": 3 if df else 1,
        "measure": "f1",
        "stratum": "all",
        "label": "all",
        "gold_entities": 1000,
        "cluster": "document",
        "clusters": 90,
        "clusters_with_gold": 80,
        "score": 80.0,
        "baseline_score": 80.0 - difference,
        "difference": difference,
        "deterministic": False,
        "covers": "documents and seeds" if df else "documents",
        "standard_error": error,
        "df": df,
        "variance_documents": error**2,
        "df_documents": df or 79.0,
        "variance_seeds": 0.0,
        "ci_low": difference - half,
        "ci_high": difference + half,
        "p": p,
        "smallest_p": 0.0 if df else 1e-4,
    }
    return row | other


def explored(
    difference: float = -2.0,
    p: float = 0.01,
    critical: float = 2.8,
    critical_90: float = 2.5,
    **other: object,
) -> dict[str, object]:
    """A row that max-T has adjusted to 0.04 if it is significant, else to 0.2."""
    row = compared(difference, p, **other)
    significant = abs(difference) > critical * row["standard_error"]
    adjusted = {"family": "f1", "tests": 6, "critical": critical, "critical_90": critical_90}
    return row | adjusted | {"p_max_t": max(p, 0.04 if significant else 0.2)} | other


def untested(reason: str, difference: float = -2.0, **other: object) -> dict[str, object]:
    """A row that could not be tested."""
    nothing = dict.fromkeys(("standard_error", "df", "ci_low", "ci_high", "p", "smallest_p"))
    return compared(difference) | nothing | {"untested": reason} | other


def table(*rows: dict[str, object]) -> pl.DataFrame:
    """Rows as a comparison table."""
    return pl.DataFrame(rows, schema_overrides=COMPARISON, infer_schema_length=None).select(
        *(
            pl.col(name) if any(name in row for row in rows) else pl.lit(None, kind).alias(name)
            for name, kind in COMPARISON.items()
        )
    )
