"""One training job from data to a finished folder: source, seed, threads, provenance; whole or not at all."""

import json
import os
import random
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import torch
import transformers

from bioner.config import Tree
from bioner.errors import InputError
from bioner.files import atomic_path
from bioner.instances import Instance
from bioner.models.hub import require_devices
from bioner.provenance import Stopwatch, provenance
from bioner.tables import write_table
from bioner.training.scratch import make_pretrained


@dataclass(frozen=True, slots=True)
class Job:
    """What to train: a catalogue entry on data, under a seed, in one of `processes` processes."""

    name: str
    entry: Tree
    train: Sequence[Instance]
    dev: Sequence[Instance]
    seed: int
    processes: int


@dataclass(frozen=True, slots=True)
class Trained:
    """What training leaves besides weights: history, facts for run.json, the number of trained parameters."""

    history: pl.DataFrame
    facts: dict[str, Any]
    parameters: int


def train(name: str, entry: Tree, train: Sequence[Instance], dev: Sequence[Instance], seed: int, out: Path) -> None:
    """Train one model and write `out/model/`, `out/history.csv` and `out/run.json`, the last one last.

    Raises InputError before anything is loaded where the entry asks for GPUs that are missing.
    """
    from bioner.training.encoder import train_encoder
    from bioner.training.llm import train_llm

    if entry["family"] == "control":
        raise InputError(
            name, "a control", "an encoder or an LLM", "Controls are not trained; go on with `bioner predict`."
        )
    require_devices(name, entry["resources"]["gpus"])
    processes = int(os.environ.get("WORLD_SIZE", 1))
    torch.set_num_threads(entry["resources"]["threads"])
    transformers.set_seed(seed)
    job = Job(name, entry, sample(train, entry["train"]["sentences"], seed), dev, seed, processes)
    watch = Stopwatch()
    with tempfile.TemporaryDirectory(prefix="bioner-train-") as scratch, atomic_path(out / "model") as model:
        source = make_pretrained(entry, job.train, seed, Path(scratch) / "source")
        run = train_encoder if entry["family"] == "encoder" else train_llm
        trained = run(job, source, Path(scratch) / "checkpoints", model)
    if int(os.environ.get("RANK", 0)) != 0:
        return
    write_table(out / "history.csv", trained.history)
    record = {
        "model": name,
        "seed": seed,
        "processes": processes,
        "train_instances": len(job.train),
        "dev_instances": len(dev),
        "trained_parameters": trained.parameters,
        **trained.facts,
        "settings": entry,
        **watch.costs(),
        **provenance(),
    }
    with atomic_path(out / "run.json") as path:
        path.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")


def sample(instances: Sequence[Instance], size: int | None, seed: int) -> list[Instance]:
    """`size` random instances in their order in the corpus, or all of them."""
    if size is None or size >= len(instances):
        return list(instances)
    chosen = sorted(random.Random(seed).sample(range(len(instances)), size))
    return [instances[position] for position in chosen]
