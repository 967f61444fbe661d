"""A sentence in constrained decoding: what is settled, what is drafted, what the model answers.

An example, with pieces for ids: `gout :B -Dis` is settled, of which the model has read `gout :B`;
`-Dis` is pending, and `ease \\n` is the line's end. The next two words are drafted O, so the block
is

    -Dis ease \\n was :O \\n treated

It ends before `:O`, the last id that a branch decides: what follows is known without reading. Its
checks fall after `was` and after `treated`, each with the ids that may follow (`:O`, `:B`, `:I`).
Say the model answers `:O` and `:B`. Then `was` is closed with O, all seven ids stand, `:B` is
pending, and the tag of `treated` is among B-Disease and B-Chemical, with two ids of its line
settled (`depth`).
"""

import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field

from bioner.inference.decoding.drafts import Draft
from bioner.inference.decoding.requests import DecodingRequest
from bioner.models.answer_trie import AnswerTrie, Branch, TokenAnswers

MARGIN = 1e-4  # of logits: between nearer answers the order of floating-point sums may decide


@dataclass(slots=True)
class Counts:
    """What decoding took, for the run record."""

    passes: int = 0
    ids: int = 0  # read in these passes, without the padding
    padding: int = 0
    drafts: int = 0  # checked by the model
    drafts_right: int = 0
    near_ties: int = 0  # decisions won by less than MARGIN
    beyond_positions: int = 0  # sentences longer than the model has positions for
    undecodable: int = 0  # sentences that it cannot read to their end


@dataclass(slots=True)
class Check:
    """A decision to look at: the place in the block that it follows, and the id drafted next."""

    place: int
    word: int
    branch: Branch
    drafted: int


@dataclass(slots=True)
class Decision:
    """The model's choice at a branch, its log-probability among the choices, and its margin.

    `log_probs` has the log-probabilities of all choices, in their order.
    """

    id: int
    logp: float
    gap: float
    log_probs: list[float]


@dataclass(slots=True)
class SentenceState:
    """A sentence being decoded."""

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
        """Settle the next word's tag."""
        self.tags.append(tag)
        self.confidence.append(math.exp(self.logp))
        self.margin.append(self.gap)
        self.decisions.append(self.decided)
        self.depth, self.among, self.logp, self.gap, self.decided = 0, (), 0.0, math.inf, []

    def guess(self, position: int, before: str, among: Sequence[str]) -> str:
        """Guess the tag of a word that follows the tag `before`; `among` are those allowed."""
        if position in self.hints:
            tag_before, tag = self.hints[position]
            if tag in among and (tag_before == before or not self.draft.follows):
                return tag
        return self.best_of(position, before, among)

    def best_of(self, position: int, before: str, among: Sequence[str]) -> str:
        """Return the draft's likeliest tag that is allowed, else the first allowed one."""
        ranked = self.draft.guess(self.request.instance, position, before)
        return next((tag for tag in ranked if tag in among), among[0])


def width_of(checks: Sequence[Check]) -> int:
    """Return the number of ids to read for these checks."""
    return checks[-1].place + 1 if checks else 0


class Block:
    """The ids that a pass reads of a sentence: pending ones, then drafted lines.

    It ends before the last id that a branch decides.
    """

    def __init__(self, sentence: SentenceState, lines: AnswerTrie) -> None:
        self._sentence, self._lines = sentence, lines
        self._start = len(sentence.tags)  # number of its first word
        self.ids = list(sentence.pending)
        self.tags: list[str] = []
        self.checks: list[Check] = []

    @property
    def width(self) -> int:
        """The number of ids to read: those before the last decision."""
        return width_of(self.checks)

    @property
    def complete(self) -> bool:
        """Whether the sentence is drafted to its end, or cannot be decoded."""
        return self._sentence.undecodable or self._start + len(self.tags) == len(
            self._sentence.words
        )

    def extend(self, widest: int = sys.maxsize) -> bool:
        """Draft one more word.

        Returns:
            False if the block would exceed `widest` ids, or what the model can still read.
        """
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
        """Take over the model's answers to the checks; return how many of the block's ids stand.

        Answers after a disagreement were given on a wrong draft: they only serve as hints.
        """
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
        """Settle the drafted tags of the words before this one."""
        for tag in self.tags[len(self._sentence.tags) - self._start : word - self._start]:
            self._sentence.close(tag)

    def _hint(self, number: int, answers: Sequence[Decision]) -> None:
        """Note what the model answers for the words after the one that check `number` is of."""
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
