"""The lines an answer may consist of: `token:TAG` for every legal tag, as ids, and where the choice
between them falls.

Branches on whole lines, never on ":", since tokenizers merge across the border of word and tag
(`:B`, `(:`).
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
    """A place in a line where the model decides: how many ids stand before it, and the tags behind
    each id.

    `choices` has the ids in ascending order: the first of equal ones is the answer, as `argmax` has
    it.
    """

    depth: int
    choices: dict[int, tuple[str, ...]]


class TokenAnswers:
    """One token with a line for every tag; none is the beginning of another, for each ends with a
    line end.
    """

    def __init__(self, lines: dict[str, Line]) -> None:
        self.lines = lines
        self._distinct: dict[tuple[str, ...], tuple[str, ...]] = {}
        self._branches: dict[tuple[tuple[str, ...], str], list[Branch]] = {}

    def distinct(self, tags: tuple[str, ...]) -> tuple[str, ...]:
        """Those tags without any whose line is that of an earlier one (an id may stand for anything
        unknown).
        """
        if tags not in self._distinct:
            first = {self.lines[tag]: tag for tag in reversed(tags)}
            self._distinct[tags] = tuple(tag for tag in tags if first[self.lines[tag]] == tag)
        return self._distinct[tags]

    def branches(self, tags: tuple[str, ...], tag: str) -> list[Branch]:
        """The decisions on the way to `tag`, where `tags` may be chosen."""
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
    """All tokens' lines, each made once; `legal` leaves out the tags that continue nothing (I-
    after another type).
    """

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerBase,
        tags: Sequence[str],
        legal: bool = False,
        verbalizer: Verbalizer | None = None,
    ) -> None:
        if "\n" not in tokenizer.decode(line_ids(tokenizer, "x", OUTSIDE)):
            found, expected = (
                "a tokenizer that drops line ends",
                "one that keeps them: an answer is a line a token",
            )
            raise InputError(tokenizer.name_or_path, found, expected, "Choose another model.")
        self._tokenizer, self._tags = tokenizer, tuple(tags)
        self._written = {tag: verbalizer[tag] if verbalizer else tag for tag in tags}
        self._words: dict[str, TokenAnswers] = {}
        self._after = dict.fromkeys(("", *tags), self._tags)
        if legal:
            for before in self._after:
                type_ = split_tag(before)[1]
                self._after[before] = tuple(
                    tag for tag in tags if not tag.startswith("I-") or tag[2:] == type_
                )

    def learn(self, tokens: Iterable[str]) -> None:
        """Make the lines of tokens not seen yet, in one call of the tokenizer."""
        new = [token for token in dict.fromkeys(tokens) if token not in self._words]
        pairs = [(token, written) for token in new for written in self._written.values()]
        made = iter(lines_ids(self._tokenizer, pairs))
        for token in new:
            self._words[token] = TokenAnswers({tag: tuple(next(made)) for tag in self._tags})

    def words(self, tokens: Sequence[str]) -> list[TokenAnswers]:
        """Each token's lines."""
        self.learn(tokens)
        return [self._words[token] for token in tokens]

    def after(self, tag: str) -> tuple[str, ...]:
        """The tags that may follow `tag`; before the first word that is the empty string."""
        return self._after[tag]
