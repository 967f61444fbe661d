"""How far the confidences of constrained decoding can be trusted: kept raw outputs beside what was
right.
"""

from collections.abc import Iterator, Mapping, Sequence
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
    """Reliability bins of the systems that were decoded with constrained decoding, by dataset; one
    file a system.

    What is missing or broken is left out: other tables are about that.
    """
    tables = [pl.DataFrame(schema=CONFIDENCES)]
    for dataset, systems in cells.items():
        for system in systems:
            folder = results / layout.run_path(
                "", dataset, system.model, system.seed, system.decoding
            )
            if system.decoding == "constrained":
                tables += _of(folder, data / dataset / "test.jsonl", dataset, system.model)
    return pl.concat(tables)


def _of(folder: Path, test: Path, dataset: str, model: str) -> Iterator[pl.DataFrame]:
    if not (folder / layout.RAW).is_file():
        return
    try:
        gold = read_instances(test)
        predictions = read_predictions(folder / layout.PREDICTIONS, gold)
        outputs = list(read_raw(folder / layout.RAW, gold))
    except InputError:
        return
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
    bins = reliability_bins(*pairs)
    yield bins.select(pl.lit(dataset).alias("dataset"), pl.lit(model).alias("model"), pl.all())
