"""A trained adapter merged into its base: one model that needs neither peft nor bitsandbytes."""

import gc
import shutil
from collections.abc import Sequence
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

from transformers import Conv1D

from bioner.comparison.predictions import PredictionAgreement, compare_predictions
from bioner.data.instances import Instance, Prediction
from bioner.data.tags import tag_set
from bioner.errors import InputError
from bioner.inference.decoding.drafts import TABLE_FILE
from bioner.inference.predict import load_predictor
from bioner.io.checksums import listing
from bioner.io.files import atomic_path, write_json
from bioner.models.llm import load_trained, read_task, save_trained
from bioner.realignment.realign import realign_all
from bioner.settings.model_entry import ModelEntry


def merge(
    folder: Path, entry: ModelEntry, out: Path, dev: Sequence[Instance]
) -> PredictionAgreement | None:
    """Merge the adapter in `folder` into its base, and write the model to `out`.

    Returns:
        How the predictions of the written model differ on `dev` from those of the adapter on its
        base; None without `dev`.
    """
    task = read_task(folder)
    is_head = entry.family == "llm-head"
    if is_head or entry.lora is None:
        found = "a model with a head" if is_head else "whole weights"
        raise InputError(
            folder, found, "an LLM with an adapter that writes lines", "There is nothing to merge."
        )
    model, tokenizer, _ = load_trained(folder, entry)
    if any(getattr(module, "source_cls", None) is Conv1D for module in model.modules()):
        raise InputError(
            folder,
            "GPT-2 in 4 bits, whose layers are transposed there",
            "layers that can be saved as they were",
            "Predict with the adapter, or train it with quantization: null.",
        )
    del model
    legal = frozenset(tag_set(task.types))

    def predicted(weights: Path, settings: ModelEntry) -> list[Prediction]:
        gc.collect()  # the model before this one
        predictor = load_predictor(folder.name, settings, weights, "constrained")
        return realign_all(dev, predictor(dev, settings.predict.batch_size), legal)[0]

    unmerged = predicted(folder, entry.changed(predict={"weights": "as-trained"})) if dev else []
    with atomic_path(out) as path:
        path.mkdir()
        whole = entry.model_copy(update={"lora": None, "quantization": None})
        merged = load_trained(folder, entry, merged=True)[0]
        save_trained(merged, tokenizer, replace(task, entry=whole), folder, path)
        if (folder / TABLE_FILE).is_file():
            shutil.copy(folder / TABLE_FILE, path)
        del merged
        agreement = compare_predictions(dev, predicted(path, whole), unmerged) if dev else None
        packages = ("bioner-bench", "torch", "transformers", "peft")
        record = {
            "agreement": agreement and agreement._asdict(),
            "adapter": listing(folder),
            "base": task.base,
            "revision": task.revision,
            "versions": {package: version(package) for package in packages},
        }
        write_json(path / "merge.json", record)
    return agreement
