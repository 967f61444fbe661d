"""A frozen copy of constrained decoding before its host time was reduced, as a baseline.

The cache and the model are the current ones.
"""

import math
import sys
from collections import Counter, defaultdict, deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from bioner.data.instances import Instance
from bioner.data.raw_outputs import DECIMALS, Generated, WordLogProbs
from bioner.data.tags import OUTSIDE, tag_set
from bioner.inference.decoding.constrained import shared
from bioner.inference.decoding.draft_length import DraftLength, overhead_of
from bioner.inference.decoding.drafts import Draft
from bioner.inference.decoding.kv_cache import Batch
from bioner.inference.decoding.requests import DecodingRequest, group_by_length
from bioner.inference.decoding.sentence import MARGIN, Counts
from bioner.models.positions import readable_ids
from bioner.models.prompt import prompt_text, response_line
from bioner.settings.model_entry import Predict

Line = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Branch:
    depth: int  # ids of the line before it
    choices: dict[int, tuple[str, ...]]  # the tags after each id; ids ascend, as argmax prefers


class TokenAnswers:
    def __init__(self, lines: dict[str, Line]) -> None:
        self.lines = lines
        self._branches: dict[tuple[tuple[str, ...], str], list[Branch]] = {}

    def distinct(self, tags: tuple[str, ...]) -> tuple[str, ...]:
        first = {self.lines[tag]: tag for tag in reversed(tags)}
        return tuple(tag for tag in tags if first[self.lines[tag]] == tag)

    def branches(self, tags: tuple[str, ...], tag: str) -> list[Branch]:
        key = tags, tag
        if key not in self._branches:
            self._branches[key] = list(self._decisions(tags, self.lines[tag]))
        return self._branches[key]

    def _decisions(self, tags: Sequence[str], line: Line) -> Iterable[Branch]:
        left = tags
        for depth, id_ in enumerate(line):
            choices: dict[int, list[str]] = {}
            for tag in left:
                choices.setdefault(self.lines[tag][depth], []).append(tag)
            if len(choices) > 1:
                yield Branch(depth, {id_: tuple(choices[id_]) for id_ in sorted(choices)})
            left = choices[id_]


