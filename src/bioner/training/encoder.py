"""Fine-tuning an encoder for token classification (paper, section II.C.2)."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from transformers import DataCollatorForTokenClassification, EvalPrediction, Trainer

from bioner.instances import Instance, entity_types
from bioner.models.encoder import Piece, labelled, pieces
from bioner.models.hub import check_window, load_token_classifier, load_tokenizer
from bioner.raw import Tagged
from bioner.realign import realign_all
from bioner.scoring.score import strict_f1
from bioner.tags import tag_set
from bioner.training.job import Job, Trained
from bioner.training.setup import Progress, callbacks, quiet, training_arguments


def train_encoder(job: Job, source: str | Path, checkpoints: Path, out: Path) -> Trained:
    """Train on the job's data from `source` and write model and tokenizer to `out` (Hugging Face form)."""
    entry = job.entry
    labels = tag_set(entity_types(job.train))
    label2id = {label: index for index, label in enumerate(labels)}
    tokenizer = load_tokenizer(source, entry["source"]["revision"])
    model = load_token_classifier(
        source, entry["source"]["revision"], num_labels=len(labels), id2label=dict(enumerate(labels)), label2id=label2id
    )
    check_window(job.name, entry, model)
    known = frozenset(labels)
    dev = [_within(instance, known) for instance in job.dev]
    train_pieces = _cut(job.train, tokenizer, entry["max_length"])
    dev_pieces = _cut(dev, tokenizer, entry["max_length"])
    progress = Progress(job.name)
    trainer = quiet(
        Trainer(
            model=model,
            args=training_arguments(entry, checkpoints, job.seed, "eval_strict_f1", job.processes),
            data_collator=DataCollatorForTokenClassification(tokenizer),
            train_dataset=[labelled(piece, instance.tags, label2id) for instance, piece in train_pieces],
            eval_dataset=[labelled(piece, instance.tags, label2id) for instance, piece in dev_pieces],
            processing_class=tokenizer,
            compute_metrics=lambda output: {"strict_f1": _strict_f1(output, job.dev, dev_pieces, labels)},
            preprocess_logits_for_metrics=lambda logits, _: logits.argmax(-1),
            callbacks=callbacks(entry, progress),
        )
    )
    trainer.train()
    if trainer.is_world_process_zero():
        trainer.accelerator.unwrap_model(trainer.model).save_pretrained(str(out))
        tokenizer.save_pretrained(str(out))
    return Trained(progress.history(), {"labels": labels, "train_pieces": len(train_pieces)}, _parameters(model))


def _cut(instances: Sequence[Instance], tokenizer: object, max_length: int) -> list[tuple[Instance, Piece]]:
    return [(instance, piece) for instance in instances for piece in pieces(tokenizer, instance.tokens, max_length)]


def _within(instance: Instance, labels: frozenset[str]) -> Instance:
    """The instance with tags that no training sentence holds as O: they cannot be learned, only missed."""
    tags = [tag if tag in labels else "O" for tag in instance.tags]
    return Instance(instance.id, instance.doc, instance.tokens, tags)


def _strict_f1(
    output: EvalPrediction, dev: Sequence[Instance], cut: Sequence[tuple[Instance, Piece]], labels: Sequence[str]
) -> float:
    """Strict F1 in percent on the dev sentences, through the same realignment as the test predictions."""
    best = np.asarray(output.predictions)
    outputs = {instance.id: Tagged(instance.id, [], []) for instance in dev}
    for (instance, piece), row in zip(cut, best, strict=True):
        for word, label in zip(piece.words, row, strict=False):
            if word is not None:
                outputs[instance.id].words.append(word)
                outputs[instance.id].tags.append(labels[label])
    predictions, _ = realign_all(dev, outputs.values(), frozenset(labels))
    return strict_f1(dev, predictions)


def _parameters(model: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
