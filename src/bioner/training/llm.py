"""Fine-tuning an LLM to write a token:TAG line per token, with or without QLoRA (paper, II.C.1)."""

import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from accelerate import PartialState
from accelerate.utils import gather_object, reduce
from transformers import DataCollatorForSeq2Seq, PreTrainedModel, PreTrainedTokenizerBase
from transformers.trainer_utils import EvalLoopOutput

from bioner.data.instances import Instance, Prediction, entity_types
from bioner.data.raw_outputs import Generated
from bioner.data.tags import tag_set
from bioner.errors import InputError
from bioner.inference.decoding.constrained import ConstrainedDecoder
from bioner.inference.decoding.drafts import tag_table, write_table
from bioner.models.adapters import with_adapter
from bioner.models.answer_trie import AnswerTrie
from bioner.models.llm import save_trained, task_of
from bioner.models.llm_examples import Examples
from bioner.models.positions import positions_of
from bioner.models.pretrained import load_causal_lm, load_model_config, load_tokenizer
from bioner.models.prompt import line_ids, prompt_ids
from bioner.models.requirements import check_ids
from bioner.models.verbalizer import Verbalizer, resize_for_tags
from bioner.realignment.realign import realign_all
from bioner.scoring.score import headline_f1
from bioner.settings.model_entry import Predict
from bioner.training.interrupts import Interrupts
from bioner.training.job import TrainingJob
from bioner.training.loss import check_loss, summed_loss
from bioner.training.merged_dev import KeepDevPredictions
from bioner.training.progress import Progress
from bioner.training.trainer import (
    ResumableTrainer,
    predicting,
    training_arguments,
    weights_format,
)

log = logging.getLogger(__name__)

# Ids per pass for the loss on dev, padding included; or four of the longest examples if these have
# more. A training pass, with gradients, needs more memory than that.
DEV_IDS = 8192
DECODE_BATCH = 32  # sentences of dev decoded at once, while memory allows


def train_llm(
    job: TrainingJob, source: str | Path, checkpoints: Path, out: Path, interrupts: Interrupts
) -> tuple[ResumableTrainer, dict[str, Any]]:
    """Train an LLM and write adapter (or model), tokenizer and task to `out`.

    Arguments and results are those of `train_classifier`.
    """
    entry, settings = job.entry, job.entry.train
    revision = entry.source.revision
    types = entity_types(job.train)
    tokenizer = load_tokenizer(source, revision, entry)
    verbalizer = Verbalizer(types, entry.verbalizer)
    pieces = verbalizer.add_to(tokenizer)
    own_code = entry.source.trust_remote_code
    config = load_model_config(source, revision, trust_remote_code=own_code)
    most = min(entry.max_length, positions_of(config) or entry.max_length)
    _check_tags(job.name, tokenizer, verbalizer, types, most)
    base = load_causal_lm(source, entry, entry.resources.gpus, revision, weights_format(entry))
    lines = AnswerTrie(tokenizer, tag_set(types), verbalizer=verbalizer)
    examples = Examples(tokenizer, types, lines, settings.loss, most)
    dev_examples = examples(job.dev)
    train_examples = examples(job.train)  # after dev: `examples.counts` are of the last call
    _check_lengths(job, examples)
    collate = DataCollatorForSeq2Seq(tokenizer, pad_to_multiple_of=8)
    shortest = min(train_examples, key=lambda features: len(features["input_ids"]))
    occurring = lines.ids.union(*(item["input_ids"] for item in (*train_examples, *dev_examples)))
    check_ids(base, occurring - pieces.keys())
    task = task_of(entry, types, source, base, job.base_weights)
    resize_for_tags(base, tokenizer, pieces)
    plain = check_loss(base, collate([shortest]).to(base.device))
    model = with_adapter(base, entry, pieces=list(pieces))
    trainer = LineTrainer(
        dev=DevScorer(job, tokenizer, verbalizer),
        plain=plain,
        checkpoints=checkpoints,
        progress=Progress(
            job.name,
            settings.patience,
            tokens=sum(len(features["input_ids"]) for features in train_examples),
            gpus=entry.resources.gpus,
        ),
        interrupts=interrupts,
        keep=settings.keep_checkpoint,
        may_diverge=bool(job.searched),
        micro_batches=job.micro_batches() if settings.micro_batch_size == "auto" else (),
        model=model,
        args=training_arguments(job, checkpoints),
        data_collator=collate,
        train_dataset=train_examples,
        eval_dataset=dev_examples,
        processing_class=tokenizer,
    )
    trainer.add_callback(KeepDevPredictions(trainer.dev, checkpoints))
    trainer.fit()
    if trainer.kept is not None and trainer.is_world_process_zero():
        save_trained(trainer.accelerator.unwrap_model(trainer.model), tokenizer, task, source, out)
        write_table(out, job.train)
    facts = {"types": types, "base_revision": task.revision, "examples": asdict(examples.counts)}
    return trainer, facts


