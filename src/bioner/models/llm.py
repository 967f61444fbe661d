"""LLMs: training examples of token:TAG lines, adapters, and loading what training left behind."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from peft import LoraConfig, PeftModel, get_peft_model, prepare_model_for_kbit_training
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from bioner.config import Tree
from bioner.errors import InputError
from bioner.instances import Instance
from bioner.models import IGNORED, TASK_FILE
from bioner.models.hub import load_causal_lm, load_tokenizer
from bioner.models.prompt import prompt_ids, response_ids

BASE = "base"  # folder of a base model that lives in no hub


@dataclass(frozen=True, slots=True)
class Task:
    """What a trained LLM must be asked with: the types in the prompt's order, and its base model."""

    types: list[str]
    base: str
    revision: str


def example(tokenizer: PreTrainedTokenizerBase, instance: Instance, types: Sequence[str]) -> dict[str, list[int]]:
    """A training example; the loss is on the response alone, prompt ids are ignored."""
    return supervised(
        prompt_ids(tokenizer, instance.tokens, types), response_ids(tokenizer, instance.tokens, instance.tags)
    )


def supervised(prompt: list[int], response: list[int]) -> dict[str, list[int]]:
    """Ids of a prompt and its response as a training example, labels on the response."""
    ids = prompt + response
    return {"input_ids": ids, "attention_mask": [1] * len(ids), "labels": [IGNORED] * len(prompt) + response}


def with_adapter(model: PreTrainedModel, entry: Tree) -> PreTrainedModel:
    """The model ready to train: with LoRA adapters where the entry has them, else as it is."""
    lora = entry["lora"]
    if lora is None:
        return model
    if entry["quantization"]:
        model = prepare_model_for_kbit_training(model, use_gradient_checkpointing=False)
    if entry["train"]["checkpointing"]:
        model.enable_input_require_grads()
    return get_peft_model(
        model,
        LoraConfig(
            task_type="CAUSAL_LM",
            r=lora["r"],
            lora_alpha=lora["alpha"],
            lora_dropout=lora["dropout"],
            target_modules=lora["targets"],
            modules_to_save=lora["save_whole"] or None,
            ensure_weight_tying=bool(lora["save_whole"]),
        ),
    )


def save_task(folder: Path, task: Task) -> None:
    """Write what `load_trained` needs beside the weights."""
    record = {"types": task.types, "base": task.base, "revision": task.revision}
    (folder / TASK_FILE).write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")


def load_trained(folder: Path, entry: Tree) -> tuple[PreTrainedModel, PreTrainedTokenizerBase, Task]:
    """Model, tokenizer and task of a folder that training wrote; adapters sit on their base."""
    try:
        task = Task(**json.loads((folder / TASK_FILE).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        expected, remedy = f"a folder `model/` of a trained LLM with {TASK_FILE}", "Run `bioner train` first."
        raise InputError(folder, "another kind of folder", expected, remedy) from None
    gpus = entry["resources"]["predict_gpus"]
    base = folder / BASE if task.base == BASE else task.base
    tokenizer = load_tokenizer(folder)
    if entry["lora"] is None:
        model = load_causal_lm(folder, entry, gpus)
    else:
        model = PeftModel.from_pretrained(load_causal_lm(base, entry, gpus, task.revision), str(folder))
    return model.eval(), tokenizer, task
