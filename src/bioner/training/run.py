"""One training job from data to a finished folder: source, seed, threads, processes, provenance."""

import json
import random
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch
import transformers
from accelerate import PartialState

from bioner.catalogue import TRAINED
from bioner.config import Tree
from bioner.errors import InputError
from bioner.files import atomic_path
from bioner.instances import Instance
from bioner.models.hub import require_devices
from bioner.provenance import Stopwatch, provenance
from bioner.tables import write_table
from bioner.training.encoder import train_encoder
from bioner.training.job import Job, Trained
from bioner.training.llm import train_llm
from bioner.training.scratch import make_pretrained


def train(name: str, entry: Tree, train: Sequence[Instance], dev: Sequence[Instance], seed: int, out: Path) -> None:
    """Train one model and write `out/model/`, `out/history.csv` and `out/run.json`, the last one last.

    Runs in every process that accelerate or torchrun started; the main one writes. Raises InputError before anything is
    loaded where the entry asks for GPUs that are missing.
    """
    if entry["family"] not in TRAINED:
        remedy = "It needs no training; go on with `bioner predict` or `bioner ensemble`."
        raise InputError(name, f"the family {entry['family']!r}", "an encoder or an LLM", remedy)
    for split, instances in (("train", train), ("dev", dev)):
        if not instances:
            raise InputError(
                f"{name}: {split} split", "no instance", "at least one", "Remake it with `bioner normalize`."
            )
    require_devices(name, entry["resources"]["gpus"])
    torch.set_num_threads(entry["resources"]["threads"])
    transformers.set_seed(seed)
    processes = PartialState(cpu=entry["resources"]["gpus"] == 0)
    job = Job(name, entry, sample(train, entry["train"]["sentences"], seed), dev, seed, processes.num_processes)
    watch = Stopwatch()
    with _workspace(out, processes) as workspace:
        source = make_pretrained(entry, job.train, seed, workspace / "source")
        processes.wait_for_everyone()  # transformers saves in the main process alone
        run = train_encoder if entry["family"] == "encoder" else train_llm
        trained = run(job, source, workspace / "checkpoints", workspace / "model")
        processes.wait_for_everyone()
        if processes.is_main_process:
            _publish(job, trained, workspace / "model", out, watch)


@contextmanager
def _workspace(out: Path, processes: PartialState) -> Iterator[Path]:
    """A folder that all processes of the job share, empty at the start and gone at the end."""
    workspace = out / ".training"
    if processes.is_main_process:
        shutil.rmtree(workspace, ignore_errors=True)
        (workspace / "model").mkdir(parents=True)
    processes.wait_for_everyone()
    try:
        yield workspace
    finally:
        if processes.is_main_process:
            shutil.rmtree(workspace, ignore_errors=True)
            if not any(out.iterdir()):
                out.rmdir()


def _publish(job: Job, trained: Trained, model: Path, out: Path, watch: Stopwatch) -> None:
    with atomic_path(out / "model") as path:
        model.replace(path)
    write_table(out / "history.csv", trained.history)
    record = {
        "model": job.name,
        "seed": job.seed,
        "processes": job.processes,
        "train_instances": len(job.train),
        "dev_instances": len(job.dev),
        "trained_parameters": trained.parameters,
        **trained.facts,
        "settings": job.entry,
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
