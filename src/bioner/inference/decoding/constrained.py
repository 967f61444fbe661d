"""Constrained decoding: the words are given, the model chooses their tags, drafted and verified.

The answer is that of token-by-token greedy decoding in which each word may only be followed by a
legal line. A pass reads the drafted lines of the next words; if the model, at every branch, would
have gone the drafted way, the draft is its answer. Everything up to and including the first
disagreement is settled.
"""

import logging
import math
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from bioner.data.instances import Instance
from bioner.data.raw_outputs import Generated, WordLogProbs, rounded_log_probs
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
from bioner.inference.decoding.sentence import Block, Counts, Decision, SentenceState
from bioner.models.answer_trie import AnswerTrie
from bioner.models.positions import readable_ids
from bioner.models.prompt import response_line
from bioner.models.requirements import check_ids, check_logits
from bioner.models.verbalizer import Verbalizer
from bioner.settings.model_entry import Predict

log = logging.getLogger(__name__)

DEFAULTS = Predict()


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
        requests = make_requests(self._tokenizer, instances, self._types, self._spelling[OUTSIDE])
        self.counts.beyond_positions = beyond_positions(self._model, requests, self._readable)
        requests, done = split_readable(requests, self._readable)
        self._lines.learn(token for instance in instances for token in instance.tokens)
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
        words = self._lines.words([token for request in group for token in request.instance.tokens])
        ids = sum(len(word.lines[OUTSIDE]) for word in words)
        return len(words) / len(group), ids / len(words)

    def _pass(self, rows: Batch, sentences: Sequence[SentenceState], length: DraftLength) -> None:
        """Run a forward pass over the next drafted words of every sentence."""
        words = length.words(len(sentences))
        blocks = [Block(sentence, self._lines) for sentence in sentences]
        for sentence, block in zip(sentences, blocks, strict=True):
            while not block.complete and (len(block.tags) < words or not block.checks):
                if not block.extend():
                    # What was drafted before is asked first: it may turn out shorter.
                    sentence.undecodable = not block.tags
                    break
        widest = max(block.width for block in blocks)
        for block in blocks:  # what would be padding
            while not block.complete and block.extend(widest):
                pass
        counts, before = self.counts, replace(self.counts)
        answers = iter(self._ask(rows, blocks) if widest else ())
        for slot, block in enumerate(blocks):
            counts.ids += block.width
            stands = block.settle([next(answers) for _ in block.checks], counts)
            sentences[slot].room -= stands
            if widest:
                rows.keep(slot, stands)
        counts.passes += widest > 0
        counts.padding += widest * len(blocks) - (counts.ids - before.ids)
        length.learn(counts.drafts_right - before.drafts_right, counts.drafts - before.drafts)

    def _ask(self, rows: Batch, blocks: Sequence[Block]) -> list[Decision]:
        """Return the model's decisions at all checks, block by block."""
        checks = [check for block in blocks for check in block.checks]
        places = [(row, check.place) for row, block in enumerate(blocks) for check in block.checks]
        ids = sorted({id_ for check in checks for id_ in check.branch.choices})
        column = {id_: number for number, id_ in enumerate(ids)}
        logits = rows.read([block.ids[: block.width] for block in blocks], places, ids)
        check_logits(self._tokenizer, bool(logits.isfinite().all()))
        return [
            decision({id_: row[column[id_]] for id_ in check.branch.choices})
            for check, row in zip(checks, logits.tolist(), strict=True)
        ]


def decision(logits: Mapping[int, float]) -> Decision:
    """Decide for the id with the largest logit, the first of equal ones."""
    second, best = sorted(logits.values())[-2:]
    chosen = next(id_ for id_, logit in logits.items() if logit == best)
    log_total = math.log(math.fsum(math.exp(logit - best) for logit in logits.values()))
    log_probs = [logit - best - log_total for logit in logits.values()]
    return Decision(chosen, -log_total, best - second, log_probs)


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
    ids = sum(len(word.lines[tag]) for word, tag in zip(sentence.words, tags, strict=True))
    confidence = [round(value, 4) for value in sentence.confidence]
    margin = [round(value, 4) if value < math.inf else None for value in sentence.margin]
    return Generated(instance.id, text, ids, True, confidence, margin, *kept_log_probs(sentence))


def kept_log_probs(
    sentence: SentenceState,
) -> tuple[list[list[list[str]]], list[WordLogProbs]]:
    """Return the alternatives and log-probabilities of a sentence's decisions, as they are kept."""
    numbers: dict[tuple[tuple[str, ...], ...], int] = {}
    words: list[WordLogProbs] = []
    for decisions in sentence.decisions:
        words.append([])
        for branch, decision in decisions:
            number = numbers.setdefault(tuple(branch.choices.values()), len(numbers))
            words[-1].append((number, rounded_log_probs(decision.log_probs)))
    return [[list(tags) for tags in alternatives] for alternatives in numbers], words
