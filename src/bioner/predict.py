"""Predicting: raw outputs of a trained model or a control, and the seconds they take."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from bioner.catalogue import TRAINED
from bioner.config import Tree
from bioner.errors import InputError
from bioner.instances import Instance
from bioner.models.controls import predict_control
from bioner.raw import RawOutput, Tagged
from bioner.tags import OUTSIDE

Predictor = Callable[[Sequence[Instance], int], list[RawOutput]]


def predict(
    name: str, entry: Tree, gold: Sequence[Instance], train: Sequence[Instance], weights: Path | None, decoding: str
) -> list[RawOutput]:
    """Raw outputs for every instance, in order. Controls need `train`, trained models the folder `weights`."""
    if entry["family"] == "control":
        if entry["control"] == "dictionary" and not train:
            raise InputError(name, "no training instances", "those it takes its entities from", "Give --train.")
        tags = predict_control(entry["control"], train, gold)
        return [Tagged(instance.id, list(range(len(row))), row) for instance, row in zip(gold, tags, strict=True)]
    return load_predictor(name, entry, weights, decoding)(gold, entry["predict"]["batch_size"])


def load_predictor(name: str, entry: Tree, weights: Path | None, decoding: str) -> Predictor:
    """A trained model as a function of instances and batch size; loads torch and the weights once."""
    if entry["family"] not in TRAINED:
        remedy = "Only models with weights are loaded and timed; members of ensembles have predictions of their own."
        raise InputError(name, f"the family {entry['family']!r}", "an encoder or an LLM", remedy)
    expected = {"encoder": ("direct",), "llm": ("free", "forced")}[entry["family"]]
    if decoding not in expected:
        raise InputError(name, f"decoding {decoding!r}", " or ".join(expected), "Change --decoding.")
    if weights is None or not weights.is_dir():
        remedy = "Run `bioner train` first and give --weights FOLDER/model."
        raise InputError(weights or name, "no weights", "the folder of a trained model", remedy)
    import torch

    from bioner.models.hub import check_window, device_of, load_token_classifier, load_tokenizer, require_devices

    require_devices(name, entry["resources"]["predict_gpus"])
    torch.set_num_threads(entry["resources"]["threads"])
    if entry["family"] == "llm":
        return _llm(entry, weights, decoding)

    from bioner.models.encoder import tag

    tokenizer = load_tokenizer(weights)
    model = load_token_classifier(weights).eval().to(device_of(entry["resources"]["predict_gpus"]))
    check_window(name, entry, model)
    if strange := [
        label for label in model.config.id2label.values() if label != OUTSIDE and not label.startswith(("B-", "I-"))
    ]:
        remedy = "Name the `model/` of a finished training: this one has no trained head."
        raise InputError(weights, f"the label {strange[0]!r}", "IOB2 tags", remedy)

    def encoder(instances: Sequence[Instance], batch_size: int) -> list[RawOutput]:
        ids, sentences = [item.id for item in instances], [item.tokens for item in instances]
        bf16 = entry["train"]["precision"] == "bf16"
        tagged = tag(
            model,
            tokenizer,
            ids,
            sentences,
            entry["max_length"],
            entry["subwords"],
            batch_size=batch_size,
            batch_tokens=entry["predict"]["batch_tokens"],
            bf16=bf16,
        )
        return list(tagged)

    return encoder


def _llm(entry: Tree, weights: Path, decoding: str) -> Predictor:
    from bioner.decoding.generate import generate
    from bioner.models.llm import load_trained

    model, tokenizer, task = load_trained(weights, entry)

    def llm(instances: Sequence[Instance], batch_size: int) -> list[RawOutput]:
        budget = entry["predict"]["tokens_per_word"]
        return list(generate(model, tokenizer, instances, task.types, decoding, batch_size, budget))

    return llm


def time_predictions(
    predictor: Predictor, instances: Sequence[Instance], sentences: int, batch_sizes: Sequence[int], repeats: int
) -> list[dict[str, Any]]:
    """Seconds a sentence on an evenly drawn sample: the median of `repeats` passes after one warm-up batch.

    Tokenization and decoding to tags or text are inside, loading the model is not. Copying results to the host
    synchronises the device, so the clock sees finished work.
    """
    count = min(sentences, len(instances))
    sample = [instances[position * len(instances) // count] for position in range(count)]
    rows = []
    for batch_size in batch_sizes:
        predictor(sample[:batch_size], batch_size)
        seconds = []
        for _ in range(repeats):
            start = time.perf_counter()
            predictor(sample, batch_size)
            seconds.append((time.perf_counter() - start) / count)
        median = pl.Series(seconds).median()
        rows.append({"batch": batch_size, "sentences": count, "repeats": repeats, "seconds_per_sample": median})
    return rows