def _check_tags(
    name: str,
    tokenizer: PreTrainedTokenizerBase,
    verbalizer: Verbalizer,
    types: Sequence[str],
    most: int,
) -> None:
    """Raise InputError for a type that no line can express: too long, or written as another."""
    prompt = len(prompt_ids(tokenizer, ["x"], types))
    written: dict[tuple[int, ...], str] = {}
    for type_ in types:
        line = line_ids(tokenizer, "x", verbalizer[f"B-{type_}"])
        length = len(line)
        if (other := written.setdefault(tuple(line), type_)) != type_:
            raise InputError(
                name,
                f"the entity types {other!r} and {type_!r}, which its tokenizer writes alike",
                "types that it can write",
                "Set verbalizer: letters, or rename one in the corpus.",
            )
        if prompt + length >= most:
            raise InputError(
                name,
                f"the entity type {type_!r}, a line of {length} ids behind a prompt of {prompt}",
                f"both within {most} ids (max_length, or the model's positions)",
                "Raise max_length, set verbalizer: letters, or rename the type in the corpus.",
            )


def _check_lengths(job: TrainingJob, examples: Examples) -> None:
    """Warn about sentences that are too long; raise InputError if no word fits."""
    counts = examples.counts
    if counts.over_length:
        log.warning(
            "train %s: %d of %d sentences exceed %d ids and are split: %d examples; %d words fit in"
            " none",
            job.name,
            counts.over_length,
            len(job.train),
            examples.max_length,
            counts.examples,
            counts.words_left_out,
        )
    if not counts.examples:
        raise InputError(
            job.name,
            f"no word within {examples.max_length} ids",
            "room for a prompt and an answer",
            "Raise max_length, or take a model with more positions.",
        )


