"""Constrained decoding: the words are given, the model chooses their tags, drafted and verified.

The answer is that of token-by-token greedy decoding in which each word may only be followed by a
legal line. A pass reads the drafted lines of the next words; if the model, at every branch, would
have gone the drafted way, the draft is its answer. Everything up to and including the first
disagreement is settled.
"""

import logging
import math
import sys
from collections import deque
from collections.abc import Sequence
from dataclasses import asdict, replace
from itertools import chain

import numpy as np
import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from bioner.data.instances import Instance
from bioner.data.raw_outputs import Generated, WordLogProbs
from bioner.data.tags import OUTSIDE, tag_set
from bioner.inference.decoding.draft_length import DraftLength, overhead_of
from bioner.inference.decoding.drafts import Draft
from bioner.inference.decoding.kv_cache import Batch, CachedBatch, batch_class
from bioner.inference.decoding.requests import (
    DecodingRequest,
    beyond_positions,
    group_by_length,
    make_requests,
    split_readable,
    unanswered,
)
from bioner.inference.decoding.sentence import Counts, Decisions, SentenceState, decide
from bioner.models.answer_trie import AnswerTrie, Branch
from bioner.models.positions import readable_ids
from bioner.models.prompt import response_line
from bioner.models.requirements import check_ids, check_logits
from bioner.models.verbalizer import Verbalizer
from bioner.settings.model_entry import Predict

log = logging.getLogger(__name__)

DEFAULTS = Predict()
NOTHING = Decisions([], [], [], np.empty((0, 0)))


class ConstrainedDecoder:
    """A model that tags sentences by constrained decoding.

    Answers name tags as the data does, however the model spells them.

    Args:
        options: an entry's: words drafted per pass, and whether I- tags must continue an entity.
        share_prefix: read the common beginning of the prompts once.
        rows: how rows are cached; None: as `batch_class` says.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        types: Sequence[str],
        draft: Draft,
        options: Predict = DEFAULTS,
        *,
        verbalizer: Verbalizer | None = None,
        share_prefix: bool = True,
        rows: type[Batch] | None = None,
    ) -> None:
        self._model, self._tokenizer, self._types, self._draft = model, tokenizer, types, draft
        self._draft_length, self._legal = options.draft_length, options.legal_transitions
        self._share_prefix = share_prefix
        self._spelling = verbalizer or Verbalizer(types)
        self._lines = AnswerTrie(tokenizer, tag_set(types), self._legal, self._spelling)
        self._rows = rows or batch_class(model)
        self._overhead = overhead_of(model)
        self._readable = readable_ids(model)
        self.counts = Counts()

    @property
    def settings(self) -> dict[str, object]:
        """How it decodes, for the run record."""
        return {
            "draft": self._draft.name,
            "draft_length": self._draft_length or "chosen",
            "legal_transitions": self._legal,
            "pass_overhead_ids": round(self._overhead, 1),
            "cached": issubclass(self._rows, CachedBatch),
        }

    @property
    def took(self) -> dict[str, float]:
        return asdict(self.counts)

    @torch.inference_mode()
    def __call__(
        self, instances: Sequence[Instance], batch_size: int, part: int = 0
    ) -> list[Generated]:
        """Return the model's answer for every instance, in order; the longest are decoded first."""
        self.counts = Counts()
        self._lines.learn(token for instance in instances for token in instance.tokens)
        requests = make_requests(
            self._tokenizer, instances, self._types, lengths=self._lines.lengths(OUTSIDE)
        )
        self.counts.beyond_positions = beyond_positions(self._model, requests, self._readable)
        requests, done = split_readable(requests, self._readable)
        check_ids(self._model, self._lines.ids.union(*(request.prompt for request in requests)))
        for group, rows in group_by_length(requests, batch_size):
            done |= self._decode(group, rows)
        self.counts.undecodable = sum(not output.stopped for output in done.values())
        return [done[index] for index in range(len(instances))]

    def _decode(self, group: Sequence[DecodingRequest], count: int) -> dict[int, Generated]:
        """Answer a group of requests, `count` of them at once; answers by number of instance."""
        queue = deque(group)
        prefix = shared([request.prompt for request in group]) if self._share_prefix else []
        rows = self._rows(self._model, self._tokenizer.pad_token_id, count, prefix)

        def begin(slot: int) -> SentenceState:
            request = queue.popleft()
            words = self._lines.words(request.instance.tokens)
            pending = rows.start(slot, request.prompt)
            room = self._readable - len(request.prompt) + len(pending)
            return SentenceState(request, words, self._draft, pending, room)

        slots = [begin(slot) for slot in range(count)]
        length = DraftLength(self._draft_length, self._overhead, *self._means(group))
        done: dict[int, Generated] = {}
        while slots:
            self._pass(rows, slots, length)
            for slot, sentence in enumerate(slots):
                if sentence.complete:
                    done[sentence.request.index] = finished(sentence)
                    if queue:
                        slots[slot] = begin(slot)
            left = [slot for slot, sentence in enumerate(slots) if not sentence.complete]
            if left and len(left) < len(slots):
                rows.select(left)
            slots = [slots[slot] for slot in left]
        return done

    def _means(self, group: Sequence[DecodingRequest]) -> tuple[float, float]:
        """Return the mean number of words per sentence, and of ids per line tagged O."""
        words = sum(len(request.instance.tokens) for request in group)
        ids = sum(request.length - len(request.prompt) - 1 for request in group)
        return words / len(group), ids / words

    def _pass(self, rows: Batch, sentences: Sequence[SentenceState], length: DraftLength) -> None:
        """Run a forward pass over the next drafted words of every sentence."""
        words = length.words(len(sentences))
        limit = balanced_width([each.expected_widths(words) for each in sentences], self._overhead)
        for sentence in sentences:
            sentence.extend(self._lines, words, limit)
            sentence.undecodable = not sentence.drafted
        widest = max(sentence.width for sentence in sentences)
        if widest < limit:
            for sentence in sentences:  # what would be padding
                sentence.extend(self._lines, sys.maxsize, widest)
        blocks = [sentence.ids[: sentence.width] for sentence in sentences]
        counts, before = self.counts, replace(self.counts)
        answers = self._ask(rows, sentences, blocks) if widest else NOTHING
        first = 0
        for slot, sentence in enumerate(sentences):
            checks = len(sentence.places)
            stands = sentence.settle(answers, first, counts)
            first += checks
            if widest:
                rows.keep(slot, stands)
        counts.passes += widest > 0
        ids = sum(map(len, blocks))
        counts.ids += ids
        counts.padding += widest * len(blocks) - ids
        length.learn(counts.drafts_right - before.drafts_right, counts.drafts - before.drafts)

    def _ask(
        self, rows: Batch, sentences: Sequence[SentenceState], blocks: Sequence[list[int]]
    ) -> Decisions:
        """Return the model's decisions at the checks, sentence by sentence."""
        checks = [len(each.places) for each in sentences]
        places = [*chain.from_iterable(each.places for each in sentences)]
        wanted = np.column_stack([np.arange(len(checks)).repeat(checks), places])
        numbers: dict[Branch, int] = {}
        branches = [
            numbers.setdefault(branch, len(numbers))
            for sentence in sentences
            for branch in sentence.branches
        ]
        ids = sorted({id_ for branch in numbers for id_ in branch.choices})
        column = {id_: number for number, id_ in enumerate(ids)}
        columns = np.full((len(numbers), max(len(branch.choices) for branch in numbers)), len(ids))
        for branch, number in numbers.items():
            columns[number, : len(branch.choices)] = [column[id_] for id_ in branch.choices]
        logits = rows.read(blocks, wanted, ids).double().cpu().numpy()
        check_logits(self._tokenizer, bool(np.isfinite(logits).all()))
        logits = np.append(logits, np.full((len(logits), 1), -np.inf), 1)
        return decide(np.take_along_axis(logits, columns[branches], 1))


