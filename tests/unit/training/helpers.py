"""What the tests of training share: a job cut short at will, and what two trainings are compared
by.
"""

import json
from collections.abc import Callable
from pathlib import Path

import polars as pl
import torch
from transformers import AutoConfig, AutoModelForCausalLM

from bioner.models.pretrained import load_tokenizer
from bioner.settings.catalogue import load_models, parse_entry
from bioner.settings.config import load_config, merged
from bioner.settings.model_entry import ModelEntry, Scratch
from bioner.training.job import TrainingJob
from bioner.training.progress import Progress
from bioner.training.scratch import make_pretrained
from bioner.training.workspace import WORKSPACE

CATALOGUE = load_models(load_config({}))
TIMES = ["seconds", "tokens_per_second", "peak_memory_gb", "peak_gpu_memory_gb"]


def recipe(name: str, source: Path, **changes) -> ModelEntry:
    """The catalogue's entry of a real model, on a small one and on the CPU."""
    small = {
        "source": {"hub": str(source), "revision": "main"},
        "resources": {"gpus": 0, "predict_gpus": 0, "threads": 1},
    }
    few = {"train": {"epochs": 1, "batch_size": 4, "micro_batch_size": 2, "learning_rate": 1e-3}}
    return parse_entry(
        ModelEntry, name, merged(CATALOGUE[name].canonical(), merged(merged(small, few), changes))
    )


class Crash(BaseException):
    """What kill -9 leaves behind: nothing of what comes after is done."""


def results(folder: Path, file: str = "model.safetensors") -> tuple[bytes, list[tuple], dict]:
    """What may not differ: weights, history without times, which epoch was kept."""
    weights = (folder / "model" / file).read_bytes()
    history = pl.read_csv(folder / "history.csv").drop(TIMES).rows()
    return weights, history, json.loads((folder / "run.json").read_text())["kept"]


def at_step(monkeypatch, number: int, action: Callable[[], None]) -> None:
    """Do something in the forward pass of this number, counted over all epochs of this session."""
    count, add_loss = [0], Progress.add_loss

    def counted(self, loss):
        count[0] += 1
        if count[0] == number:
            action()
        add_loss(self, loss)

    monkeypatch.setattr(Progress, "add_loss", counted)


def crash() -> None:
    raise Crash


def steps_at_hand(folder: Path) -> list[int]:
    return sorted(
        int(path.name.split("-")[1])
        for path in (folder / WORKSPACE / "checkpoints").glob("checkpoint-*")
    )


def a_second_a_pass(monkeypatch) -> None:
    """A clock for training that stands still but for a second a forward pass."""
    now, add_loss = [0.0], Progress.add_loss

    def counted(self, loss):
        now[0] += 1
        add_loss(self, loss)

    monkeypatch.setattr("bioner.training.progress.time.monotonic", lambda: now[0])
    monkeypatch.setattr(Progress, "add_loss", counted)


DATA = {"dataset": "made-up", "train": "1" * 64, "dev": "2" * 64}


def with_settings(entry: ModelEntry, **changes) -> ModelEntry:
    """The entry with other values, checked like any entry."""
    return parse_entry(ModelEntry, "tiny", merged(entry.canonical(), changes))


def job_of(entry: ModelEntry, sentences: list, **changes) -> TrainingJob:
    return TrainingJob("tiny", with_settings(entry, **changes), sentences, sentences, 7, data=DATA)


def stand_in(folder: Path, architecture: str, sentences: list, **changes) -> Path:
    """A tiny pretrained LLM in Hugging Face form, as a hub's snapshot is: sizes are multiples of
    32, as 4 bits want.
    """
    scratch = Scratch(architecture="llama", vocabulary=512, config=SMALL)
    make_pretrained(scratch, sentences, 1, folder)
    tokenizer = load_tokenizer(folder)
    settings = (
        SMALL
        | {"vocab_size": 32 * -(-len(tokenizer) // 32), "tie_word_embeddings": False}
        | changes
    )
    ends = {
        name: getattr(tokenizer, name) for name in ("bos_token_id", "eos_token_id", "pad_token_id")
    }
    torch.manual_seed(1)
    config = AutoConfig.for_model(architecture, **settings, **ends)
    AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    return folder


SMALL = {
    "hidden_size": 64,
    "num_hidden_layers": 1,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "intermediate_size": 96,
}
