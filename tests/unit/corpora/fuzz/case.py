"""A sound corpus in a format, and what a damage makes of it."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from tests.unit.corpora.fuzz.made import Document, Gold, Spoil, gold_of
from tests.unit.corpora.fuzz.written import Format, Pieces


class Damaged(NamedTuple):
    """Damaged files by name, and what may be read of them.

    `wholes` are the readings of all of it, empty if that is unknown; `parts` are documents that
    must be there in any case.
    """

    files: dict[str, bytes]
    wholes: Sequence[Gold] = ()
    parts: Sequence[Gold] = ()
    must_read: bool = False


@dataclass(frozen=True)
class Case:
    """A corpus in a format, and the random numbers of its damage."""

    form: Format
    corpus: list[Document]
    rng: random.Random

    def pick(self, *choices: Any) -> Any:
        return self.rng.choice(choices)

    def pieces(self, **spoil: Any) -> Pieces:
        return self.form.write(self.corpus, Spoil(**spoil))

    def files(self, **spoil: Any) -> dict[str, bytes]:
        return self.form.files(self.pieces(**spoil))

    def gold(self, change: Callable[[str], str] = str) -> Gold:
        """Return the gold of the corpus with every token changed."""
        sentences = [s for document in self.corpus for s in document.sentences]
        return gold_of([([*map(change, s.tokens)], s.entities) for s in sentences])

    def without(self, touched: set[int | None]) -> list[Gold]:
        """Return the gold of each document that is not touched."""
        numbers = [number for number in range(len(self.corpus)) if number not in touched]
        return [gold_of(self.corpus[number].sentences) for number in numbers]


Damage = Callable[[Case], Damaged]


def readable(damage: Damage) -> Damage:
    """Let a damage be one that is none: the file must be read, as the gold."""
    return lambda case: damage(case)._replace(must_read=True)


# By name: what it befalls, by format, marks and traits (see `befalls`), and the damage.
Damages = dict[str, tuple[str, Damage]]


def befalls(where: str, form: Format) -> bool:
    there = {form.format, form.marks, *form.traits.split(), "any"}
    there |= {"lines"} if form.packed is str.encode else set()
    if "folder" not in there:
        there |= {"single", *(["CoNLL"] if form.marks == "tags" and not form.traits else [])}
    return bool(there & set(where.split()))
