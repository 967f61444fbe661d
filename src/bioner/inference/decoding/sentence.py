"""A sentence on its way through constrained decoding: what is settled, what is drafted, what the
model answers to that.

An example, with pieces for ids: `gout :B -Dis` is settled, of which the model has read `gout :B`;
`-Dis` is pending, and `ease \\n` is the line's end. The next two words are drafted O, so the block
is

    -Dis ease \\n was :O \\n treated

It ends before `:O`, the last id that a branch decides: what stands behind that is known without
reading. Its checks fall after `was` and after `treated`, each with the ids that may follow (`:O`,
`:B`, `:I`). Say the model answers `:O` and `:B`. Then `was` is closed with O, all seven ids stand,
`:B` is pending, and the tag of `treated` is among B-Disease and B-Chemical, two ids of its line
being settled (`depth`).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from bioner.inference.decoding.drafts import Guess
from bioner.models.answer_trie import AnswerTrie, Branch, TokenAnswers

MARGIN = (
    1e-4  # of logits: where two answers are nearer, the order of floating-point sums may decide
)


@dataclass(slots=True)
class Counts:
    """What decoding took.

    Forward passes, ids read in them and padding beside these; drafts that were looked at and those
    that were right; decisions won by less than MARGIN; sentences longer than the model has
    positions for.
    """

    sentences: int = 0
    passes: int = 0
    ids: int = 0
    padding: int = 0
    drafts: int = 0
    drafts_right: int = 0
    near_ties: int = 0
    beyond_positions: int = 0


@dataclass(slots=True)
class Check:
    """One decision to look at: after which id of the block it falls, and which id the draft has
    there.
    """

    place: int
    word: int
    branch: Branch
    drafted: int


@dataclass(slots=True)
class Decision:
    """The model's decision at a branch, its log probability among the choices, and how far the next
    best is.
    """

    id: int
    logp: float
    gap: float


@dataclass(slots=True)
class SentenceState:
    """A sentence on its way: `pending` ids are settled and not yet read; `depth` ids of the next
    word's line are.
    """

    index: int
    words: list[TokenAnswers]
    guess: Guess
    follows: bool  # whether guesses heed the tag before
    pending: list[int]
    tags: list[str] = field(default_factory=list)
    confidence: list[float] = field(default_factory=list)
    margin: list[float] = field(default_factory=list)
    depth: int = 0
    among: tuple[
        str, ...
    ] = ()  # what the next word's tag is known to be among; empty: any that may follow
    logp: float = 0.0
    gap: float = math.inf
    hints: dict[int, tuple[str, str]] = field(
        default_factory=dict
    )  # word -> tag drafted before it, model's answer


class Block:
    """The ids a pass reads of one sentence: what is pending, then drafted lines up to the last
    branch among them.
    """

    def __init__(self, sentence: SentenceState, lines: AnswerTrie) -> None:
        self._sentence, self._lines = sentence, lines
        self.ids = list(sentence.pending)
        self.tags: list[str] = []
        self.checks: list[Check] = []

    @property
    def width(self) -> int:
        """Ids that have to be read: those before the last decision."""
        return self.checks[-1].place + 1 if self.checks else 0

    @property
    def complete(self) -> bool:
        """Whether the sentence is drafted to its end."""
        return len(self._sentence.tags) + len(self.tags) == len(self._sentence.words)

    def extend(self, widest: int | None = None) -> bool:
        """Draft one more word; False, and nothing done, where the block would become wider than
        `widest`.
        """
        sentence = self._sentence
        position = len(sentence.tags) + len(self.tags)
        first = not self.tags
        before = self.tags[-1] if self.tags else sentence.tags[-1] if sentence.tags else ""
        word, may = sentence.words[position], self._lines.after(before)
        allowed = word.distinct(may)
        among = (sentence.among if first else ()) or allowed
        tag = self._draft(position, before, among)
        line, depth = word.lines[tag], sentence.depth if first else 0
        checks = [
            Check(len(self.ids) + branch.depth - depth - 1, position, branch, line[branch.depth])
            for branch in word.branches(allowed, tag)
            if branch.depth >= depth
        ]
        if widest is not None and checks and checks[-1].place + 1 > widest:
            return False
        self.checks += checks
        self.ids += line[depth:]
        self.tags.append(tag)
        return True

    def _draft(self, position: int, before: str, among: Sequence[str]) -> str:
        hint = self._sentence.hints.get(position)
        if hint and hint[1] in among and (hint[0] == before or not self._sentence.follows):
            return hint[1]
        return best_of(self._sentence.guess(position, before), among)

    def settle(self, answers: Sequence[Decision], counts: Counts) -> int:
        """Take over what the model has answered to the checks; returns how many of the block's ids
        stand.

        Its answers behind a disagreement were given on a wrong draft: they are no more than hints
        for the next one.
        """
        sentence, start = self._sentence, len(self._sentence.tags)
        for number, (check, answer) in enumerate(zip(self.checks, answers, strict=True)):
            while len(sentence.tags) < check.word:
                self._close(self.tags[len(sentence.tags) - start])
            sentence.logp += answer.logp
            sentence.gap = min(sentence.gap, answer.gap)
            counts.near_ties += answer.gap < MARGIN
            if answer.id != check.drafted:
                counts.drafts += len(sentence.tags) - start + 1
                counts.drafts_right += len(sentence.tags) - start
                self._hint(number, answers, start)
                sentence.among = check.branch.choices[answer.id]
                sentence.depth = check.branch.depth + 1
                sentence.pending = [answer.id]
                if len(sentence.among) == 1:
                    line = sentence.words[check.word].lines[sentence.among[0]]
                    sentence.pending = list(line[check.branch.depth :])
                    self._close(sentence.among[0])
                return check.place + 1
        while len(sentence.tags) < start + len(self.tags):
            self._close(self.tags[len(sentence.tags) - start])
        counts.drafts += len(self.tags)
        counts.drafts_right += len(self.tags)
        sentence.pending = self.ids[self.width :]
        return self.width

    def _close(self, tag: str) -> None:
        """The next word has this tag."""
        sentence = self._sentence
        sentence.tags.append(tag)
        sentence.confidence.append(math.exp(sentence.logp))
        sentence.margin.append(sentence.gap)
        sentence.depth, sentence.among, sentence.logp, sentence.gap = 0, (), 0.0, math.inf

    def _hint(self, number: int, answers: Sequence[Decision], start: int) -> None:
        """Note what the model has answered for the words behind the check of this number."""
        told: dict[int, str] = {}
        for check, answer in zip(self.checks[number + 1 :], answers[number + 1 :], strict=True):
            if (
                check.word not in told
                and answer.id != check.drafted
                and check.word > self.checks[number].word
            ):
                before = self.tags[check.word - start - 1]
                told[check.word] = best_of(
                    self._sentence.guess(check.word, before), check.branch.choices[answer.id]
                )
        for word in range(self.checks[number].word + 1, self.checks[-1].word + 1):
            before, drafted = self.tags[word - start - 1 : word - start + 1]
            self._sentence.hints[word] = before, told.get(word, drafted)


def best_of(ranked: Sequence[str], among: Sequence[str]) -> str:
    """The first of the ranked tags that may be chosen, else the first that may be."""
    return next((tag for tag in ranked if tag in among), among[0])
