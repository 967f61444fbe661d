"""Whether a folder holds a whole model, told without loading it: no torch, no network."""

import json
from pathlib import Path

from bioner.errors import reason_of

TOKENIZERS = (
    "tokenizer.json",
    "tokenizer.model",
    "spiece.model",
    "spm.model",
    "vocab.txt",
    "vocab.json",
)
WEIGHTS = {  # whole, or the index of its shards; in the order in which transformers looks for them
    "model.safetensors": "model.safetensors.index.json",
    "pytorch_model.bin": "pytorch_model.bin.index.json",
}


def find_problem(folder: Path) -> str | None:
    """What is wrong with a folder that is to hold a model; None where nothing is."""
    if (fault := _broken_json(folder / "config.json")) is not None:
        return fault
    if not any((folder / name).is_file() for name in TOKENIZERS):
        return "no tokenizer (tokenizer.json or another of its forms)"
    index = next(
        (
            folder / index
            for whole, index in WEIGHTS.items()
            if _has_index_alone(folder, whole, index)
        ),
        None,
    )
    if index and (fault := _broken_json(index)) is not None:
        return fault
    weights = weights_of(folder)
    if not weights:
        return (
            "no weights (model.safetensors, pytorch_model.bin or an index that names their parts)"
        )
    faults = (_broken_weights(folder / name) for name in weights)
    return next((fault for fault in faults if fault is not None), None)


def weights_of(folder: Path) -> list[str]:
    """Names of the files that hold a model's weights, whether or not all are there; empty where
    there are none.
    """
    for whole, index in WEIGHTS.items():
        if (folder / whole).is_file():
            return [whole]
        if _has_index_alone(folder, whole, index):
            return _shards(folder / index)
    return []


def _has_index_alone(folder: Path, whole: str, index: str) -> bool:
    return (folder / index).is_file() and not (folder / whole).is_file()


def _shards(index: Path) -> list[str]:
    """The files that an index names; none where it is no index."""
    if _broken_json(index) is not None:
        return []
    content = json.loads(index.read_text(encoding="utf-8"))
    files = content.get("weight_map") if isinstance(content, dict) else None
    names = list(files.values()) if isinstance(files, dict) else []
    return sorted(set(names)) if all(isinstance(name, str) for name in names) else []


def _broken_json(path: Path) -> str | None:
    try:
        json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return f"no {path.name}"
    except (OSError, ValueError) as error:
        return f"{path.name} cannot be read ({reason_of(error)})"
    return None


def _broken_weights(path: Path) -> str | None:
    """What is wrong with a file of weights, by its header, which tells how long it is to be."""
    if not path.is_file():
        return f"no {path.name}"
    try:
        if path.suffix == ".safetensors":
            from safetensors import safe_open

            with safe_open(path, framework="np"):
                return None
        with path.open("rb") as file:
            return None if file.read(1) else f"{path.name} is empty"
    except Exception as error:  # safetensors has an error of its own for what is cut short
        return f"{path.name} cannot be read ({reason_of(error)})"
