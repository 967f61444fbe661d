"""Trained LLMs on disk: adapter or weights, tokenizer, and what the model must be asked with; saved
and loaded.
"""

import json
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from peft import PeftModel, get_peft_model_state_dict
from safetensors import SafetensorError, safe_open
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from bioner.data.tags import tag_set
from bioner.errors import InputError, reason_of
from bioner.models import TASK_FILE
from bioner.models.hub import load_causal_lm, load_llm_classifier, load_tokenizer
from bioner.models.verbalizer import Verbalizer, resize_for_tags
from bioner.settings.catalogue import complete_entry
from bioner.settings.config import Tree

BASE = "base"  # folder of a base model that lives in no hub
ADAPTER, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"


# What of an entry a trained model is asked with, and what of that must be the same in the entry
# that it is used under.
ASKED = (
    "family",
    "max_length",
    "label_subwords",
    "attention",
    "verbalizer",
    "quantization",
    "lora",
)
SAME = ("family", "label_subwords", "attention", "verbalizer", "quantization", "lora")


@dataclass(frozen=True, slots=True)
class Task:
    """What a trained LLM must be asked with, and its base model.

    `types` in the prompt's order; `settings` are those of its catalogue entry that make a
    difference to answers, so that a folder that was moved is used as it was trained.
    """

    types: list[str]
    base: str
    revision: str
    settings: Tree

    @property
    def verbalizer(self) -> Verbalizer:
        """How it writes tags."""
        return Verbalizer(self.types, self.settings["verbalizer"])


def task_of(entry: Tree, types: list[str], source: str | Path, model: PreTrainedModel) -> Task:
    """The task of a model that is trained from `source`; the revision is the commit, where the hub
    named one.
    """
    base = BASE if entry["source"]["scratch"] else str(source)
    revision = getattr(model.config, "_commit_hash", None) or entry["source"]["revision"]
    settings = {name: entry[name] for name in ASKED}
    settings |= {"train": {"precision": entry["train"]["precision"]}}
    settings |= {"predict": {"legal_transitions": entry["predict"]["legal_transitions"]}}
    return Task(types, base, revision, settings)


def save_trained(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    task: Task,
    source: str | Path,
    out: Path,
) -> None:
    """Write a trained model, its tokenizer and its task to `out`; beside an adapter the base that
    no hub has.
    """
    if isinstance(model, PeftModel):
        if task.base == BASE:
            shutil.copytree(source, out / BASE)
        settings = model.peft_config["default"]
        settings.base_model_name_or_path, settings.revision = (
            task.base,
            None if task.base == BASE else task.revision,
        )
    model.save_pretrained(str(out))
    tokenizer.save_pretrained(str(out))
    (out / TASK_FILE).write_text(json.dumps(asdict(task), indent=2) + "\n", encoding="utf-8")


def read_task(folder: Path) -> Task:
    """The task of a folder that training wrote."""
    remedy = "Name the `model/` of a finished training, or train again."
    expected = f"{TASK_FILE} as `bioner train` wrote it"
    try:
        task = Task(**json.loads((folder / TASK_FILE).read_text(encoding="utf-8")))
        described = {"source": {"hub": task.base}, **task.settings}
        sound = (
            task.types
            and all(type(name) is str for name in task.types)
            and task.settings.keys() >= set(ASKED)
        )
    except OSError:
        raise InputError(folder, f"no {TASK_FILE}", "the folder of a trained LLM", remedy) from None
    except (ValueError, TypeError, AttributeError):
        sound, described = False, {}
    if not sound:
        raise InputError(folder / TASK_FILE, "something else", expected, remedy)
    complete_entry("models", folder.name, described, folder / TASK_FILE)
    return task


def load_trained(
    folder: Path, entry: Tree
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase, Task]:
    """Model, tokenizer and task of a folder that training wrote; adapters sit on their base.

    InputError where it was trained otherwise than the entry says.
    """
    task = read_task(folder)
    check_task(folder, entry, task)
    tokenizer = load_tokenizer(folder)
    if entry["lora"] is None:
        return _load(folder, None, task, entry, "auto").eval(), tokenizer, task
    return attached(load_base(folder, entry, task, tokenizer), folder).eval(), tokenizer, task


def load_base(
    folder: Path, entry: Tree, task: Task, tokenizer: PreTrainedTokenizerBase
) -> PreTrainedModel:
    """What the adapter of a folder sits on."""
    source, revision = (folder / BASE, None) if task.base == BASE else (task.base, task.revision)
    base = _load(source, revision, task, entry)
    if task.settings["family"] == "llm":
        resize_for_tags(base, tokenizer, task.verbalizer.add_to(tokenizer))
    return base


def attached(base: PreTrainedModel, folder: Path) -> PreTrainedModel:
    """The base with the adapter of a folder."""
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
        found = f"an adapter that does not fit ({reason_of(error)})"
        raise InputError(folder, found, expected, remedy) from None
    if apart:  # peft leaves out what is too much, and draws at random what lacks
        raise InputError(folder, f"an adapter that does not fit ({apart[0]})", expected, remedy)
    return model


def _load(
    source: str | Path,
    revision: str | None,
    task: Task,
    entry: Tree,
    dtype: Literal["auto"] | None = None,
) -> PreTrainedModel:
    """With `auto` in the number format in which it was saved: weights that were trained
    themselves.
    """
    gpus = entry["resources"]["predict_gpus"]
    if task.settings["family"] == "llm-head":
        return load_llm_classifier(source, entry, gpus, tag_set(task.types), revision, dtype)
    return load_causal_lm(source, entry, gpus, revision, dtype)


def check_task(folder: Path, entry: Tree, task: Task) -> None:
    """InputError where a model was trained from another base, or otherwise, than the entry says."""
    hub, remedy = entry["source"]["hub"], "Correct --weights, or the model's name or entry."
    if hub and task.base not in (BASE, hub):
        found, expected = (
            f"a model trained from {task.base}",
            f"one trained from {hub}, as the entry says",
        )
        raise InputError(folder, found, expected, remedy)
    for name in SAME:
        trained, asked = (json.dumps(settings[name]) for settings in (task.settings, entry))
        if json.loads(trained) != json.loads(asked):
            found, expected = (
                f"a model trained with {name} {trained}",
                f"{asked}, as the entry says",
            )
            raise InputError(folder, found, expected, remedy)
