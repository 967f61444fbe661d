"""Fine-tuning an LLM to write one token:TAG line a token, with QLoRA where the entry says so (paper, section II.B)."""

import logging
import shutil
from pathlib import Path

from transformers import DataCollatorForSeq2Seq, Trainer

from bioner.config import Tree
from bioner.errors import InputError
from bioner.instances import entity_types
from bioner.models.hub import check_window, load_causal_lm, load_tokenizer
from bioner.models.llm import BASE, Task, example, save_task, with_adapter
from bioner.training.interrupts import Interrupts
from bioner.training.job import Job, Trained
from bioner.training.progress import Progress
from bioner.training.setup import training_arguments
from bioner.training.trainer import ResumableTrainer

log = logging.getLogger(__name__)

EVAL_BATCH = 4  # whatever the training batch: the dev loss is a mean over batches, and chooses epochs


def train_llm(job: Job, source: str | Path, checkpoints: Path, out: Path, interrupts: Interrupts) -> Trained:
    """Train on the job's data from `source` and write adapter (or model), tokenizer and task to `out`."""
    entry, settings = job.entry, job.entry["train"]
    revision = entry["source"]["revision"]
    types = entity_types(job.train)
    tokenizer = load_tokenizer(source, revision)
    train = [example(tokenizer, instance, types) for instance in job.train]
    dev = [example(tokenizer, instance, types) for instance in job.dev]
    kept = [features for features in train if len(features["input_ids"]) <= entry["max_length"]]
    if len(kept) < len(train):
        log.warning(
            "train %s: %d of %d examples exceed %d ids and are left out",
            job.name,
            len(train) - len(kept),
            len(train),
            entry["max_length"],
        )
    if not kept:
        longest = max(len(features["input_ids"]) for features in train)
        raise InputError(
            job.name, f"no example within max_length {entry['max_length']}", f"up to {longest} ids", "Raise max_length."
        )
    base = load_causal_lm(source, entry, entry["resources"]["gpus"], revision)
    check_window(job.name, entry, base)
    model = with_adapter(base, entry)
    trainer = ResumableTrainer(
        checkpoints=checkpoints,
        progress=Progress(
            job.name,
            "dev_loss",
            settings["patience"],
            tokens=sum(len(features["input_ids"]) for features in kept),
            gpus=entry["resources"]["gpus"],
        ),
        interrupts=interrupts,
        keep=settings["checkpoint"],
        may_diverge=bool(job.searched),
        model=model,
        args=training_arguments(job, checkpoints, EVAL_BATCH),
        data_collator=DataCollatorForSeq2Seq(tokenizer, pad_to_multiple_of=8),
        train_dataset=kept,
        eval_dataset=dev,
        processing_class=tokenizer,
    )
    best = trainer.fit()
    trained = sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
    if best is not None and trainer.is_world_process_zero():
        _save(trainer, entry, source, out)
        save_task(out, Task(types, BASE if entry["source"]["scratch"] else str(source), revision))
    facts = {"types": types, "train_examples": len(kept), "left_out": len(train) - len(kept)}
    return Trained(trainer.progress, best, facts, trained)


def _save(trainer: Trainer, entry: Tree, source: str | Path, out: Path) -> None:
    model = trainer.accelerator.unwrap_model(trainer.model)
    if entry["lora"] is not None:
        if entry["source"]["scratch"]:
            shutil.copytree(source, out / BASE)
            model.peft_config["default"].base_model_name_or_path = BASE
        # False: else peft saves the fp32 output head beside its adapter, 2 GB for Llama-3.1.
        model.save_pretrained(str(out), save_embedding_layers=False)
    else:
        model.save_pretrained(str(out))
    trainer.processing_class.save_pretrained(str(out))
