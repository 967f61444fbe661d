"""Where results come from: checksums of data, commits, configuration, machine, start and end."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl

from bioner.io.records import RunRecord
from bioner.io.tables import Schema
from bioner.results.consistency import RunRecords, comparable
from bioner.settings.model_entry import ModelSource

PACKAGES = ("bioner-bench", "torch", "transformers", "peft", "bitsandbytes", "nervaluate")
COPIED = ("started", "ended", "commit", "uncommitted_changes", "python")
PROVENANCE: Schema = {
    **dict.fromkeys(("dataset", "model"), pl.String),
    "seed": pl.Int64,
    **dict.fromkeys(("stage", "decoding", "started", "ended", "commit"), pl.String),
    "uncommitted_changes": pl.Boolean,
    **dict.fromkeys(("hub", "revision", "train_sha256", "dev_sha256", "test_sha256"), pl.String),
    **dict.fromkeys(("configuration", "hardware", "python", "versions"), pl.String),
}


def read_provenance(cell: Path, dataset: str, model: str, records: RunRecords) -> pl.DataFrame:
    """Return one row per training and prediction that has a run.json."""
    rows = []
    for (seed, decoding), record in records.items():
        whose = {"dataset": dataset, "model": model, "seed": seed}
        if decoding:
            origin = _origin(record, "predict")
            rows.append(whose | {"stage": "predict", "decoding": decoding} | origin)
        else:
            origin = _origin(record, "train")
            rows.append(whose | {"stage": "train"} | origin)
    return pl.DataFrame(rows, schema=PROVENANCE)


def _origin(record: RunRecord, stage: str) -> dict[str, Any]:
    source = record.entry.source if record.entry else ModelSource()
    versions = [f"{name} {record.versions[name]}" for name in PACKAGES if name in record.versions]
    return {
        **record.model_dump(include=set(COPIED)),
        "hub": source.hub,
        "revision": source.revision if source.hub else None,
        "train_sha256": record.data.train,
        "dev_sha256": record.data.dev,
        "test_sha256": record.data.gold,
        "configuration": _digest(comparable(record)) if record.settings else None,
        "hardware": ", ".join(record.gpus_of(stage)) or record.cpu,
        "versions": ", ".join(versions) or None,
    }


def _digest(settings: Mapping[str, Any]) -> str:
    """Equal for runs with equal settings."""
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:12]
