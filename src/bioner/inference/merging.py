"""A trained adapter merged into its base: one model that needs neither peft nor bitsandbytes."""

import gc
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from itertools import compress
from pathlib import Path

import torch
from transformers import Conv1D, PreTrainedModel, PreTrainedTokenizerBase

from bioner.data.instances import Instance
from bioner.data.tags import tag_set
from bioner.errors import InputError
from bioner.inference.decoding.drafts import TABLE_FILE
from bioner.io.checksums import listing
from bioner.io.files import atomic_path, write_json
from bioner.models import IGNORED
from bioner.models.answer_trie import AnswerTrie
from bioner.models.llm import Task, load_trained, read_task, save_trained
from bioner.models.llm_examples import Examples, Features, Loss
from bioner.models.positions import readable_ids
from bioner.settings.model_entry import ModelEntry


@dataclass(frozen=True, slots=True)
class Agreement:
    """How often two models would write the same next piece, given the gold answer so far.

    Shares are of all pieces (`answer`) and of those that decide between tags (`tags`); None if
    there are no such pieces.
    """

    sentences: int
    answer_pieces: int
    answer: float | None
    tag_pieces: int
    tags: float | None


def merge(folder: Path, entry: ModelEntry, out: Path, dev: Sequence[Instance]) -> Agreement:
    """Write the adapter of `folder` and its base to `out` as one bf16 model.

    Returns:
        The agreement of the merged model with the unmerged one on `dev`.
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
    readable = readable_ids(model)
    answers = _examples(tokenizer, task, "response", dev, readable)
    deciding = _examples(tokenizer, task, "tags", dev, readable)
    before = _choices(model, answers)
    del model
    gc.collect()
    merged = load_trained(folder, entry, merged=True)[0].to(torch.bfloat16)
    agreement = _agreement(before, _choices(merged, answers), deciding)
    packages = ("bioner-bench", "torch", "transformers", "peft")
    record = {
        "agreement": asdict(agreement),
        "adapter": listing(folder),
        "base": task.base,
        "revision": task.revision,
        "versions": {package: version(package) for package in packages},
    }
    with atomic_path(out) as path:
        path.mkdir()
        whole = task.entry.changed(train={"precision": "bf16"})
        whole = whole.model_copy(update={"lora": None, "quantization": None})
        save_trained(merged, tokenizer, replace(task, entry=whole), folder, path)
        write_json(path / "merge.json", record)
        if (folder / TABLE_FILE).is_file():
            shutil.copy(folder / TABLE_FILE, path)
    return agreement


def _examples(
    tokenizer: PreTrainedTokenizerBase,
    task: Task,
    loss: Loss,
    dev: Sequence[Instance],
    readable: int,
) -> list[Features]:
    """Make examples of the sentences that have at most `readable` ids."""
    lines = AnswerTrie(tokenizer, tag_set(task.types), verbalizer=task.verbalizer)
    make = Examples(tokenizer, task.types, lines, loss, 1)
    whole = (make.example(instance) for instance in dev)
    return [features for features in whole if len(features["input_ids"]) <= readable]


@torch.inference_mode()
def _choices(model: PreTrainedModel, examples: Sequence[Features]) -> list[list[int]]:
    """Return the likeliest id at every place of each answer, given the gold ids before it."""
    found = []
    for features in examples:
        places = [place - 1 for place, label in enumerate(features["labels"]) if label != IGNORED]
        ids = torch.tensor([features["input_ids"]], device=model.device)
        found.append(model(input_ids=ids).logits[0, places].argmax(-1).tolist())
    return found


def _agreement(
    before: Sequence[list[int]], after: Sequence[list[int]], deciding: Sequence[Features]
) -> Agreement:
    """Compare ids of two models; `deciding` has labels at the places that decide between tags."""
    same = [
        left == right
        for one, other in zip(before, after, strict=True)
        for left, right in zip(one, other, strict=True)
    ]
    decides = [
        label != IGNORED
        for ids, features in zip(before, deciding, strict=True)
        for label in features["labels"][-len(ids) :]
    ]
    same_tags = list(compress(same, decides))

    def share(of: list[bool]) -> float | None:
        return sum(of) / len(of) if of else None

    return Agreement(len(before), len(same), share(same), len(same_tags), share(same_tags))
