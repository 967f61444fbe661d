"""A trained adapter merged into its base: one model that needs neither peft nor bitsandbytes."""

import gc
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from bioner.data.instances import Instance
from bioner.data.tags import tag_set
from bioner.errors import InputError
from bioner.io.checksums import listing
from bioner.io.files import atomic_path
from bioner.models import IGNORED
from bioner.models.answer_trie import AnswerTrie
from bioner.models.hub import load_tokenizer
from bioner.models.llm import (
    Task,
    attached,
    check_task,
    load_base,
    load_trained,
    read_task,
    save_trained,
)
from bioner.models.llm_examples import Examples, Features, Loss
from bioner.models.output_layer import Layer, output_layer
from bioner.settings.config import Tree

LOSSES: tuple[Loss, Loss] = (
    "response",
    "tags",
)  # whose labels mark the pieces of an answer, and those that decide


@dataclass(frozen=True, slots=True)
class Agreement:
    """How often two models would write the same next piece, given the gold answer so far.

    Shares are of the pieces of all answers (`answer`) and of those that decide between tags
    (`tags`); None of no piece.
    """

    sentences: int
    answer_pieces: int
    answer: float | None
    tag_pieces: int
    tags: float | None


def merge(folder: Path, entry: Tree, out: Path, dev: Sequence[Instance]) -> Agreement:
    """Write the adapter of `folder` and its base to `out` as one bf16 model; returns how it agrees
    with the unmerged.

    The base is dequantised first: the adapter learned beside its 4-bit weights, so these, and not
    the original ones, are what it fits. Rounding the sum to 4 bits again would lose more.
    """
    task = read_task(folder)
    is_head = entry["family"] == "llm-head"
    if is_head or entry["lora"] is None:
        found = "a model with a head" if is_head else "whole weights"
        raise InputError(
            folder, found, "an LLM with an adapter that writes lines", "There is nothing to merge."
        )
    tokenizer = load_tokenizer(folder)
    answers, deciding = (_examples(tokenizer, task, loss, dev) for loss in LOSSES)
    before = _choices(load_trained(folder, entry)[0], answers)
    gc.collect()
    merged = _merged(folder, entry, task, tokenizer).to(torch.bfloat16)
    agreement = _agreement(before, _choices(merged, answers), deciding)
    made_of = {"adapter": listing(folder), "base": task.base, "revision": task.revision}
    versions = {
        package: version(package) for package in ("bioner-bench", "torch", "transformers", "peft")
    }
    record: dict[str, Any] = {"agreement": asdict(agreement), **made_of, "versions": versions}
    with atomic_path(out) as path:
        path.mkdir()
        whole = {"lora": None, "quantization": None, "train": {"precision": "bf16"}}
        save_trained(merged, tokenizer, replace(task, settings=task.settings | whole), folder, path)
        (path / "merge.json").write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    return agreement


def load_merged(folder: Path, entry: Tree) -> tuple[PreTrainedModel, PreTrainedTokenizerBase, Task]:
    """A trained LLM without its adapter's detours, in the precision it was trained in: as `merge`
    writes it.
    """
    if entry["lora"] is None:
        return load_trained(folder, entry)
    task, tokenizer = read_task(folder), load_tokenizer(folder)
    check_task(folder, entry, task)
    precision = {"bf16": torch.bfloat16, "fp32": torch.float32}[entry["train"]["precision"]]
    return _merged(folder, entry, task, tokenizer).to(precision), tokenizer, task


def _merged(
    folder: Path, entry: Tree, task: Task, tokenizer: PreTrainedTokenizerBase
) -> PreTrainedModel:
    base = load_base(folder, entry, task, tokenizer)
    if entry["quantization"]:
        base = base.dequantize()
    return attached(base, folder).merge_and_unload().eval()


def _examples(
    tokenizer: PreTrainedTokenizerBase, task: Task, loss: Loss, dev: Sequence[Instance]
) -> list[Features]:
    lines = AnswerTrie(tokenizer, tag_set(task.types), verbalizer=task.verbalizer)
    make = Examples(tokenizer, task.types, lines, loss, 1)
    return [make.example(instance) for instance in dev]


@torch.inference_mode()
def _choices(model: PreTrainedModel, examples: Sequence[Features]) -> list[list[int]]:
    """The likeliest id at every place of an answer, given the gold ids before it."""
    found = []
    for features in examples:
        places = [place - 1 for place, label in enumerate(features["labels"]) if label != IGNORED]

        def chosen(
            hidden: torch.Tensor,
            layer: Layer,
            plain: torch.nn.Linear | None,
            at: list[int] = places,
        ) -> Any:
            return layer(hidden[:, at])

        with output_layer(model, chosen):
            logits = model(
                input_ids=torch.tensor([features["input_ids"]], device=model.device)
            ).logits
        found.append(logits[0].argmax(-1).tolist())
    return found


def _agreement(
    before: Sequence[list[int]], after: Sequence[list[int]], deciding: Sequence[Features]
) -> Agreement:
    """`deciding` has labels at the places that decide between tags."""
    same: list[bool] = []
    same_tags: list[bool] = []
    for one, other, features in zip(before, after, deciding, strict=True):
        labels = features["labels"][-len(one) :]
        equal = [left == right for left, right in zip(one, other, strict=True)]
        same += equal
        same_tags += [
            is_same for is_same, label in zip(equal, labels, strict=True) if label != IGNORED
        ]

    def share(of: list[bool]) -> float | None:
        return sum(of) / len(of) if of else None

    return Agreement(len(before), len(same), share(same), len(same_tags), share(same_tags))