class DevScorer:
    """Scores a model on dev as test predictions are made and scored.

    With `train.monitor_sentences` a fixed, evenly spaced sample is decoded first. An epoch that is
    no better on it than the best so far is not decoded further: it has no score, and is not chosen.
    """

    def __init__(
        self, job: TrainingJob, tokenizer: PreTrainedTokenizerBase, verbalizer: Verbalizer
    ) -> None:
        self._job, self._tokenizer, self._spelling = job, tokenizer, verbalizer
        self._types = entity_types(job.train)
        self._draft = tag_table(job.train)
        self._decoder: ConstrainedDecoder | None = None
        self.predictions: list[Prediction] = []  # of the last epoch, perhaps of the sample only
        self._batch = DECODE_BATCH
        cap, count = job.entry.train.monitor_sentences, len(job.dev)
        # If the last epoch is kept, each needs a score.
        if cap is None or cap >= count or job.entry.train.keep_checkpoint == "last":
            cap = 0
        self._sample = [number * count // cap for number in range(cap)]

    def scores(self, model: PreTrainedModel, best_monitored: float | None) -> dict[str, float]:
        """Return strict and relaxed F1 in percent, and strict F1 on the sample if there is one."""
        answers: dict[int, Generated] = {}
        found = {}
        if self._sample:
            answers |= self._decoded(model, self._sample)
            found["monitor_f1"] = self._f1(answers)["strict"]
            if best_monitored is not None and found["monitor_f1"] <= best_monitored:
                return found
        answers |= self._decoded(
            model, [number for number in range(len(self._job.dev)) if number not in answers]
        )
        return found | {f"{scheme}_f1": f1 for scheme, f1 in self._f1(answers).items()}

    def _decoded(self, model: PreTrainedModel, numbers: Sequence[int]) -> dict[int, Generated]:
        """Return the answers to these sentences in every process; each is made in one."""
        state = PartialState()
        dev = self._job.dev
        ordered = sorted(numbers, key=lambda number: (-len(dev[number].tokens), number))
        mine = ordered[state.process_index :: state.num_processes]
        with predicting(model, weights_format(self._job.entry)):
            outputs = self._within_memory(model, [dev[number] for number in mine])
        pairs = list(zip(mine, outputs, strict=True))
        return dict(gather_object(pairs))

    def _within_memory(
        self, model: PreTrainedModel, instances: Sequence[Instance]
    ) -> list[Generated]:
        """Return the answers, with as many sentences at once as memory allows."""
        while True:
            try:
                return self._decode(model)(instances, self._batch)
            except torch.OutOfMemoryError:
                if self._batch == 1:
                    raise
            self._batch //= 2
            torch.cuda.empty_cache()
            log.warning(
                "train %s: out of memory on dev; %d sentences at once", self._job.name, self._batch
            )

    def _decode(self, model: PreTrainedModel) -> ConstrainedDecoder:
        if self._decoder is None:
            self._decoder = ConstrainedDecoder(
                model,
                self._tokenizer,
                self._types,
                self._draft,
                Predict(legal_transitions=self._job.entry.predict.legal_transitions),
                verbalizer=self._spelling,
            )
        return self._decoder

    def _f1(self, answers: dict[int, Generated]) -> dict[str, float]:
        numbers: list[int] = sorted(answers)
        gold: list[Instance] = [self._job.dev[number] for number in numbers]
        legal = frozenset(tag_set([*self._types, *entity_types(gold)]))
        self.predictions, _ = realign_all(gold, [answers[number] for number in numbers], legal)
        return headline_f1(gold, self.predictions)


class LineTrainer(ResumableTrainer):
    """Trains on the labelled ids, with a mean over the optimiser step; decodes dev constrained.

    `plain` is what `check_loss` says of the model.
    """

    def __init__(self, *, dev: DevScorer, plain: bool, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.dev, self.plain = dev, plain
        self.dev_examples = sorted(self.eval_dataset, key=lambda item: -len(item["input_ids"]))
        longest = max((len(item["input_ids"]) for item in self.dev_examples), default=0)
        self.dev_ids = max(DEV_IDS, 4 * longest)
        # For any architecture: count the step's labels, each predicted from the ids before it.
        self.model_accepts_loss_kwargs = self._loss_shifts_labels = True

    def compute_loss(
        self,
        model: torch.nn.Module,
        inputs: Mapping[str, torch.Tensor],
        return_outputs: bool = False,
        num_items_in_batch: torch.Tensor | int | None = None,
    ) -> Any:
        """Return the mean over all labels of the optimiser step, however it is split."""
        inner = self.accelerator.unwrap_model(model)
        total, labels = summed_loss(model, inner, inputs, plain=self.plain)
        count = labels if num_items_in_batch is None else num_items_in_batch
        loss = total / torch.as_tensor(count, device=total.device).clamp(min=1)
        if num_items_in_batch is not None:
            loss = loss * self.accelerator.num_processes  # gradients are averaged over them
        return (loss, {"loss": loss}) if return_outputs else loss

    def evaluation_loop(self, *args: Any, **kwargs: Any) -> EvalLoopOutput:
        """Return the loss on dev, a mean over all its labels, and F1 as on test."""
        model = self.accelerator.unwrap_model(self.model).eval()
        metrics = {"eval_loss": self._dev_loss(model)}
        if math.isfinite(metrics["eval_loss"]):  # else Progress ends training
            with self.watched(model):
                found = self.dev.scores(model, self.progress.best_monitored())
            metrics |= {f"eval_{name}": value for name, value in found.items()}
        return EvalLoopOutput(None, None, metrics, num_samples=len(self.dev_examples))

    @torch.no_grad()
    def _dev_loss(self, model: PreTrainedModel) -> float:
        """Return the mean loss on dev, shared among the processes, longest examples first.

        If memory runs out, passes have half as many ids from then on.
        """
        mine = self.dev_examples[self.args.process_index :: self.args.world_size]
        sums, done = torch.zeros(2, device=self.args.device), 0  # of the loss, and of its labels
        while done < len(mine):
            rows = max(1, self.dev_ids // len(mine[done]["input_ids"]))
            try:
                batch = self.data_collator(mine[done : done + rows]).to(self.args.device)
                sums += torch.stack(summed_loss(model, model, batch, plain=self.plain))
                done += rows
            except torch.OutOfMemoryError:
                if rows == 1:
                    raise
                self.dev_ids //= 2
                said = "train %s: out of memory on dev; %d ids per pass"
                log.warning(said, self.progress.name, self.dev_ids)
                torch.cuda.empty_cache()
            self.callback_handler.on_prediction_step(self.args, self.state, self.control)
        total, count = reduce(sums, "sum").tolist()
        return float(total / max(count, 1))
