"""Small matrices of models with round costs."""

from typing import Any

from bioner.ops.planning.sizes import Size
from bioner.settings.catalogue import parse_entry
from bioner.settings.config import load_config
from bioner.settings.dataset_entry import DatasetEntry
from bioner.settings.matrix import Matrix
from bioner.settings.model_entry import ModelEntry

# 1,000 sentences of train, 500 of dev and of test, of the length that costs are stated for.
THOUSAND = Size({"train": 1000, "dev": 500, "test": 500}, 26.0, "counted")
SMALL: dict[str, Any] = {
    "family": "encoder",
    "source": {"hub": "a/small"},
    "train": {"epochs": 20, "patience": 3, "batch_size": 10},
    "resources": {"gpus": 1, "predict_gpus": 1},
    "cost_estimates": {
        "training": {"start_seconds": 100, "step_seconds": 0.5, "seconds": 40},
        "prediction": {"start_seconds": 60, "direct": 20},
        **{"download_gb": 1.0, "model_gb": 2.0, "checkpoint_gb": 5.0},
    },
}
LARGE: dict[str, Any] = {
    "family": "llm",
    "source": {"hub": "a/large"},
    "train": {"epochs": 4, "patience": None, "batch_size": 10},
    "resources": {"gpus": 2, "predict_gpus": 1},
    "cost_estimates": {
        "training": {"start_seconds": 200, "seconds": 1000},
        "prediction": {"start_seconds": 100, "free": 3000, "constrained": 200},
        **{"download_gb": 15.0, "model_gb": 1.0, "checkpoint_gb": 3.0},
    },
}


def matrix(entries: dict[str, Any], **settings: object) -> Matrix:
    """These models and the dictionary on `demo`, with one seed unless `settings` name others."""
    entries = {"dictionary": {"family": "control", "control": "dictionary"}} | entries
    models = {name: parse_entry(ModelEntry, name, entry) for name, entry in entries.items()}
    corpus = {"format": "inline", "splits": {"train": "a.txt", "dev": "b.txt", "test": "c.txt"}}
    chosen = {"models": list(models), "datasets": ["demo"], "seeds": [42]} | settings
    return Matrix(load_config(chosen), {"demo": parse_entry(DatasetEntry, "demo", corpus)}, models)
