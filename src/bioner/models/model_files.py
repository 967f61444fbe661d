"""The files of a model in a folder: whether all are there, and which weights they hold.

Found without loading the model: no torch, no network.
"""

import hashlib
import json
from pathlib import Path

from bioner.errors import reason_of
from bioner.io.checksums import sha256_of

TOKENIZERS = (
    "tokenizer.json",
    "tokenizer.model",
    "spiece.model",
    "sentencepiece.bpe.model",
    "sentencepiece.model",
    "spm.model",
    "tekken.json",
    "vocab.txt",
    "vocab.json",
)
WEIGHTS = (  # whole, or the index of their shards; in the order in which transformers looks
    "model.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
)
SAMPLES, SAMPLE = 256, 64  # of a file of weights, and the bytes of each


def find_problem(folder: Path) -> str | None:
    """Return what is wrong with a folder that should hold a model; None if nothing is."""
    if not folder.is_dir():
        return "no such folder"
    if (fault := _broken_json(folder / "config.json")) is not None:
        return fault
    if not any((folder / name).is_file() for name in TOKENIZERS):
        return "no tokenizer (tokenizer.json or another of its forms)"
    main = _main_file(folder)
    if main and main.suffix == ".json" and (fault := _broken_json(main)) is not None:
        return fault
    weights = weights_of(folder)
    if not weights:
        return (
            "no weights (model.safetensors, pytorch_model.bin or an index that names their parts)"
        )
    faults = (_broken_weights(folder / name) for name in weights)
    return next((fault for fault in faults if fault is not None), None)


def weights_of(folder: Path) -> list[str]:
    """Return the names of the files that hold a model's weights, whether or not all exist."""
    main = _main_file(folder)
    if main is None or main.suffix != ".json":
        return [main.name] if main else []
    if _broken_json(main) is not None:
        return []
    content = json.loads(main.read_text(encoding="utf-8"))
    files = content.get("weight_map") if isinstance(content, dict) else None
    names = list(files.values()) if isinstance(files, dict) else []
    return sorted(set(names)) if all(isinstance(name, str) for name in names) else []


def weight_checksums(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of each file of weights, read as a whole: seconds per GB."""
    return {name: sha256_of(folder / name) for name in weights_of(folder)}


def fingerprint_of(folder: Path) -> str:
    """Identify a folder's weights by the sizes of their files and samples of their content.

    It takes milliseconds for any size, and copies of a folder have the same one, whatever their
    times. Training changes values everywhere; an edit between two samples is missed.
    """
    digest = hashlib.sha256()
    for name in weights_of(folder):
        size = (folder / name).stat().st_size
        digest.update(f"{name}\0{size}\0".encode())
        with (folder / name).open("rb") as file:
            for number in range(SAMPLES):
                file.seek(size * number // SAMPLES)
                digest.update(file.read(SAMPLE))
    return digest.hexdigest()


def _main_file(folder: Path) -> Path | None:
    """Return the file of weights, or the index of their shards, that transformers would load."""
    paths = (folder / name for name in WEIGHTS)
    return next((path for path in paths if path.is_file()), None)


def _broken_json(path: Path) -> str | None:
    try:
        json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return f"no {path.name}"
    except (OSError, ValueError) as error:
        return f"{path.name} cannot be read ({reason_of(error)})"
    return None


def _broken_weights(path: Path) -> str | None:
    """Return what is wrong with a file of weights; a safetensors header says how long it is."""
    if not path.is_file():
        return f"no {path.name}"
    try:
        if path.suffix == ".safetensors":
            from safetensors import safe_open

            with safe_open(path, framework="np"):
                return None
        with path.open("rb") as file:
            return None if file.read(1) else f"{path.name} is empty"
    except Exception as error:  # safetensors raises an error of its own if it is cut short
        return f"{path.name} cannot be read ({reason_of(error)})"
