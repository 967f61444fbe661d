"""Constrained decoding: the input's words are given, the model chooses the tags, which are drafted
and verified.

What comes out is what token-by-token greedy decoding would give, were it allowed nothing but a
legal line for each word. A pass reads the drafted lines of the next words; where the model, at
every branch, would have gone the drafted way, the draft is its answer. Up to the first disagreement
all is settled, the disagreement's own answer included.
"""

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import asdict, replace

import numpy as np
import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from bioner.data.instances import Instance
from bioner.data.raw_outputs import Generated
from bioner.data.tags import OUTSIDE, tag_set
from bioner.errors import InputError
from bioner.inference.decoding.draft_length import DraftLength, overhead_of
from bioner.inference.decoding.drafts import Draft
from bioner.inference.decoding.kv_cache import Batch, CachedBatch, batch_class
from bioner.inference.decoding.requests import (
    DecodingRequest,
    beyond_positions,
    group_by_length,
    make_requests,
)
from bioner.inference.decoding.sentence import Block, Counts, Decision, SentenceState
from bioner.models.answer_trie import AnswerTrie
from bioner.models.prompt import response_line
from bioner.models.verbalizer import Verbalizer


class ConstrainedDecoder:
    """A model that tags sentences by constrained decoding.

    `draft_length` words are drafted per pass, chosen if it is None; `legal` leaves out tags that
    continue nothing. Answers hold tags by their names, however the model spells them.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        types: Sequence[str],
        draft: Draft,
        *,
        draft_length: int | None = None,
        legal: bool = False,
        verbalizer: Verbalizer | None = None,
        share_prefix: bool = True,
        rows: type[Batch] | None = None,
    ) -> None:
        self._model, self._tokenizer, self._types, self._draft = model, tokenizer, types, draft
        self._draft_length, self._legal, self._share_prefix = draft_length, legal, share_prefix
        self._lines = AnswerTrie(tokenizer, tag_set(types), legal, verbalizer)
        self._outside = verbalizer[OUTSIDE] if verbalizer else OUTSIDE
        self._rows = rows or batch_class(model)
        self._overhead = overhead_of(model)
        self.counts = Counts()

    @property
    def settings(self) -> dict[str, object]:
        """What is worth recording of how it decodes."""
        return {
            "draft": self._draft.name,
            "draft_length": self._draft_length or "chosen",
            "legal_transitions": self._legal,
            "pass_overhead_ids": round(self._overhead, 1),
            "cached": self._rows is CachedBatch,
        }

    @property
    def took(self) -> dict[str, float]:
        """What the last call took."""
        return asdict(self.counts)

    @torch.inference_mode()
    def __call__(
        self, instances: Sequence[Instance], batch_size: int, part: int = 0
    ) -> list[Generated]:
        """What the model answers for every instance, in order; the longest are decoded first, side
        by side.
        """
        self.counts = Counts(sentences=len(instances))
        if not instances:
            return []
        asked = make_requests(self._tokenizer, instances, self._types, self._outside)
        self.counts.beyond_positions = beyond_positions(self._model, asked, instances)
        self._lines.learn(token for instance in instances for token in instance.tokens)
        done: dict[int, Generated] = {}
        for group, rows in group_by_length(asked, batch_size):
            done |= self._decode(group, rows, instances)
        return [done[index] for index in range(len(instances))]

    def _decode(
        self, group: Sequence[DecodingRequest], count: int, instances: Sequence[Instance]
    ) -> dict[int, Generated]:
        """Answers to a group of questions, `count` of them at once, by the number of their
        instance.
        """
        queue = deque(group)
        prefix = shared([question.prompt for question in group]) if self._share_prefix else []
        rows = self._rows(self._model, self._tokenizer.pad_token_id, count, prefix)

        def begin(slot: int) -> SentenceState:
            question = queue.popleft()
            instance = instances[question.index]
            words, guess = self._lines.words(instance.tokens), self._draft.guess(instance)
            return SentenceState(
                question.index, words, guess, self._draft.follows, rows.start(slot, question.prompt)
            )

        slots = [begin(slot) for slot in range(count)]
        length = DraftLength(
            self._draft_length,
            self._overhead,
            *self._means([instances[question.index] for question in group]),
        )
        done: dict[int, Generated] = {}
        while slots:
            self._pass(rows, slots, length)
            left = []
            for slot, sentence in enumerate(slots):
                if len(sentence.tags) == len(sentence.words):
                    done[sentence.index] = finished(instances[sentence.index], sentence)
                    if not queue:
                        continue
                    slots[slot] = begin(slot)  # its place is taken by the next
                left.append(slot)
            if left and len(left) < len(slots):
                rows.select(left)
            slots = [slots[slot] for slot in left]
        return done

    def _means(self, instances: Sequence[Instance]) -> tuple[float, float]:
        """Words of a sentence and ids of a line tagged O, on the average."""
        words = self._lines.words([token for instance in instances for token in instance.tokens])
        return len(words) / len(instances), sum(len(word.lines[OUTSIDE]) for word in words) / len(
            words
        )

    def _pass(self, rows: Batch, sentences: Sequence[SentenceState], length: DraftLength) -> None:
        """One forward pass over the next drafted words of every sentence."""
        words = length.words(len(sentences))
        blocks = [Block(sentence, self._lines) for sentence in sentences]
        for block in blocks:
            while not block.complete and (len(block.tags) < words or not block.checks):
                block.extend()
        widest = max(block.width for block in blocks)
        for block in blocks:  # what would be padding
            while not block.complete and block.extend(widest):
                pass
        counts, before = self.counts, replace(self.counts)
        answers = self._ask(rows, blocks) if widest else [[] for _ in blocks]
        for slot, (block, answer) in enumerate(zip(blocks, answers, strict=True)):
            counts.ids += block.width
            stands = block.settle(answer, counts)
            if widest:
                rows.keep(slot, stands)
        counts.passes += widest > 0
        counts.padding += widest * len(blocks) - (counts.ids - before.ids)
        length.learn(counts.drafts_right - before.drafts_right, counts.drafts - before.drafts)

    def _ask(self, rows: Batch, blocks: Sequence[Block]) -> list[list[Decision]]:
        """The model's decision at every check of every block."""
        wanted = [(row, check.place) for row, block in enumerate(blocks) for check in block.checks]
        choices = [list(check.branch.choices) for block in blocks for check in block.checks]
        column = {
            id_: place
            for place, id_ in enumerate(sorted({id_ for choice in choices for id_ in choice}))
        }
        logits = (
            rows.read([block.ids[: block.width] for block in blocks], wanted, list(column))
            .cpu()
            .numpy()
        )
        most = max(map(len, choices))
        places = np.array(
            [[column[id_] for id_ in choice] + [0] * (most - len(choice)) for choice in choices]
        )
        missing = np.arange(most) >= np.array([[len(choice)] for choice in choices])
        scores = np.where(
            missing, -np.inf, np.take_along_axis(logits, places, 1).astype(np.float64)
        )
        best = scores.argmax(1)  # the first of equal ones
        ordered = np.sort(scores, axis=1)
        if not np.isfinite(ordered[:, -1]).all():
            remedy = "Train again with a lower learning rate, or check the weights."
            raise InputError(
                self._tokenizer.name_or_path, "logits that are no numbers", "numbers", remedy
            )
        gaps = ordered[:, -1] - ordered[:, -2]
        logps = -np.log(np.exp(scores - ordered[:, -1:]).sum(1))
        found = iter(
            Decision(choice[place], logp, gap)
            for choice, place, logp, gap in zip(
                choices, best, logps.tolist(), gaps.tolist(), strict=True
            )
        )
        return [[next(found) for _ in block.checks] for block in blocks]


def shared(prompts: Sequence[list[int]]) -> list[int]:
    """The ids that all prompts begin with; of each prompt at least one id is left over."""
    first, last = min(prompts), max(prompts)  # whatever these two share, those between them do
    most = min(map(len, prompts)) - 1
    same = next((place for place in range(most) if first[place] != last[place]), most)
    return first[:same]


def finished(instance: Instance, sentence: SentenceState) -> Generated:
    """The answer as the model would have written it."""
    text = "".join(
        response_line(token, tag) for token, tag in zip(instance.tokens, sentence.tags, strict=True)
    )
    ids = sum(len(word.lines[tag]) for word, tag in zip(sentence.words, sentence.tags, strict=True))
    confidence = [round(value, 4) for value in sentence.confidence]
    margin = [round(value, 4) if value < math.inf else None for value in sentence.margin]
    return Generated(instance.id, text, ids, True, confidence, margin)
