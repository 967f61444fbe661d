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

import sys
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from itertools import accumulate

import numpy as np

from bioner.data.raw_outputs import DECIMALS
from bioner.data.tags import OUTSIDE
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
class Decisions:
    """The model's choices at the checks of a pass: a value per check.

    Attributes:
        chosen: number of the choice.
        logp: its log-probability among the choices.
        gap: the margin by which it was won.
        log_probs: rounded log-probabilities of all choices, in their order.
    """

    chosen: list[int]
    logp: list[float]
    gap: list[float]
    log_probs: np.ndarray


def decide(logits: np.ndarray) -> Decisions:
    """Choose the largest logit at each check, the first of equal ones.

    Args:
        logits: [checks, choices]; -inf in the place of a choice that a check lacks.
    """
    ordered = np.sort(logits, 1)
    below = logits - ordered[:, -1:]
    log_total = np.log(np.exp(below).sum(1))
    log_probs = np.minimum(np.round(below - log_total[:, None], DECIMALS), 0.0)
    return Decisions(
        logits.argmax(1).tolist(),
        (-log_total).tolist(),
        (ordered[:, -1] - ordered[:, -2]).tolist(),
        log_probs + 0.0,  # no -0.0
    )


@dataclass(slots=True)
class SentenceState:
    """A sentence being decoded: settled words, then drafted ones.

    Checks are lists with a value per decision that the model is asked for: the place in `ids` that
    it follows, the number of its word, its branch, and the choice that is drafted.
    """

    request: DecodingRequest
    words: list[TokenAnswers]
    draft: Draft
    ids: list[int]  # settled or drafted, not read yet
    room: int  # ids that the model can still read
    tags: list[str] = field(default_factory=list)  # settled
    drafted: list[str] = field(default_factory=list)  # tags of the words after them
    places: list[int] = field(default_factory=list)
    numbers: list[int] = field(default_factory=list)
    branches: list[Branch] = field(default_factory=list)
    choices: list[int] = field(default_factory=list)
    depth: int = 0  # settled ids of the next word's line
    among: tuple[str, ...] = ()  # tags that these leave for the next word; empty: all allowed ones
    undecodable: bool = False
    # By word: the tag drafted before it, and the model's answer, given on a wrong draft.
    hints: dict[int, tuple[str, str]] = field(default_factory=dict)
    # By pass: words' numbers, branches, log-probabilities, margins, and those of all choices.
    decided: list[tuple[list[int], list[Branch], list[float], list[float], np.ndarray]] = field(
        default_factory=list
    )
    rest: list[int] = field(init=False)  # ids of the words from each on, tagged O

    def __post_init__(self) -> None:
        lengths = [len(word.start) + len(word.endings.ids[OUTSIDE]) for word in self.words[::-1]]
        self.rest = [*accumulate(lengths, initial=0)][::-1]

    @property
    def complete(self) -> bool:
        return self.undecodable or len(self.tags) == len(self.words)

    @property
    def width(self) -> int:
        """The number of ids to read: those before the last decision."""
        return self.places[-1] + 1 if self.places else 0

    def expected_widths(self, count: int) -> tuple[int, int, bool]:
        """Estimate the ids to read for one word and for `count` words, all tagged O.

        Returns:
            Both numbers, and whether the sentence ends with these words.
        """
        first = len(self.tags)
        end = min(first + count, len(self.words))
        least, most = (len(self.ids) + self.rest[first] - self.rest[to] for to in (first + 1, end))
        return least, most, end == len(self.words)

    def extend(self, lines: AnswerTrie, count: int, widest: int = sys.maxsize) -> None:
        """Draft a word, and more until there are `count` with at least one check.

        It ends before a further word for whose decisions more than `widest` ids would be read.
        """
        words, ids, drafted, places = self.words, self.ids, self.drafted, self.places
        if not (drafted or self._begin(lines)):
            return
        most = min(widest, self.room)
        position, before = len(self.tags) + len(drafted), drafted[-1]
        while position < len(words) and (len(drafted) < count or not places):
            word = words[position]
            routes = lines.routes(word, before)
            before = self.guess(position, before, routes)
            route = routes[before]
            if route.depths:
                begin = len(ids) + len(word.start) - 1
                if begin + route.depths[-1] >= most:
                    break
                places += [begin + depth for depth in route.depths]
                self.numbers += [position] * len(route.depths)
                self.branches += route.branches
                self.choices += route.choices
            ids += word.start
            ids += route.ids
            drafted.append(before)
            position += 1

    def _begin(self, lines: AnswerTrie) -> bool:
        """Draft the next word, of which some ids may be settled; return whether it can be read."""
        position = len(self.tags)
        word = self.words[position]
        before = self.tags[-1] if self.tags else ""
        routes = lines.routes(word, before)
        among = self.among or routes
        known = self.depth - len(word.start)
        begin = len(self.ids) - known - 1

        def places_of(tag: str) -> list[int]:
            return [begin + depth for depth in routes[tag].depths if depth >= known]

        tag = self.guess(position, before, among)
        places = places_of(tag)
        if places and places[-1] >= self.room:
            # The drafted line does not fit: the tag that needs the fewest ids is tried instead.
            tag = min(among, key=lambda tag: places_of(tag)[-1:] or [-1])
            places = places_of(tag)
            if places and places[-1] >= self.room:
                return False
        settled = len(routes[tag].depths) - len(places)
        self.places += places
        self.numbers += [position] * len(places)
        self.branches += routes[tag].branches[settled:]
        self.choices += routes[tag].choices[settled:]
        self.ids += word.line(tag)[self.depth :]
        self.drafted.append(tag)
        return True

    def guess(self, position: int, before: str, among: Collection[str]) -> str:
        """Guess the tag of a word that follows the tag `before`; `among` are those allowed."""
        tag_before, tag = self.hints.get(position, ("", ""))
        if tag in among and (tag_before == before or not self.draft.follows):
            return tag
        return self.best_of(position, before, among)

    def best_of(self, position: int, before: str, among: Collection[str]) -> str:
        """Return the draft's likeliest tag that is allowed, else the first allowed one."""
        for tag in self.draft.guess(self.request.instance, position, before):
            if tag in among:
                return tag
        return next(iter(among))

    def settle(self, answers: Decisions, first: int, counts: Counts) -> int:
        """Take over the model's decisions; return how many of the ids that were read stand.

        Answers after a disagreement were given on a wrong draft: they only serve as hints.

        Args:
            answers: of the whole pass; those to this sentence begin at number `first`.
        """
        checks = right = len(self.places)
        chosen = answers.chosen[first : first + checks]
        if chosen != self.choices:
            right = next(check for check in range(checks) if chosen[check] != self.choices[check])
        taken = min(right + 1, checks)
        at = slice(first, first + taken)
        values = answers.logp[at], answers.gap[at], answers.log_probs[at]
        self.decided.append((self.numbers[:taken], self.branches[:taken], *values))
        counts.near_ties += sum(gap < MARGIN for gap in answers.gap[at])
        stands = self.places[taken - 1] + 1 if taken else 0
        self.room -= stands
        if right < checks:
            whole = self.numbers[right] - len(self.tags)
            self._hint(right, chosen)
            self._correct(right, chosen[right])
        else:
            whole = len(self.drafted)
            self.tags += self.drafted
            self._restart(self.ids[stands:])
        counts.drafts += whole + (right < checks)
        counts.drafts_right += whole
        return stands

    def _restart(self, ids: list[int], depth: int = 0, among: tuple[str, ...] = ()) -> None:
        """Begin a new draft after these settled ids."""
        self.ids, self.depth, self.among = ids, depth, among
        self.drafted, self.places, self.numbers, self.branches, self.choices = [], [], [], [], []

    def _correct(self, wrong: int, chosen: int) -> None:
        """Settle the choice at check `wrong`, and drop the draft after it."""
        number, branch = self.numbers[wrong], self.branches[wrong]
        word = self.words[number]
        depth = len(word.start) + branch.depth
        id_, among = list(branch.choices.items())[chosen]
        self.tags += self.drafted[: number - len(self.tags)]
        if len(among) == 1:
            self.tags.append(among[0])
            self._restart(list(word.line(among[0])[depth:]))
        else:
            self._restart([id_], depth + 1, among)

    def _hint(self, wrong: int, chosen: Sequence[int]) -> None:
        """Note what the model answers for the words after the one that check `wrong` is of."""
        numbers, word = self.numbers, self.numbers[wrong]
        first, end = word + 1 - len(self.tags), numbers[-1] + 1 - len(self.tags)
        pairs = zip(self.drafted[first - 1 : end - 1], self.drafted[first:end], strict=True)
        self.hints.update(enumerate(pairs, word + 1))
        # Backwards, so that of a word's disagreements the first is noted.
        for check in range(len(chosen) - 1, wrong, -1):
            if chosen[check] != self.choices[check] and numbers[check] > word:
                before, _ = self.hints[numbers[check]]
                among = list(self.branches[check].choices.values())[chosen[check]]
                self.hints[numbers[check]] = before, self.best_of(numbers[check], before, among)
