"""Fine-tuning for token classification: encoders (paper, section II.C.2) and LLMs with a head.

An LLM with a head is trained like one that writes lines and answers like an encoder. So it differs
from the former only in the writing and from the latter only in the model.
"""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from transformers import DataCollatorForTokenClassification, EvalPrediction, PreTrainedModel
from transformers.trainer_pt_utils import get_length_grouped_indices

from bioner.data.instances import Instance, Prediction, entity_types
from bioner.data.tags import OUTSIDE, tag_set
from bioner.errors import InputError
from bioner.models.adapters import with_adapter
from bioner.models.decoder_head import DecoderWithHead
from bioner.models.llm import save_trained, task_of
from bioner.models.positions import check_window
from bioner.models.pretrained import (
    load_llm_classifier,
    load_token_classifier,
    load_tokenizer,
)
from bioner.models.requirements import check_ids, check_padding
from bioner.models.subword_windows import Cut, cut, gathered, labelled
from bioner.realignment.realign import realign_all
from bioner.scoring.score import headline_f1
from bioner.training.interrupts import Interrupts
from bioner.training.job import TrainingJob
from bioner.training.loss import token_loss
from bioner.training.merged_dev import KeepDevPredictions
from bioner.training.progress import Progress
from bioner.training.trainer import ResumableTrainer, training_arguments, weights_format

log = logging.getLogger(__name__)

# Windows per pass on dev: no gradients are kept, and neighbours have one length.
EVAL_BATCH = {"encoder": 64, "llm-head": 16}


def train_classifier(
    job: TrainingJob, source: str | Path, checkpoints: Path, out: Path, interrupts: Interrupts
) -> tuple[ResumableTrainer, dict[str, Any]]:
    """Train a classifier and write model and tokenizer to `out` (Hugging Face form).

    Args:
        job: What to train.
        source: Hub id or folder of the base model.
        checkpoints: Folder of the checkpoints, to resume from if there are any.
        out: Folder for the trained model.
        interrupts: Says if a signal came.

    Returns:
        The trainer after `fit`, and facts for run.json.
    """
    entry, settings = job.entry, job.entry.train
    types = entity_types(job.train)
    labels = tag_set(types)
    label2id = {label: index for index, label in enumerate(labels)}
    tokenizer = load_tokenizer(source, entry.source.revision, entry)
    model = _model(job, source, label2id)
    check_window(job.name, entry, model)
    task = task_of(entry, types, source, model, job.base_weights)
    if isinstance(model, DecoderWithHead):
        model.decoder = with_adapter(model.decoder, entry, task="FEATURE_EXTRACTION")

    def cut_up(instances: Sequence[Instance]) -> Cut:
        sentences = [item.tokens for item in instances]
        return cut(tokenizer, sentences, entry.max_length, entry.label_subwords, entry.repeat)

    train = cut_up(job.train)
    examples = [
        labelled(window, instance.tags, label2id)
        for instance, windows in zip(job.train, train.windows, strict=True)
        for window in windows
    ]
    dev = ClassifierDevScorer(job, cut_up(job.dev), label2id)
    check_ids(model, (id_ for item in (*examples, *dev.examples) for id_ in item["input_ids"]))
    if entry.family == "encoder":
        longest = max(examples, key=lambda example: len(example["input_ids"]))
        check_padding(job.name, model, longest["input_ids"], tokenizer.pad_token_id)
    words = sum(len(item.tokens) for item in job.train)
    if train.words_unknown > words / 2:
        raise InputError(
            job.name,
            f"a tokenizer that does not know {train.words_unknown} of {words} words",
            "one that knows most",
            "Copy the tokenizer's files again; is tokenizer_class in tokenizer_config.json right?",
        )
    if train.words_lost:
        log.warning(
            "train %s: %d words have no subword, and cannot be learned from",
            job.name,
            train.words_lost,
        )
    trainer = ResumableTrainer(
        checkpoints=checkpoints,
        progress=Progress(
            job.name,
            settings.patience,
            tokens=sum(len(example["input_ids"]) for example in examples),
            gpus=entry.resources.gpus,
        ),
        interrupts=interrupts,
        order=get_length_grouped_indices,
        keep=settings.keep_checkpoint,
        head_learning_rate=settings.head_learning_rate,
        may_diverge=bool(job.searched),
        micro_batches=job.micro_batches() if settings.micro_batch_size == "auto" else (),
        model=model,
        args=training_arguments(job, checkpoints, EVAL_BATCH[entry.family]),
        data_collator=DataCollatorForTokenClassification(tokenizer),
        train_dataset=examples,
        eval_dataset=dev.examples,
        processing_class=tokenizer,
        compute_metrics=dev.scores,
        compute_loss_func=token_loss,
        preprocess_logits_for_metrics=lambda logits, _: logits.argmax(-1),
    )
    trainer.add_callback(KeepDevPredictions(dev, checkpoints))
    trainer.fit()
    if trainer.kept is not None and trainer.is_world_process_zero():
        save_trained(trainer.accelerator.unwrap_model(trainer.model), tokenizer, task, source, out)
    facts = {
        "types": types,
        "labels": labels,
        "base_revision": task.revision,
        "subwords": {"train": train.counts(), "dev": dev.cut.counts()},
    }
    return trainer, facts


def _model(
    job: TrainingJob, source: str | Path, label2id: dict[str, int]
) -> PreTrainedModel | DecoderWithHead:
    """Load the model with an untrained head."""
    entry, revision = job.entry, job.entry.source.revision
    if entry.family == "llm-head":
        return load_llm_classifier(
            source,
            entry,
            entry.resources.gpus,
            list(label2id),
            revision,
            weights_format(entry),
        )
    own_code = entry.source.trust_remote_code
    return load_token_classifier(source, revision, list(label2id), trust_remote_code=own_code)


class ClassifierDevScorer:
    """The dev split for the Trainer, longest windows first, scored as test predictions are."""

    def __init__(self, job: TrainingJob, made: Cut, label2id: dict[str, int]) -> None:
        self.instances, self.cut, self.labels = job.dev, made, list(label2id)
        self.predictions: list[Prediction] = []  # of the last epoch
        windows = [window for of_sentence in made.windows for window in of_sentence]
        self.order = sorted(range(len(windows)), key=lambda number: -len(windows[number].input_ids))
        # A tag that no training sentence has cannot be learned: it counts as O in the loss.
        tags = [
            [tag if tag in label2id else OUTSIDE for tag in item.tags]
            for item, of_one in zip(job.dev, made.windows, strict=True)
            for _ in of_one
        ]
        self.examples = [labelled(windows[number], tags[number], label2id) for number in self.order]

    def scores(self, output: EvalPrediction) -> dict[str, float]:
        """Return strict and relaxed F1 in percent, after the same realignment as on test."""
        rows = {
            number: [self.labels[label] for label in row[: len(example["input_ids"])]]  # no padding
            for number, row, example in zip(
                self.order, np.asarray(output.predictions), self.examples, strict=True
            )
        }
        tags = (rows[number] for number in range(len(rows)))
        outputs = [
            gathered(item.id, windows, [next(tags) for _ in windows])
            for item, windows in zip(self.instances, self.cut.windows, strict=True)
        ]
        self.predictions, _ = realign_all(self.instances, outputs, frozenset(self.labels))
        f1 = headline_f1(self.instances, self.predictions)
        return {f"{scheme}_f1": score for scheme, score in f1.items()}
