"""Fine-tuning an LLM to write a token:TAG line a token, with QLoRA where the entry says so (paper,
section II.C.1).
"""

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
from bioner.models.adapters import trained_parameters, with_adapter
from bioner.models.answer_trie import AnswerTrie
from bioner.models.hub import check_window, load_causal_lm, load_tokenizer
from bioner.models.llm import save_trained, task_of
from bioner.models.llm_examples import Examples
from bioner.models.verbalizer import Verbalizer, resize_for_tags
from bioner.training.dev import DevScorer
from bioner.training.interrupts import Interrupts
from bioner.training.job import TrainingJob
from bioner.training.loss import check_loss, summed_loss
from bioner.training.progress import Progress, Trained
from bioner.training.samplers import pad_to_full_batches
from bioner.training.setup import training_arguments, weights_format
from bioner.training.trainer import ResumableTrainer

log = logging.getLogger(__name__)

EVAL_BATCH = 4


def train_llm(
    job: TrainingJob, source: str | Path, checkpoints: Path, out: Path, interrupts: Interrupts
) -> Trained:
    """Train on the job's data from `source` and write adapter (or model), tokenizer and task to
    `out`.
    """
    entry, settings = job.entry, job.entry["train"]
    revision = entry["source"]["revision"]
    types = entity_types(job.train)
    if colons := [name for name in types if ":" in name]:
        found, remedy = (
            f"the entity type {colons[0]!r}",
            "Rename it in the corpus (`labels` of its entry).",
        )
        raise InputError(
            job.name, found, "types without a colon, behind which a line has its tag", remedy
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
    train_examples = examples(
        job.train
    )  # after dev: from here on `examples.counts` are the training split's
    _tell(job.name, examples, len(job.train), entry["max_length"])
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
            "dev_strict_f1",
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
    best = trainer.fit()
    if best is not None and trainer.is_world_process_zero():
        save_trained(trainer.accelerator.unwrap_model(trainer.model), tokenizer, task, source, out)
    facts = {"types": types, "base_revision": task.revision, "examples": asdict(examples.counts)}
    return Trained(trainer.progress, best, facts, trained_parameters(model))


def _tell(name: str, examples: Examples, sentences: int, max_length: int) -> None:
    """What was too long; InputError where nothing is left."""
    counts = examples.counts
    if counts.over_length:
        message = (
            "train %s: %d of %d sentences exceed %d ids and are split: %d examples; %d words fit in"
            " none"
        )
        log.warning(
            message,
            name,
            counts.over_length,
            sentences,
            max_length,
            counts.examples,
            counts.words_left_out,
        )
    if not counts.examples:
        found, expected = (
            f"no word within max_length {max_length}",
            "room for a prompt and an answer",
        )
        raise InputError(name, found, expected, "Raise max_length.")


class LineTrainer(ResumableTrainer):
    """The loss at the ids that carry one, a mean over the whole optimiser step; dev by constrained
    decoding.
    """

    def __init__(self, *, dev: DevScorer, **kwargs: Any) -> None:
        kwargs["eval_dataset"] = pad_to_full_batches(
            kwargs["eval_dataset"], EVAL_BATCH, kwargs["args"].world_size
        )
        super().__init__(**kwargs)
        self.dev = dev
        self.dev_loss = torch.zeros(2)  # a sum, and of how many ids
        # For any architecture: the labels of the step are counted, each predicted from what stands
        # before it.
        self.model_accepts_loss_kwargs = self._loss_shifts_labels = True

    def compute_loss(
        self,
        model: torch.nn.Module,
        inputs: Mapping[str, torch.Tensor],
        return_outputs: bool = False,
        num_items_in_batch: torch.Tensor | int | None = None,
    ) -> Any:
        """The mean over all labels of the optimiser step, however many passes and processes it is
        split over.
        """
        total, labels = summed_loss(model, self.accelerator.unwrap_model(model), inputs)
        if not model.training:
            self.dev_loss = self.dev_loss.to(total.device) + torch.stack([total.detach(), labels])
        count = labels if num_items_in_batch is None else num_items_in_batch
        loss = total / torch.as_tensor(count, device=total.device).clamp(min=1)
        if num_items_in_batch is not None:
            loss = loss * self.accelerator.num_processes  # gradients are averaged over them
        return (loss, {"loss": loss}) if return_outputs else loss

    def evaluation_loop(self, *args: Any, **kwargs: Any) -> EvalLoopOutput:
        """The loss on dev, a mean over all its labels whatever the batches, and F1 as on test."""
        self.dev_loss = torch.zeros_like(self.dev_loss)
        output: EvalLoopOutput = super().evaluation_loop(*args, **kwargs)
        total, count = reduce(self.dev_loss, "sum").tolist()
        output.metrics["eval_loss"] = total / max(count, 1)
        model = self.accelerator.unwrap_model(self.model).eval()
        found = self.dev.scores(model, self.progress.best_monitored())
        output.metrics.update({f"eval_{name}": value for name, value in found.items()})
        return output
