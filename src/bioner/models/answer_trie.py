"""The lines that an answer may consist of, `token:TAG` as ids, and where they branch.

Whole lines are compared, without splitting at ":", since tokenizers merge across the border of word
and tag (`:B`, `(:`).
"""

import string
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

from tokenizers.models import BPE
from transformers import PreTrainedTokenizerBase

from bioner.data.tags import OUTSIDE, split_tag
from bioner.errors import InputError
from bioner.models.prompt import line_ids, lines_ids
from bioner.models.verbalizer import Verbalizer

Line = tuple[int, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Branch:
    """A place in a line where the model decides."""

    depth: int  # ids of the ending before it
    choices: dict[int, tuple[str, ...]]  # the tags after each id; ids ascend, as argmax prefers


@dataclass(frozen=True, slots=True, eq=False)
class Route:
    """The way through the branches to a tag, and by number the choice that each must take."""

    ids: Line  # of the ending
    branches: tuple[Branch, ...]
    choices: tuple[int, ...]
    depths: tuple[int, ...]


class Endings:
    """The ends of a token's lines by tag, from where they differ; many tokens share them.

    No ending is the beginning of another, since each ends with a line end.
    """

    def __init__(self, ids: dict[str, Line]) -> None:
        self.ids = ids
        self.after: dict[str, dict[str, Route]] = {}  # routes by the tag before
        self._routes: dict[tuple[str, ...], dict[str, Route]] = {}  # and by the tags allowed then

    def distinct(self, tags: tuple[str, ...]) -> tuple[str, ...]:
        """Leave out tags whose line equals that of an earlier one (by an id for unknown pieces)."""
        first = {self.ids[tag]: tag for tag in reversed(tags)}
        return tuple(tag for tag in tags if first[self.ids[tag]] == tag)

    def routes(self, tags: tuple[str, ...]) -> dict[str, Route]:
        """Return the way to each tag if `tags` may be chosen, in their order."""
        if tags not in self._routes:
            allowed = self.distinct(tags)
            self._routes[tags] = {tag: self._route(allowed, tag) for tag in allowed}
        return self._routes[tags]

    def _route(self, tags: tuple[str, ...], tag: str) -> Route:
        left, branches, numbers = tags, [], []
        for depth, id_ in enumerate(self.ids[tag]):
            choices: dict[int, list[str]] = {}
            for other in left:
                choices.setdefault(self.ids[other][depth], []).append(other)
            if len(choices) > 1:
                ids = sorted(choices)
                branches.append(Branch(depth, {each: tuple(choices[each]) for each in ids}))
                numbers.append(ids.index(id_))
            left = tuple(choices[id_])
        depths = tuple(branch.depth for branch in branches)
        return Route(self.ids[tag], tuple(branches), tuple(numbers), depths)


@dataclass(frozen=True, slots=True)
class TokenAnswers:
    """A token's lines: the ids that all begin with, and how they end."""

    start: Line
    endings: Endings

    def line(self, tag: str) -> Line:
        return self.start + self.endings.ids[tag]


class AnswerTrie:
    """The lines of all tokens, each made once; `legal` leaves out I- tags after another type.

    `ids` has all that occur in the lines made so far.
    """

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerBase,
        tags: Sequence[str],
        legal: bool = False,
        verbalizer: Verbalizer | None = None,
    ) -> None:
        if "\n" not in tokenizer.decode(line_ids(tokenizer, "x", OUTSIDE)):
            raise InputError(
                tokenizer.name_or_path,
                "a tokenizer that drops line ends",
                "one that keeps them: an answer is a line a token",
                "Choose another model.",
            )
        self._tokenizer, self._tags, self._legal = tokenizer, tuple(tags), legal
        self._written = {tag: verbalizer[tag] if verbalizer else tag for tag in tags}
        self._words: dict[str, TokenAnswers] = {}
        self._endings: dict[tuple[Line, ...], Endings] = {}
        self._after: dict[str, Endings] = {}  # by a token's last character
        self.ids: set[int] = set()

    def learn(self, tokens: Iterable[str]) -> None:
        """Make the lines of new tokens in two tokenizer calls.

        No piece joins the last character of most tokens with the colon behind it. Byte-pair
        encoding then treats what is on either side independently, so one line shows the ids of the
        token, and any token with the same last character shows how lines end.
        """
        new = [token for token in dict.fromkeys(tokens) if token not in self._words]
        if not new:
            return
        separable = apart_from_colon(self._tokenizer, len(self._tokenizer))
        apart = [token for token in new if token[-1:] in separable]
        last = dict.fromkeys(token[-1] for token in apart)
        self._after |= {
            char: word.endings
            for char, word in self._spell([char for char in last if char not in self._after])
        }
        shown = lines_ids(
            self._tokenizer, [(token, self._written[self._tags[0]]) for token in apart]
        )
        for token, line in zip(apart, shown, strict=True):
            endings = self._after[token[-1]]
            end = len(line) - len(endings.ids[self._tags[0]])
            if tuple(line[end:]) == endings.ids[self._tags[0]]:
                self._words[token] = TokenAnswers(tuple(line[:end]), endings)
        self._words |= self._spell([token for token in new if token not in self._words])
        self.ids.update(*(self._words[token].start for token in new))

    def _spell(self, tokens: Sequence[str]) -> Iterable[tuple[str, TokenAnswers]]:
        """Yield each token with its lines, all of which are tokenized."""
        pairs = [(token, written) for token in tokens for written in self._written.values()]
        made = iter(lines_ids(self._tokenizer, pairs))
        for token in tokens:
            lines = [tuple(next(made)) for _ in self._tags]
            shared = next(
                (n for n, ids in enumerate(zip(*lines, strict=False)) if len({*ids}) > 1),
                len(lines[0]),
            )
            ends = tuple(line[shared:] for line in lines)
            if ends not in self._endings:
                self._endings[ends] = Endings(dict(zip(self._tags, ends, strict=True)))
                self.ids.update(*ends)
            yield token, TokenAnswers(lines[0][:shared], self._endings[ends])

    def words(self, tokens: Sequence[str]) -> list[TokenAnswers]:
        self.learn(tokens)
        return [self._words[token] for token in tokens]

    def lengths(self, tag: str) -> dict[str, int]:
        """Return how many ids each token's line has with this tag."""
        return {token: len(word.line(tag)) for token, word in self._words.items()}

    def routes(self, word: TokenAnswers, before: str) -> dict[str, Route]:
        """Return the way to each different line that a word may have after the tag `before`."""
        routes = word.endings.after.get(before)
        if routes is None:
            routes = word.endings.after[before] = word.endings.routes(self.after(before))
        return routes

    def after(self, tag: str) -> tuple[str, ...]:
        """Return the tags that may follow `tag` ("" before the first word)."""
        if not self._legal:
            return self._tags
        inside = f"I-{split_tag(tag)[1]}"
        return tuple(other for other in self._tags if other == inside or not other.startswith("I-"))


@lru_cache(maxsize=2)
def apart_from_colon(tokenizer: PreTrainedTokenizerBase, size: int) -> frozenset[str]:
    """Return the ASCII letters and digits that no piece joins with a colon behind them.

    Args:
        size: of the vocabulary, which may have grown since the last call.
    """
    if not isinstance(tokenizer.backend_tokenizer.model, BPE):
        return frozenset()
    pieces = tokenizer.get_vocab()
    pairs = (pair for piece in pieces if ":" in piece for pair in pairwise(piece))
    joined = "".join(char for char, behind in pairs if behind == ":")
    known = pieces.keys() & {*string.ascii_letters, *string.digits} if ":" in pieces else ()
    return frozenset(known) - {*joined.lower(), *joined.upper()}
