"""Trained models on disk: weights or an adapter, the tokenizer, and what they were trained for."""

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from peft import PeftModel, get_peft_model_state_dict
from pydantic import Field, ValidationError
from safetensors import SafetensorError, safe_open
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from bioner.data.tags import tag_set
from bioner.errors import InputError, reason_of
from bioner.io.records import Record
from bioner.models import TASK_FILE
from bioner.models.decoder_head import DecoderWithHead
from bioner.models.fused_norms import fuse_norms
from bioner.models.model_files import weight_checksums
from bioner.models.pretrained import (
    load_causal_lm,
    load_llm_classifier,
    load_tokenizer,
    precision_of,
)
from bioner.models.verbalizer import Verbalizer, resize_for_tags
from bioner.settings.catalogue import parse_entry
from bioner.settings.model_entry import ModelEntry

BASE = "base"  # folder of a base model that is not on the hub
WEIGHTS = "adapter_model.safetensors"

# Settings of an entry that a trained model's answers depend on, and those that must stay the same.
ASKED = (
    "family",
    "max_length",
    "label_subwords",
    "attention",
    "repeat",
    "verbalizer",
    "quantization",
    "lora",
)
SAME = tuple(name for name in ASKED if name != "max_length")


@dataclass(frozen=True, slots=True)
class Task:
    """What a model was trained for, and its base model.

    With it, a folder that was moved is used as it was trained.

    Attributes:
        types: Entity types, in the prompt's order.
        base: Hub id or folder of the base model.
        revision: The hub's commit.
        entry: The catalogue entry it was trained with, as far as its answers depend on it.
        base_weights: SHA-256 of each file of a base in a folder; empty for the hub's.
    """

    types: list[str]
    base: str
    revision: str | None
    entry: ModelEntry
    base_weights: Mapping[str, str] = field(default_factory=dict)

    @property
    def verbalizer(self) -> Verbalizer:
        """How the model writes tags."""
        return Verbalizer(self.types, self.entry.verbalizer)

    def file(self) -> "TaskFile":
        """Return the content of its file."""
        settings = _asked(self.entry) | {
            "train": {"precision": self.entry.train.precision},
            "predict": {"legal_transitions": self.entry.predict.legal_transitions},
        }
        if self.entry.source.trust_remote_code and self.entry.lora:  # code of the base
            source = self.entry.source.canonical()
            settings["source"] = {**source, "hub": self.base, "revision": self.revision}
        return TaskFile(
            types=self.types,
            base=self.base,
            revision=self.revision,
            settings=settings,
            base_weights=dict(self.base_weights),
        )


class TaskFile(Record):
    """A task as it lies next to the weights; of the entry's settings, those in ASKED and below."""

    types: list[str] = Field(min_length=1)
    base: str
    revision: str | None
    settings: dict[str, Any]
    base_weights: dict[str, str] = Field(default_factory=dict)


def _asked(entry: ModelEntry) -> dict[str, Any]:
    tree = entry.canonical() | {"repeat": entry.repeat}  # left out of the former if it is 1
    return {name: tree[name] for name in ASKED}


def task_of(
    entry: ModelEntry,
    types: list[str],
    source: str | Path,
    model: PreTrainedModel | DecoderWithHead,
    base_weights: Mapping[str, str],
) -> Task:
    """Return the task of a model trained from `source`, at the hub's commit if it named one."""
    base = BASE if entry.source.scratch else str(source)
    revision = getattr(model.config, "_commit_hash", None) or entry.source.revision
    return Task(types, base, revision, entry, base_weights)


def save_trained(
    model: PreTrainedModel | DecoderWithHead,
    tokenizer: PreTrainedTokenizerBase,
    task: Task,
    source: str | Path,
    out: Path,
) -> None:
    """Write a trained model, its tokenizer and its task to `out`.

    A base that is not on the hub is copied next to its adapter.
    """
    if isinstance(model, DecoderWithHead):
        model.save_head(out)
        model = model.decoder
    if isinstance(model, PeftModel):
        if task.base == BASE:
            shutil.copytree(source, out / BASE)
        settings = model.peft_config["default"]
        settings.base_model_name_or_path = task.base
        settings.revision = None if task.base == BASE else task.revision
    model.save_pretrained(str(out))
    tokenizer.save_pretrained(str(out))
    (out / TASK_FILE).write_text(task.file().model_dump_json(indent=2) + "\n", encoding="utf-8")


def read_task(folder: Path) -> Task:
    """Read the task of a folder that training wrote."""
    remedy = "Name the `model/` of a finished training, or train again."
    path = folder / TASK_FILE
    try:
        file = TaskFile.model_validate_json(path.read_bytes())
    except OSError:
        raise InputError(folder, f"no {TASK_FILE}", "the folder of a trained LLM", remedy) from None
    except ValidationError:
        file = None
    if file is None or not file.settings.keys() >= set(ASKED) - {"repeat"}:  # older files lack it
        raise InputError(path, "something else", f"{TASK_FILE} as `bioner train` wrote it", remedy)
    described = {"source": {"hub": file.base}, **file.settings}
    entry = parse_entry(ModelEntry, folder.name, described, path)
    return Task(file.types, file.base, file.revision, entry, file.base_weights)


