"""The lines that an answer may consist of, `token:TAG` as ids, and where they branch.

Whole lines are compared, without splitting at ":", since tokenizers merge across the border of word
and tag (`:B`, `(:`).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from transformers import PreTrainedTokenizerBase

from bioner.data.tags import OUTSIDE, split_tag
from bioner.errors import InputError
from bioner.models.prompt import line_ids, lines_ids
from bioner.models.verbalizer import Verbalizer

Line = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Branch:
    """A place in a line where the model decides."""

    depth: int  # ids of the line before it
    choices: dict[int, tuple[str, ...]]  # the tags after each id; ids ascend, as argmax prefers


class TokenAnswers:
    """A token's line for every tag; none begins another, since each ends with a line end."""

    def __init__(self, lines: dict[str, Line]) -> None:
        self.lines = lines
        self._branches: dict[tuple[tuple[str, ...], str], list[Branch]] = {}

    def distinct(self, tags: tuple[str, ...]) -> tuple[str, ...]:
        """Leave out tags whose line equals that of an earlier one (by an id for unknown pieces)."""
        first = {self.lines[tag]: tag for tag in reversed(tags)}
        return tuple(tag for tag in tags if first[self.lines[tag]] == tag)

    def branches(self, tags: tuple[str, ...], tag: str) -> list[Branch]:
        """Return the decisions on the way to `tag` if `tags` may be chosen."""
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
        self.ids: set[int] = set()

    def learn(self, tokens: Iterable[str]) -> None:
        """Make the lines of new tokens in one tokenizer call."""
        new = [token for token in dict.fromkeys(tokens) if token not in self._words]
        pairs = [(token, written) for token in new for written in self._written.values()]
        made = iter(lines_ids(self._tokenizer, pairs))
        for token in new:
            self._words[token] = TokenAnswers({tag: tuple(next(made)) for tag in self._tags})
            self.ids.update(*self._words[token].lines.values())

    def words(self, tokens: Sequence[str]) -> list[TokenAnswers]:
        self.learn(tokens)
        return [self._words[token] for token in tokens]

    def after(self, tag: str) -> tuple[str, ...]:
        """Return the tags that may follow `tag` ("" before the first word)."""
        if not self._legal:
            return self._tags
        inside = f"I-{split_tag(tag)[1]}"
        return tuple(other for other in self._tags if other == inside or not other.startswith("I-"))
