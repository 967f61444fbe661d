"""A selection that has chosen the same two systems everywhere."""

import polars as pl

from bioner.scoring.selection import SELECTION


def chosen_everywhere(*datasets: str) -> pl.DataFrame:
    """Everywhere the encoder `enc` and the LLM `llm` are the best; `other` is a second encoder."""
    rows = [
        (dataset, family, model, decoding, "search", 12, None, f1, best)
        for dataset in datasets
        for family, model, decoding, f1, best in (
            ("encoder", "enc", "direct", 80.0, True),
            ("encoder", "other", "direct", 70.0, False),
            ("llm", "llm", "constrained", 75.0, True),
        )
    ]
    return pl.DataFrame(rows, schema=SELECTION, orient="row")
