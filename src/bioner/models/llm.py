"""Trained LLMs on disk: adapter or weights, tokenizer, and what the model must be asked with; saved and loaded."""

import json
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from peft import PeftModel
from safetensors import SafetensorError
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from bioner.config import Tree
from bioner.errors import InputError
from bioner.models import TASK_FILE
from bioner.models.hub import load_causal_lm, load_llm_classifier, load_tokenizer
from bioner.models.spelling import Spelling, Style, make_room
from bioner.tags import tag_set

BASE = "base"  # folder of a base model that lives in no hub
ADAPTER = "adapter_config.json"


@dataclass(frozen=True, slots=True)
class Task:
    """What a trained LLM must be asked with, and its base model.

    The types in the prompt's order; how tags are spelled; whether it writes `lines` or classifies by a `head`.
    """

    types: list[str]
    base: str
    revision: str
    spelling: Style = "names"
    method: Literal["lines", "head"] = "lines"


def task_of(entry: Tree, types: list[str], source: str | Path, model: PreTrainedModel) -> Task:
    """The task of a model that is trained from `source`; the revision is the commit, where the hub named one."""
    base = BASE if entry["source"]["scratch"] else str(source)
    revision = getattr(model.config, "_commit_hash", None) or entry["source"]["revision"]
    method: Literal["lines", "head"] = "head" if entry["family"] == "llm-head" else "lines"
    return Task(types, base, revision, entry["tag_spelling"], method)


def save_trained(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, task: Task, source: str | Path, out: Path
) -> None:
    """Write a trained model, its tokenizer and its task to `out`; beside an adapter the base that no hub has."""
    if isinstance(model, PeftModel):
        if task.base == BASE:
            shutil.copytree(source, out / BASE)
        settings = model.peft_config["default"]
        settings.base_model_name_or_path, settings.revision = task.base, None if task.base == BASE else task.revision
    model.save_pretrained(str(out))
    tokenizer.save_pretrained(str(out))
    (out / TASK_FILE).write_text(json.dumps(asdict(task), indent=2) + "\n", encoding="utf-8")


def read_task(folder: Path) -> Task:
    """The task of a folder that training wrote."""
    try:
        return Task(**json.loads((folder / TASK_FILE).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        expected, remedy = f"a folder `model/` of a trained LLM with {TASK_FILE}", "Run `bioner train` first."
        raise InputError(folder, "another kind of folder", expected, remedy) from None


def load_trained(folder: Path, entry: Tree) -> tuple[PreTrainedModel, PreTrainedTokenizerBase, Task]:
    """Model, tokenizer and task of a folder that training wrote; adapters sit on their base.

    InputError where it was trained otherwise than the entry says.
    """
    task = read_task(folder)
    _check(folder, entry, task)
    tokenizer = load_tokenizer(folder)
    if entry["lora"] is None:
        return _load(folder, None, task, entry).eval(), tokenizer, task
    return attached(load_base(folder, entry, task, tokenizer), folder).eval(), tokenizer, task


def load_base(folder: Path, entry: Tree, task: Task, tokenizer: PreTrainedTokenizerBase) -> PreTrainedModel:
    """What the adapter of a folder sits on."""
    source, revision = (folder / BASE, None) if task.base == BASE else (task.base, task.revision)
    base = _load(source, revision, task, entry)
    make_room(base, tokenizer, Spelling(task.types, task.spelling).add_to(tokenizer))
    return base


def attached(base: PreTrainedModel, folder: Path) -> PreTrainedModel:
    """The base with the adapter of a folder."""
    try:
        return PeftModel.from_pretrained(base, str(folder))
    except (OSError, ValueError, RuntimeError, KeyError, TypeError, SafetensorError) as error:
        reason = str(error).strip().splitlines()[0]
        found, expected = f"an adapter that does not fit ({reason})", f"one for {base.config.name_or_path}"
        raise InputError(folder, found, expected, "Check that the folder is whole, and its base the same.") from None


def _load(source: str | Path, revision: str | None, task: Task, entry: Tree) -> PreTrainedModel:
    gpus = entry["resources"]["predict_gpus"]
    if task.method == "head":
        return load_llm_classifier(source, entry, gpus, tag_set(task.types), revision)
    return load_causal_lm(source, entry, gpus, revision)


def _check(folder: Path, entry: Tree, task: Task) -> None:
    hub, family = entry["source"]["hub"], "llm-head" if task.method == "head" else "llm"
    if entry["family"] != family:
        remedy = "Correct --weights, or the model's name."
        raise InputError(folder, f"a model of the family {family!r}", f"one of {entry['family']!r}", remedy)
    if hub and task.base not in (BASE, hub):
        found, expected = f"a model trained from {task.base}", f"one trained from {hub}, as the entry says"
        raise InputError(folder, found, expected, "Correct --weights, or the model's name.")
    is_adapter = (folder / ADAPTER).is_file()
    if is_adapter != (entry["lora"] is not None):
        found, expected = ("an adapter", "whole weights") if is_adapter else ("no adapter", "one (lora)")
        remedy = "Set lora (and quantization) of the entry as the model was trained; null for a merged one."
        raise InputError(folder, found, f"{expected}, as the entry says", remedy)