def load_trained(
    folder: Path, entry: ModelEntry, merged: bool = False
) -> tuple[PreTrainedModel | DecoderWithHead, PreTrainedTokenizerBase, Task]:
    """Load model, tokenizer and task of a folder that training wrote.

    Args:
        merged: Merge an adapter into its base, and hold all weights (but those of a head, which
            are fp32) in the precision of training. The base is dequantised first: the adapter was
            trained with its 4-bit weights and fits these, not the original ones. Rounding the sum
            to 4 bits again would lose more.

    Raises:
        InputError: it was trained with other settings than the entry's, or its base has changed.
    """
    task = read_task(folder)
    _check_task(folder, entry, task)
    tokenizer = load_tokenizer(folder, entry=entry)
    if entry.lora:
        _check_base(folder, task)
    model = _load(folder, task, entry, merged)
    if isinstance(model, DecoderWithHead):
        model.load_head(folder)
        if entry.lora:
            model.decoder = _adapted(model.decoder, folder, entry, merged)
    elif entry.lora:
        resize_for_tags(model, tokenizer, task.verbalizer.add_to(tokenizer))
        model = _adapted(model, folder, entry, merged)
    if merged:
        fuse_norms(model)
    return model.eval(), tokenizer, task


def _adapted(
    base: PreTrainedModel, folder: Path, entry: ModelEntry, merged: bool
) -> PreTrainedModel:
    """Return the base with the adapter of a folder, attached or merged."""
    if not merged:
        return _attached(base, folder)
    model = _attached(base.dequantize() if entry.quantization else base, folder).merge_and_unload()
    for values in model.parameters():  # not buffers: positions need fp32 frequencies
        values.data = values.data.to(precision_of(entry))
    return model


def _attached(base: PreTrainedModel, folder: Path) -> PreTrainedModel:
    expected, remedy = (
        f"one for {base.config.name_or_path}",
        "Check that the folder is whole, and its base the same.",
    )
    if not (folder / WEIGHTS).is_file():
        raise InputError(folder, f"no {WEIGHTS}", "the weights of an adapter", remedy)
    try:
        model = PeftModel.from_pretrained(base, str(folder))
        with safe_open(folder / WEIGHTS, "pt") as saved:
            apart = sorted(
                set(saved.keys())
                ^ get_peft_model_state_dict(model, save_embedding_layers=False).keys()
            )
    except (
        OSError,
        ValueError,
        RuntimeError,
        KeyError,
        TypeError,
        AttributeError,
        SafetensorError,
    ) as error:
        raise InputError(
            folder, f"an adapter that does not fit ({reason_of(error)})", expected, remedy
        ) from None
    if apart:  # peft drops surplus weights and initialises missing ones
        raise InputError(folder, f"an adapter that does not fit ({apart[0]})", expected, remedy)
    return model


def _load(
    folder: Path, task: Task, entry: ModelEntry, merged: bool
) -> PreTrainedModel | DecoderWithHead:
    """Load the base of an adapter, or whole weights as saved or, if merged, rounded to bf16."""
    source, revision = task.base, task.revision
    if entry.lora is None:
        source, revision = str(folder), None
    elif task.base == BASE:
        source, revision = str(folder / BASE), None
    form = (source, entry, entry.resources.predict_gpus)
    # None means the precision; trained weights are never widened to it.
    rounded = entry.lora or (merged and entry.train.precision == "bf16")
    dtype: Literal["auto"] | None = None if rounded else "auto"
    if task.entry.family == "llm-head":
        return load_llm_classifier(*form, tag_set(task.types), revision, dtype)
    return load_causal_lm(*form, revision, dtype)


def _check_base(folder: Path, task: Task) -> None:
    """Raise InputError if a local base is not there, or not what an adapter was trained on."""
    base = Path(task.base)
    if not task.base_weights:
        return
    if not base.is_dir():  # transformers would look for one of this name on the hub
        raise InputError(
            folder,
            f"an adapter, and no folder {base} with the base it was trained on",
            "that folder, at this path from where the command starts",
            f"Put it there, or correct `base` in {TASK_FILE}.",
        )
    if weight_checksums(base) != task.base_weights:
        raise InputError(
            folder,
            f"an adapter, and other weights in {base} than it was trained on",
            f"those whose SHA-256 {TASK_FILE} has (base_weights)",
            "Put them back, or train again.",
        )


def _check_task(folder: Path, entry: ModelEntry, task: Task) -> None:
    """Raise InputError if a model was not trained as the entry says, or from another base."""
    hub, remedy = entry.source.hub, "Correct --weights, or the model's name or entry."
    if hub and task.base not in (BASE, hub):
        raise InputError(
            folder,
            f"a model trained from {task.base}",
            f"one trained from {hub}, as the entry says",
            remedy,
        )
    trained, wanted = _asked(task.entry), _asked(entry)
    for name in SAME:
        if trained[name] != wanted[name]:
            raise InputError(
                folder,
                f"a model trained with {name} {json.dumps(trained[name])}",
                f"{json.dumps(wanted[name])}, as the entry says",
                remedy,
            )
