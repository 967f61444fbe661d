"""Where every result comes from: data by checksums, weights by commit, code, configuration, machine, start and end."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from bioner.reporting.soundness import comparable, read_run
from bioner.tables import Schema

PACKAGES = ("bioner-bench", "torch", "transformers", "peft", "bitsandbytes", "nervaluate")
ORIGINS: Schema = {
    **dict.fromkeys(("dataset", "model"), pl.String),
    "seed": pl.Int64,
    **dict.fromkeys(("stage", "decoding", "started", "ended", "commit"), pl.String),
    "uncommitted_changes": pl.Boolean,
    **dict.fromkeys(("hub", "revision", "train_sha256", "dev_sha256", "test_sha256"), pl.String),
    **dict.fromkeys(("configuration", "hardware", "python", "versions"), pl.String),
}


def read_origins(cell: Path, dataset: str, model: str, runs: Sequence[tuple[int, str]]) -> pl.DataFrame:
    """A row a training and a prediction (seed, decoding) of a cell whose run.json is kept."""
    rows = [{"dataset": dataset, "model": model, **row} for row in _rows(cell, runs)]
    return pl.DataFrame(rows, schema=ORIGINS)


def _rows(cell: Path, runs: Sequence[tuple[int, str]]) -> Iterator[dict[str, Any]]:
    for seed in dict.fromkeys(seed for seed, _ in runs):
        if record := read_run(cell / f"seed{seed}" / "run.json"):
            yield {"seed": seed, "stage": "train", **_origin(record, {"train": "train", "dev": "dev"})}
    for seed, decoding in runs:
        if record := read_run(cell / f"seed{seed}" / decoding / "run.json"):
            known = _origin(record, {"train": "train", "test": "gold"})
            yield {"seed": seed, "stage": "predict", "decoding": decoding, **known}


def _origin(record: Mapping[str, Any], files: Mapping[str, str]) -> dict[str, Any]:
    settings, data = (_object(record.get(name)) for name in ("settings", "data"))
    source, versions = _object(settings.get("source")), _object(record.get("versions"))
    gpus = record.get("gpus")
    return {
        **{name: record.get(name) for name in ("started", "ended", "commit", "uncommitted_changes", "python")},
        **{name: source.get(name) for name in (("hub", "revision") if source.get("hub") else ())},
        **{f"{split}_sha256": data.get(key) for split, key in files.items()},
        "configuration": _digest(comparable(dict(settings))) if settings else None,
        "hardware": ", ".join(gpus) if isinstance(gpus, list) and gpus else record.get("cpu"),
        "versions": ", ".join(f"{name} {versions[name]}" for name in PACKAGES if name in versions) or None,
    }


def _object(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _digest(settings: Mapping[str, Any]) -> str:
    """The same for two runs with the same settings."""
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:12]
