"""Reliability of the confidences of constrained decoding: raw outputs against gold."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import polars as pl

from bioner.data.instances import read_instances, read_predictions
from bioner.data.raw_outputs import Generated, read_raw
from bioner.errors import InputError
from bioner.io.tables import Schema
from bioner.reporting.disagreements import ReportedSystem
from bioner.results import layout
from bioner.scoring.reliability import RELIABILITY, confidence_pairs, reliability_bins

CONFIDENCES: Schema = {"dataset": pl.String, "model": pl.String, **RELIABILITY}


def read_confidences(
    results: Path, data: Path, cells: Mapping[str, Sequence[ReportedSystem]]
) -> pl.DataFrame:
    """Return reliability bins of systems with constrained decoding, one file per system.

    Missing or broken files are skipped; other tables report them.
    """
    tables = [pl.DataFrame(schema=CONFIDENCES)]
    constrained = [
        (dataset, system)
        for dataset, systems in cells.items()
        for system in systems
        if system.decoding == "constrained"
    ]
    for dataset, system in constrained:
        run = dataset, system.model, system.seed, system.decoding
        raw = results / layout.run_path(layout.RAW, *run)
        if not raw.is_file():
            continue
        try:
            gold = read_instances(data / dataset / "test.jsonl")
            predictions = read_predictions(raw.with_name(layout.PREDICTIONS), gold)
            outputs = list(read_raw(raw, gold))
        except InputError:
            continue
        # Confidences, tags and gold tags of each instance that has confidences.
        decided = [
            (output.confidence, predicted.tags, instance.tags)
            for output, predicted, instance in zip(outputs, predictions, gold, strict=True)
            if isinstance(output, Generated) and output.confidence is not None
        ]
        pairs = confidence_pairs(
            [confidences for confidences, _, _ in decided],
            [predicted for _, predicted, _ in decided],
            [expected for _, _, expected in decided],
        )
        whose = pl.lit(dataset).alias("dataset"), pl.lit(system.model).alias("model")
        tables.append(reliability_bins(*pairs).select(*whose, pl.all()))
    return pl.concat(tables)
