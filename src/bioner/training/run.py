"""One training job from data to a finished folder: workspace, source, seed, memory, provenance."""

import logging
import random
import shutil
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import polars as pl
import torch
import transformers
from accelerate import PartialState
from accelerate.utils.memory import clear_device_cache
from transformers import TrainingArguments
from transformers.training_args import OptimizerNames

from bioner.data.instances import Instance, unseen_types
from bioner.errors import InputError
from bioner.io.files import atomic_path, write_json
from bioner.io.ranks import ending_together
from bioner.io.records import KeptWeights
from bioner.io.run_record import moment, provenance
from bioner.io.signals import signals_handled
from bioner.io.tables import write_table
from bioner.models.adapters import trained_parameters
from bioner.models.model_files import weight_checksums
from bioner.training.checkpoints import fault_of, write_manifest
from bioner.training.classifier import train_classifier
from bioner.training.interrupts import Interrupts
from bioner.training.job import TrainingJob
from bioner.training.launch import processes_for
from bioner.training.llm import train_llm
from bioner.training.merged_dev import score_merged
from bioner.training.model_card import write_card
from bioner.training.progress import HISTORY, Progress, Row
from bioner.training.scratch import make_pretrained
from bioner.training.trainer import OutOfMemory, is_out_of_memory
from bioner.training.workspace import (
    CLAIM,
    OUT_OF_MEMORY,
    WORKSPACE,
    read_micro_batch,
    workspace_of,
    write_micro_batch,
)

log = logging.getLogger(__name__)

# How long processes wait for the one with the slowest part of dev. If one dies all end at once.
PROCESS_TIMEOUT = timedelta(hours=2)


@dataclass(frozen=True, slots=True)
class Trained:
    """The result of a training, without its model and optimiser.

    Attributes:
        progress: The progress of the training.
        kept: The row of the history whose weights were saved; None if it diverged.
        args: The Trainer's arguments.
        facts: Further entries of run.json.
    """

    progress: Progress
    kept: Row | None
    args: TrainingArguments
    facts: dict[str, Any]


def train(job: TrainingJob, out: Path) -> None:
    """Train one model and write `out/model/`, `out/history.csv` and, last, `out/run.json`.

    A trial of a search leaves no `out/model/`: its weights are never predicted with.
    An interrupted training resumes from its last checkpoint. Runs in every process that accelerate
    or torchrun started; the main one writes.

    Raises:
        InputError: Before anything is loaded, if GPUs that the entry asks for are missing.
        Interrupted: After a checkpoint, on SIGTERM or SIGUSR1.
    """
    entry = job.entry
    processes_for(job.name, entry.resources.gpus)
    torch.set_num_threads(entry.resources.threads)
    processes = PartialState(cpu=entry.resources.gpus == 0, timeout=PROCESS_TIMEOUT)
    sentences = sample(job.train, entry.train.sentences, job.seed)
    job = replace(job, train=sentences, processes=processes.num_processes)
    job.batches()
    for type_, count in unseen_types(job.train, job.dev).items():
        log.warning(
            "train %s: dev has %d entities of type %s, training has none: they can only be missed",
            job.name,
            count,
            type_,
        )
    interrupts = Interrupts(job.name)
    with (
        ending_together(processes.num_processes),
        (
            workspace_of(job, out) if processes.is_main_process else nullcontext(out / WORKSPACE)
        ) as workspace,
        signals_handled(Interrupts.SIGNALS, interrupts.note),
    ):
        processes.wait_for_everyone()
        source = _source(job, workspace, processes)
        if processes.is_main_process and not entry.source.scratch and Path(source).is_dir():
            job = replace(job, base_weights=weight_checksums(Path(source)))
        model = workspace / "model"
        if processes.is_main_process:
            shutil.rmtree(model, ignore_errors=True)
            model.mkdir()
        family = train_llm if entry.family == "llm" else train_classifier

        def run(job: TrainingJob) -> Trained:
            transformers.set_seed(job.seed)  # for the new head, whether or not a source was made
            trainer, facts = family(job, source, workspace / "checkpoints", model, interrupts)
            facts |= {"trained_parameters": trained_parameters(trainer.model)}
            return Trained(trainer.progress, trainer.kept, trainer.args, facts)

        trained = _within_memory(run, job, workspace)
        if trained.kept and entry.merges():
            kept, as_trained = score_merged(job, trained.kept, workspace)
            trained = replace(trained, kept=kept, facts=trained.facts | {"as_trained": as_trained})
        processes.wait_for_everyone()
        if processes.is_main_process:
            _publish(job, trained, model, out)