def balanced_width(expected: Sequence[tuple[int, int, bool]], overhead: float) -> int:
    """Return the most ids that a row should read: the least cost per id that is not padding.

    Args:
        expected: for each row, the fewest and the most ids to read, and whether only padding can
            follow the latter.
        overhead: the cost of a pass besides its ids, in ids.
    """
    least, most, padded = np.array(expected).T
    tried = np.unique(np.maximum(most, least.max()))
    useful = np.minimum(np.where(padded, most, sys.maxsize), tried[:, None]).sum(1)
    best = np.argmin((overhead + len(expected) * tried) / useful)
    return sys.maxsize if best == len(tried) - 1 else int(tried[best])


def shared(prompts: Sequence[list[int]]) -> list[int]:
    """Return the ids that all prompts begin with; at least one id of each prompt is left over."""
    first, last = min(prompts), max(prompts)  # whatever these two share, those between them do
    most = min(map(len, prompts)) - 1
    same = next((place for place in range(most) if first[place] != last[place]), most)
    return first[:same]


def finished(sentence: SentenceState) -> Generated:
    """Return the answer as the model would have written it."""
    instance, tags = sentence.request.instance, sentence.tags
    if sentence.undecodable:
        log.warning(
            "predict: %r with its tags exceeds the model's positions; all its words are tagged O",
            instance.id,
        )
        return unanswered(instance)
    text = "".join(map(response_line, instance.tokens, tags))
    ids = sum(
        len(word.start) + len(word.endings.ids[tag])
        for word, tag in zip(sentence.words, tags, strict=True)
    )
    logps, margins = [0.0] * len(tags), [math.inf] * len(tags)
    log_probs: list[WordLogProbs] = [[] for _ in tags]
    kept: dict[Branch, tuple[int, int]] = {}
    alternatives: dict[tuple[tuple[str, ...], ...], int] = {}
    for of, branches, logp_of, gaps, all_of in sentence.decided:
        decisions = zip(of, branches, logp_of, gaps, all_of.tolist(), strict=True)
        for word, branch, logp, gap, values in decisions:
            if branch not in kept:
                choices = tuple(branch.choices.values())
                number = alternatives.setdefault(choices, len(alternatives))
                kept[branch] = number, len(choices)
            number, size = kept[branch]
            log_probs[word].append((number, values[:size]))
            logps[word] += logp
            if gap < margins[word]:
                margins[word] = gap
    return Generated(
        instance.id,
        text,
        ids,
        True,
        np.exp(logps).round(4).tolist(),
        [gap if gap < math.inf else None for gap in np.round(margins, 4).tolist()],
        [list(map(list, choices)) for choices in alternatives],
        log_probs,
    )
