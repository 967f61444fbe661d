"""Where results come from: checksums of data, commits, configuration, machine, start and end."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl

from bioner.errors import InputError
from bioner.io.files import Record
from bioner.io.tables import Schema
from bioner.results.consistency import RunRecords, comparable, part_of

PACKAGES = ("bioner-bench", "torch", "transformers", "peft", "bitsandbytes", "nervaluate")
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
            origin = _origin(record, {"train": "train", "test": "gold"}, "predict_gpus")
            rows.append(whose | {"stage": "predict", "decoding": decoding} | origin)
        else:
            origin = _origin(record, {"train": "train", "dev": "dev"}, "gpus")
            rows.append(whose | {"stage": "train"} | origin)
    try:
        return pl.DataFrame(rows, schema=PROVENANCE)
    except (TypeError, pl.exceptions.PolarsError):
        remedy = "Train the cell again, or predict with it again."
        raise InputError(
            cell, "a run.json with a value of another kind", "what bioner wrote", remedy
        ) from None


def _origin(record: Record, files: Mapping[str, str], asked: str) -> dict[str, Any]:
    settings, data, versions = (part_of(record, name) for name in ("settings", "data", "versions"))
    source = part_of(settings, "source")
    return {
        **{
            name: record.get(name)
            for name in ("started", "ended", "commit", "uncommitted_changes", "python")
        },
        **{name: source.get(name) for name in (("hub", "revision") if source.get("hub") else ())},
        **{f"{split}_sha256": data.get(key) for split, key in files.items()},
        "configuration": _digest(comparable(settings)) if settings else None,
        "hardware": ", ".join(_gpus(record, asked)) or record.get("cpu"),
        "versions": ", ".join(f"{name} {versions[name]}" for name in PACKAGES if name in versions)
        or None,
    }


def _gpus(record: Record, asked: str) -> list[str]:
    """The GPUs that the run was given (setting `asked`); all of them if it has no such setting."""
    gpus = record.get("gpus")
    wanted = part_of(part_of(record, "settings"), "resources").get(asked)
    names = [str(name) for name in gpus] if isinstance(gpus, list) else []
    return names[:wanted] if isinstance(wanted, int) else names


def _digest(settings: Mapping[str, Any]) -> str:
    """Equal for runs with equal settings."""
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:12]
