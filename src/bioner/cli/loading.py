"""What `--config` and `--entry` stand for; commands import it when they run: it takes time."""

import functools
import os
from pathlib import Path
from typing import Any

from bioner.cli.options import json_object
from bioner.settings.catalogue import find, load_datasets, load_models, parse_entry
from bioner.settings.config import Configuration, load_config, merged
from bioner.settings.dataset_entry import DatasetEntry
from bioner.settings.matrix import Matrix, load_matrix
from bioner.settings.model_entry import ModelEntry
from bioner.settings.repository import DEFAULT_CONFIG, REPOSITORY
from bioner.settings.yaml_files import read_yaml

# Keys of a corpus that no result depends on, but that may refuse it.
CHECKS = ("entities", "max_lost")


def files_of(overlays: list[Path] | None) -> list[Path]:
    """Return the files that a configuration with these overlays is read from."""
    return [DEFAULT_CONFIG, *(overlays or [])]


def settings_of(overlays: list[Path] | None) -> Configuration:
    """Load the configuration with these overlays, checked and completed."""
    files = files_of(overlays)
    return load_config(functools.reduce(merged, map(read_yaml, files)), files)


def matrix_of(overlays: list[Path] | None) -> Matrix:
    """Return what a configuration with these overlays runs."""
    return load_matrix(settings_of(overlays), files_of(overlays))


def model_entry_of(name: str, config: list[Path] | None, entry: str | None) -> ModelEntry:
    """Return the model's entry given as JSON, or else the catalogue's entry of that name."""
    if entry is None:
        file = REPOSITORY / "config" / "models.yaml"
        return find(load_models(settings_of(config), files_of(config)), name, "model", file)
    return parse_entry(ModelEntry, name, json_object("--entry", entry))


def planned_datasets() -> dict[str, Any]:
    """Return the entries of a workflow's corpora; none outside a workflow.

    It passes them in a variable, since what finds, checks or describes a corpus changes no result
    and must be no parameter of its rules.
    """
    return json_object("BIONER_DATASETS", os.environ.get("BIONER_DATASETS", "{}"))


def dataset_entry_of(name: str, config: list[Path] | None, entry: str | None) -> DatasetEntry:
    """Return a corpus's entry: given as JSON, or else as the workflow or the catalogue has it.

    The workflow's CHECKS complete an entry that is given.
    """
    planned = planned_datasets().get(name, {})
    if entry is not None:
        checks = {key: planned[key] for key in CHECKS if key in planned}
        planned = checks | json_object("--entry", entry)
    if planned:
        return parse_entry(DatasetEntry, name, planned)
    file = REPOSITORY / "config" / "datasets.yaml"
    return find(load_datasets(settings_of(config), files_of(config)), name, "dataset", file)
