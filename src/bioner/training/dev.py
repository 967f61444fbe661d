"""Scores of an LLM in training on dev, by constrained decoding shared among the processes."""

import logging
from collections.abc import Sequence

import torch
from accelerate import PartialState
from accelerate.utils import gather_object
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from bioner.data.instances import Instance, entity_types
from bioner.data.raw_outputs import Generated
from bioner.data.tags import tag_set
from bioner.inference.decoding.constrained import ConstrainedDecoder
from bioner.inference.decoding.drafts import tag_table
from bioner.models.verbalizer import Verbalizer
from bioner.realignment.realign import realign_all
from bioner.scoring.score import headline_f1
from bioner.training.job import TrainingJob

log = logging.getLogger(__name__)

BATCH = 32  # sentences decoded at once


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
        self._batch = BATCH
        cap, count = job.entry["train"]["monitor_sentences"], len(job.dev)
        # If the last epoch is kept, each needs a score.
        capped = cap is not None and cap < count and job.entry["train"]["keep_checkpoint"] == "best"
        self._sample = [number * count // cap for number in range(cap)] if capped else []

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
        outputs = self._within_memory(model, [dev[number] for number in mine])
        pairs = list(zip(mine, outputs, strict=True))
        return dict(gather_object(pairs) if state.num_processes > 1 else pairs)

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
            legal = self._job.entry["predict"]["legal_transitions"]
            self._decoder = ConstrainedDecoder(
                model,
                self._tokenizer,
                self._types,
                self._draft,
                legal=legal,
                verbalizer=self._spelling,
            )
        return self._decoder

    def _f1(self, answers: dict[int, Generated]) -> dict[str, float]:
        numbers: list[int] = sorted(answers)
        gold: list[Instance] = [self._job.dev[number] for number in numbers]
        legal = frozenset(tag_set([*self._types, *entity_types(gold)]))
        predictions, _ = realign_all(gold, [answers[number] for number in numbers], legal)
        return headline_f1(gold, predictions)