def _source(job: TrainingJob, workspace: Path, processes: PartialState) -> str | Path:
    """Return the hub id or folder to load from; a model from random weights is made once."""
    scratch = job.entry.source.scratch
    if scratch is None:
        return str(job.entry.source.hub)
    folder = workspace / "source"
    if fault_of(folder) is None:
        return folder
    processes.wait_for_everyone()  # all have looked
    if processes.is_main_process:
        shutil.rmtree(folder, ignore_errors=True)
    transformers.set_seed(job.seed)
    make_pretrained(scratch, job.train, job.seed, folder, job.entry.resources.gpus)
    processes.wait_for_everyone()  # transformers saves in the main process only
    if processes.is_main_process:
        write_manifest(folder, {})
    processes.wait_for_everyone()
    return folder


def _within_memory(
    run: Callable[[TrainingJob], Trained], job: TrainingJob, workspace: Path
) -> Trained:
    """Run the job; if out of memory, again with half the sentences per pass and the same batch.

    The workspace keeps this size for later sessions. Several processes cannot try again, since the
    others wait in the middle of a step: they end, and the next session uses the smaller passes.

    Raises:
        InputError: If the model or one sentence does not fit in memory, or if several processes
            must start again with smaller passes.
    """
    while True:
        settled = read_micro_batch(workspace)
        way = job if settled is None else job.with_micro_batch(settled)
        try:
            return run(way)
        except OutOfMemory as error:
            tried = error.micro_batch
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
            raise InputError(
                job.name,
                "no memory for the model itself",
                "a device that holds it",
                "Use a larger one, or set quantization or lora.",
            ) from None
        # Outside `except`: the error keeps this try's tensors alive.
        clear_device_cache(garbage_collection=True)
        said = f"out of memory with {tried} sentences per forward pass"
        smaller = job.with_micro_batch(tried).micro_batches()[1:]
        if not smaller:
            (workspace / OUT_OF_MEMORY).unlink(missing_ok=True)
            remedy = "Lower max_length, or set train.activation_checkpointing."
            raise InputError(job.name, f"a device {said}", "room for one", remedy)
        write_micro_batch(workspace, smaller[0])
        (workspace / OUT_OF_MEMORY).touch()
        if job.processes > 1:
            remedy = f"Start it again: it resumes with {smaller[0]}, batch_size unchanged."
            raise InputError(job.name, f"a device {said}", "room for them", remedy)
        log.warning("train %s: %s; %d from now on, same batch_size", job.name, said, smaller[0])


def _publish(job: TrainingJob, trained: Trained, model: Path, out: Path) -> None:
    """Write the outputs of a job."""
    progress = trained.progress
    memory, gpu_memory = progress.peak_memory()
    record = {
        "model": job.name,
        "trial": (
            {"name": out.resolve().name, "over": sorted(job.searched)} if job.searched else None
        ),
        "winner": job.winner,
        "seed": job.seed,
        "data": dict(job.data),
        "processes": job.processes,
        "micro_batch_size": trained.args.per_device_train_batch_size,
        "accumulation": trained.args.gradient_accumulation_steps,
        "optimizer": OptimizerNames(trained.args.optim).value,
        "train_instances": len(job.train),
        "dev_instances": len(job.dev),
        "kept": KeptWeights.model_validate(trained.kept or {}).model_dump(),
        **trained.facts,
        "base_weights": dict(job.base_weights),
        "settings": job.entry.canonical(),
        "sessions": progress.sessions,
        "started": moment((model.parent / CLAIM).stat().st_mtime),
        "ended": moment(),
        "wall_seconds": round(progress.seconds(), 3),
        "peak_memory_gb": memory,
        "peak_gpu_memory_gb": gpu_memory,
        "energy_kwh": progress.energy(),
        **provenance(),
    }
    if job.searched:  # of a trial only the record counts
        shutil.rmtree(out / "model", ignore_errors=True)  # of earlier versions
    else:
        write_card(model, record, job.entry)
        with atomic_path(out / "model") as path:
            model.replace(path)
    write_table(out / "history.csv", pl.DataFrame(progress.rows, schema=HISTORY))
    write_json(out / "run.json", record)


def sample(instances: Sequence[Instance], size: int | None, seed: int) -> list[Instance]:
    """Return `size` random instances in the order of the corpus, or all of them."""
    if size is None or size >= len(instances):
        return list(instances)
    chosen = sorted(random.Random(seed).sample(range(len(instances)), size))
    return [instances[position] for position in chosen]