class AnswerTrie:
    """Every token's line for every tag, all tokenized."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase, tags: Sequence[str]) -> None:
        self._tokenizer, self._tags = tokenizer, tuple(tags)
        self._words: dict[str, TokenAnswers] = {}

    def learn(self, tokens: Iterable[str]) -> None:
        new = [token for token in dict.fromkeys(tokens) if token not in self._words]
        made = iter(
            lines_ids(self._tokenizer, [(token, tag) for token in new for tag in self._tags])
        )
        for token in new:
            self._words[token] = TokenAnswers({tag: tuple(next(made)) for tag in self._tags})

    def words(self, tokens: Sequence[str]) -> list[TokenAnswers]:
        self.learn(tokens)
        return [self._words[token] for token in tokens]

    def after(self, tag: str) -> tuple[str, ...]:
        return self._tags


def encoded(tokenizer: PreTrainedTokenizerBase, texts: list[str]) -> list[list[int]]:
    return tokenizer(texts, add_special_tokens=False, split_special_tokens=True)["input_ids"]


def lines_ids(tokenizer: PreTrainedTokenizerBase, pairs: list[tuple[str, str]]) -> list[list[int]]:
    if not pairs:
        return []
    newline = len(encoded(tokenizer, ["\n"])[0])
    texts = ["\n" + response_line(token, tag) for token, tag in pairs]
    return [ids[newline:] for ids in encoded(tokenizer, texts)]


def make_requests(
    tokenizer: PreTrainedTokenizerBase, instances: Sequence[Instance], types: Sequence[str]
) -> list[DecodingRequest]:
    requests = []
    for index, instance in enumerate(instances):
        (prompt,) = encoded(tokenizer, [prompt_text(instance.tokens, types)])
        prompt = [tokenizer.bos_token_id, *prompt]
        lines = lines_ids(tokenizer, [(token, OUTSIDE) for token in instance.tokens])
        length = len(prompt) + sum(map(len, lines)) + 1
        requests.append(DecodingRequest(index, instance, prompt, length))
    return sorted(requests, key=lambda request: (-request.length, request.index))


def tag_table(train: Iterable[Instance]) -> Draft:
    counts: dict[tuple[str, ...], Counter[str]] = defaultdict(Counter)
    for instance in train:
        for position, tag in enumerate(instance.tags):
            before = instance.tags[position - 1] if position else ""
            for key in _keys(instance.tokens, position, before):
                counts[key][tag] += 1
    table = {
        key: sorted(counter, key=lambda tag: (-counter[tag], tag))
        for key, counter in counts.items()
    }

    def guess(instance: Instance, position: int, before: str) -> Sequence[str]:
        found = (table.get(key, ()) for key in _keys(instance.tokens, position, before))
        return tuple(dict.fromkeys(tag for tags in found for tag in tags)) or (OUTSIDE,)

    return Draft("table", guess, follows=True)


def _keys(tokens: Sequence[str], position: int, before: str) -> list[tuple[str, ...]]:
    word = tokens[position].lower()
    behind = tokens[position + 1].lower() if position + 1 < len(tokens) else ""
    shape = "".join(
        "0" if char.isdigit() else "A" if char.isupper() else "a" for char in tokens[position]
    )[:4]
    return [
        ("word and next", before, word, behind),
        ("word", before, word),
        ("look", before, word[-3:], shape),
        ("next", before, behind),
        ("tag", before),
    ]


@dataclass(slots=True)
class Check:
    place: int
    word: int
    branch: Branch
    drafted: int


@dataclass(slots=True)
class Decision:
    id: int
    logp: float
    gap: float
    log_probs: list[float]


@dataclass(slots=True)
class SentenceState:
    request: DecodingRequest
    words: list[TokenAnswers]
    draft: Draft
    pending: list[int]  # settled ids that the model has not read
    room: int  # ids that it can still read
    tags: list[str] = field(default_factory=list)
    confidence: list[float] = field(default_factory=list)
    margin: list[float] = field(default_factory=list)
    decisions: list[list[tuple[Branch, Decision]]] = field(default_factory=list)
    depth: int = 0  # settled ids of the next word's line
    among: tuple[str, ...] = ()  # tags that these leave for the next word; empty: all allowed ones
    logp: float = 0.0
    gap: float = math.inf
    decided: list[tuple[Branch, Decision]] = field(default_factory=list)  # of the next word
    undecodable: bool = False
    # By word: the tag drafted before it, and the model's answer, given on a wrong draft.
    hints: dict[int, tuple[str, str]] = field(default_factory=dict)

    @property
    def complete(self) -> bool:
        return self.undecodable or len(self.tags) == len(self.words)

    def close(self, tag: str) -> None:
        self.tags.append(tag)
        self.confidence.append(math.exp(self.logp))
        self.margin.append(self.gap)
        self.decisions.append(self.decided)
        self.depth, self.among, self.logp, self.gap, self.decided = 0, (), 0.0, math.inf, []

    def guess(self, position: int, before: str, among: Sequence[str]) -> str:
        if position in self.hints:
            tag_before, tag = self.hints[position]
            if tag in among and (tag_before == before or not self.draft.follows):
                return tag
        return self.best_of(position, before, among)

    def best_of(self, position: int, before: str, among: Sequence[str]) -> str:
        ranked = self.draft.guess(self.request.instance, position, before)
        return next((tag for tag in ranked if tag in among), among[0])


def width_of(checks: Sequence[Check]) -> int:
    return checks[-1].place + 1 if checks else 0


class Block:
    def __init__(self, sentence: SentenceState, lines: AnswerTrie) -> None:
        self._sentence, self._lines = sentence, lines
        self._start = len(sentence.tags)  # number of its first word
        self.ids = list(sentence.pending)
        self.tags: list[str] = []
        self.checks: list[Check] = []

    @property
    def width(self) -> int:
        return width_of(self.checks)

    @property
    def complete(self) -> bool:
        return self._sentence.undecodable or self._start + len(self.tags) == len(
            self._sentence.words
        )

    def extend(self, widest: int = sys.maxsize) -> bool:
        sentence = self._sentence
        position = self._start + len(self.tags)
        depth, among = (0, ()) if self.tags else (sentence.depth, sentence.among)
        before = (sentence.tags + self.tags)[-1] if position else ""
        word = sentence.words[position]
        allowed = word.distinct(self._lines.after(before))

        def checks_of(tag: str) -> list[Check]:
            line, end = word.lines[tag], len(self.ids) - depth
            return [
                Check(end + branch.depth - 1, position, branch, line[branch.depth])
                for branch in word.branches(allowed, tag)
                if branch.depth >= depth
            ]

        tag = sentence.guess(position, before, among or allowed)
        checks = checks_of(tag)
        if not self.tags and width_of(checks) > sentence.room:
            # The drafted line does not fit: the tag that needs the fewest ids is tried instead.
            tag = min(among or allowed, key=lambda tag: width_of(checks_of(tag)))
            checks = checks_of(tag)
        if width_of(checks) > min(widest, sentence.room):
            return False
        self.checks += checks
        self.ids += word.lines[tag][depth:]
        self.tags.append(tag)
        return True

    def settle(self, answers: Sequence[Decision], counts: Counts) -> int:
        sentence = self._sentence
        for number, (check, answer) in enumerate(zip(self.checks, answers, strict=True)):
            self._close_up_to(check.word)
            sentence.logp += answer.logp
            sentence.gap = min(sentence.gap, answer.gap)
            sentence.decided.append((check.branch, answer))
            counts.near_ties += answer.gap < MARGIN
            if answer.id != check.drafted:
                counts.drafts += check.word - self._start + 1
                counts.drafts_right += check.word - self._start
                self._hint(number, answers)
                sentence.among = check.branch.choices[answer.id]
                sentence.depth = check.branch.depth + 1
                sentence.pending = [answer.id]
                if len(sentence.among) == 1:
                    line = sentence.words[check.word].lines[sentence.among[0]]
                    sentence.pending = list(line[check.branch.depth :])
                    sentence.close(sentence.among[0])
                return check.place + 1
        self._close_up_to(self._start + len(self.tags))
        counts.drafts += len(self.tags)
        counts.drafts_right += len(self.tags)
        sentence.pending = self.ids[self.width :]
        return self.width

    def _close_up_to(self, word: int) -> None:
        for tag in self.tags[len(self._sentence.tags) - self._start : word - self._start]:
            self._sentence.close(tag)

    def _hint(self, number: int, answers: Sequence[Decision]) -> None:
        sentence, wrong = self._sentence, self.checks[number].word
        for word in range(wrong + 1, self.checks[-1].word + 1):
            before, drafted = self.tags[word - self._start - 1 : word - self._start + 1]
            sentence.hints[word] = before, drafted
        # Backwards, so that of a word's disagreements the first is noted.
        for check, answer in reversed(list(zip(self.checks, answers, strict=True))):
            if check.word > wrong and answer.id != check.drafted:
                before, _ = sentence.hints[check.word]
                among = check.branch.choices[answer.id]
                sentence.hints[check.word] = before, sentence.best_of(check.word, before, among)


class DecoderBefore:
    """ConstrainedDecoder as it was; arguments as there."""

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        types: Sequence[str],
        draft: Draft,
        options: Predict,
        *,
        rows: type[Batch],
    ) -> None:
        self._model, self._tokenizer, self._types, self._draft = model, tokenizer, types, draft
        self._draft_length = options.draft_length
        self._lines = AnswerTrie(tokenizer, tag_set(types))
        self._rows = rows
        self._overhead = overhead_of(model)
        self._readable = readable_ids(model)
        self.counts = Counts()

    @torch.inference_mode()
    def __call__(
        self, instances: Sequence[Instance], batch_size: int, part: int = 0
    ) -> list[Generated]:
        self.counts = Counts()
        requests = make_requests(self._tokenizer, instances, self._types)
        done: dict[int, Generated] = {}
        self._lines.learn(token for instance in instances for token in instance.tokens)
        for group, rows in group_by_length(requests, batch_size):
            done |= self._decode(group, rows)
        return [done[index] for index in range(len(instances))]

    def _decode(self, group: Sequence[DecodingRequest], count: int) -> dict[int, Generated]:
        queue = deque(group)
        prefix = shared([request.prompt for request in group])
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
        words = self._lines.words([token for request in group for token in request.instance.tokens])
        ids = sum(len(word.lines[OUTSIDE]) for word in words)
        return len(words) / len(group), ids / len(words)

    def _pass(self, rows: Batch, sentences: Sequence[SentenceState], length: DraftLength) -> None:
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
        checks = [check for block in blocks for check in block.checks]
        places = [(row, check.place) for row, block in enumerate(blocks) for check in block.checks]
        ids = sorted({id_ for check in checks for id_ in check.branch.choices})
        column = {id_: number for number, id_ in enumerate(ids)}
        logits = rows.read([block.ids[: block.width] for block in blocks], places, ids)
        assert logits.isfinite().all()
        return [
            decision({id_: row[column[id_]] for id_ in check.branch.choices})
            for check, row in zip(checks, logits.tolist(), strict=True)
        ]


def decision(logits: Mapping[int, float]) -> Decision:
    second, best = sorted(logits.values())[-2:]
    chosen = next(id_ for id_, logit in logits.items() if logit == best)
    log_total = math.log(math.fsum(math.exp(logit - best) for logit in logits.values()))
    log_probs = [logit - best - log_total for logit in logits.values()]
    return Decision(chosen, -log_total, best - second, log_probs)


def finished(sentence: SentenceState) -> Generated:
    instance, tags = sentence.request.instance, sentence.tags
    text = "".join(map(response_line, instance.tokens, tags))
    ids = sum(len(word.lines[tag]) for word, tag in zip(sentence.words, tags, strict=True))
    confidence = [round(value, 4) for value in sentence.confidence]
    margin = [round(value, 4) if value < math.inf else None for value in sentence.margin]
    return Generated(instance.id, text, ids, True, confidence, margin, *kept_log_probs(sentence))


def kept_log_probs(
    sentence: SentenceState,
) -> tuple[list[list[list[str]]], list[WordLogProbs]]:
    numbers: dict[tuple[tuple[str, ...], ...], int] = {}
    words: list[WordLogProbs] = []
    for decisions in sentence.decisions:
        words.append([])
        for branch, decision in decisions:
            number = numbers.setdefault(tuple(branch.choices.values()), len(numbers))
            rounded = [min(0.0, round(value, DECIMALS)) for value in decision.log_probs]
            words[-1].append((number, rounded))
    return [[list(tags) for tags in alternatives] for alternatives in numbers], words
