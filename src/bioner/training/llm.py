"""Fine-tuning an LLM to write a token:TAG line per token, with or without QLoRA (paper, II.C.1)."""

import logging
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from accelerate.utils import reduce
from transformers import DataCollatorForSeq2Seq
from transformers.trainer_utils import EvalLoopOutput

from bioner.data.instances import entity_types
from bioner.data.tags import tag_set
from bioner.errors import InputError
from bioner.models.adapters import with_adapter
from bioner.models.answer_trie import AnswerTrie
from bioner.models.hub import check_window, load_causal_lm, load_tokenizer
from bioner.models.llm import save_trained, task_of
from bioner.models.llm_examples import Counts, Examples
from bioner.models.verbalizer import Verbalizer, resize_for_tags
from bioner.training.dev import DevScorer
from bioner.training.interrupts import Interrupts
from bioner.training.job import TrainingJob
from bioner.training.loss import check_loss, summed_loss
from bioner.training.progress import Progress
from bioner.training.samplers import pad_to_full_batches
from bioner.training.trainer import ResumableTrainer, training_arguments, weights_format

log = logging.getLogger(__name__)

EVAL_BATCH = 4


def train_llm(
    job: TrainingJob, source: str | Path, checkpoints: Path, out: Path, interrupts: Interrupts
) -> tuple[ResumableTrainer, dict[str, Any]]:
    """Train an LLM and write adapter (or model), tokenizer and task to `out`.

    Arguments and results are those of `train_classifier`.
    """
    entry, settings = job.entry, job.entry["train"]
    revision = entry["source"]["revision"]
    types = entity_types(job.train)
    if colons := [name for name in types if ":" in name]:
        raise InputError(
            job.name,
            f"the entity type {colons[0]!r}",
            "types without a colon, behind which a line has its tag",
            "Rename it in the corpus (`labels` of its entry).",
        )
    tokenizer = load_tokenizer(source, revision)
    verbalizer = Verbalizer(types, entry["verbalizer"])
    pieces = verbalizer.add_to(tokenizer)
    examples = Examples(
        tokenizer,
        types,
        AnswerTrie(tokenizer, tag_set(types), verbalizer=verbalizer),
        settings["loss"],
        entry["max_length"],
    )
    dev_examples = examples(job.dev)
    train_examples = examples(job.train)  # after dev: `examples.counts` are of the last call
    _check_lengths(job, examples.counts)
    base = load_causal_lm(
        source, entry, entry["resources"]["gpus"], revision, weights_format(entry)
    )
    check_window(job.name, entry, base)
    collate = DataCollatorForSeq2Seq(tokenizer, pad_to_multiple_of=8)
    shortest = min(train_examples, key=lambda features: len(features["input_ids"]))
    task = task_of(entry, types, source, base)
    resize_for_tags(base, tokenizer, pieces)
    check_loss(base, collate([shortest]).to(base.device))
    model = with_adapter(base, entry, pieces=list(pieces))
    trainer = LineTrainer(
        dev=DevScorer(job, tokenizer, verbalizer),
        checkpoints=checkpoints,
        progress=Progress(
            job.name,
            settings["patience"],
            tokens=sum(len(features["input_ids"]) for features in train_examples),
            gpus=entry["resources"]["gpus"],
        ),
        interrupts=interrupts,
        keep=settings["keep_checkpoint"],
        may_diverge=bool(job.searched),
        model=model,
        args=training_arguments(job, checkpoints, EVAL_BATCH),
        data_collator=collate,
        train_dataset=train_examples,
        eval_dataset=dev_examples,
        processing_class=tokenizer,
    )
    trainer.fit()
    if trainer.kept is not None and trainer.is_world_process_zero():
        save_trained(trainer.accelerator.unwrap_model(trainer.model), tokenizer, task, source, out)
    facts = {"types": types, "base_revision": task.revision, "examples": asdict(examples.counts)}
    return trainer, facts


def _check_lengths(job: TrainingJob, counts: Counts) -> None:
    """Warn about sentences that are too long; raise InputError if no word fits."""
    if counts.over_length:
        log.warning(
            "train %s: %d of %d sentences exceed %d ids and are split: %d examples; %d words fit in"
            " none",
            job.name,
            counts.over_length,
            len(job.train),
            job.entry["max_length"],
            counts.examples,
            counts.words_left_out,
        )
    if not counts.examples:
        raise InputError(
            job.name,
            f"no word within max_length {job.entry['max_length']}",
            "room for a prompt and an answer",
            "Raise max_length.",
        )


class LineTrainer(ResumableTrainer):
    """Trains on the labelled ids, with a mean over the optimiser step; decodes dev constrained."""

    def __init__(self, *, dev: DevScorer, **kwargs: Any) -> None:
        kwargs["eval_dataset"] = pad_to_full_batches(
            kwargs["eval_dataset"], EVAL_BATCH, kwargs["args"].world_size
        )
        super().__init__(**kwargs)
        self.dev = dev
        self.dev_loss = torch.zeros(2)  # the sum, and the number of ids in it
        # For any architecture: count the step's labels, each predicted from the ids before it.
        self.model_accepts_loss_kwargs = self._loss_shifts_labels = True

    def compute_loss(
        self,
        model: torch.nn.Module,
        inputs: Mapping[str, torch.Tensor],
        return_outputs: bool = False,
        num_items_in_batch: torch.Tensor | int | None = None,
    ) -> Any:
        """Return the mean over all labels of the optimiser step, in passes or processes."""
        total, labels = summed_loss(model, self.accelerator.unwrap_model(model), inputs)
        if not model.training:
            self.dev_loss = self.dev_loss.to(total.device) + torch.stack([total.detach(), labels])
        count = labels if num_items_in_batch is None else num_items_in_batch
        loss = total / torch.as_tensor(count, device=total.device).clamp(min=1)
        if num_items_in_batch is not None:
            loss = loss * self.accelerator.num_processes  # gradients are averaged over them
        return (loss, {"loss": loss}) if return_outputs else loss

    def evaluation_loop(self, *args: Any, **kwargs: Any) -> EvalLoopOutput:
        """Return the loss on dev, a mean over all its labels, and F1 as on test."""
        self.dev_loss = torch.zeros_like(self.dev_loss)
        output: EvalLoopOutput = super().evaluation_loop(*args, **kwargs)
        total, count = reduce(self.dev_loss, "sum").tolist()
        output.metrics["eval_loss"] = total / max(count, 1)
        model = self.accelerator.unwrap_model(self.model).eval()
        found = self.dev.scores(model, self.progress.best_monitored())
        output.metrics.update({f"eval_{name}": value for name, value in found.items()})
        return output
