"""What formats with stand-off annotations share: a text, and annotations by character offset."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

PARAGRAPH = re.compile(r"\S.*?(?=\n[^\S\n]*\n|\Z)", re.DOTALL)  # up to a blank line


class Annotation(NamedTuple):
    """A mention of `type` from `start` up to but not including `end`.

    `text` is empty if the file does not say it; `home` is the offset of the passage that lists it.
    """

    where: str
    start: int
    end: int
    type: str
    text: str
    home: int | None = None


class Passage(NamedTuple):
    """A title, abstract or paragraph that begins at the document's character `offset`."""

    offset: int
    text: str

    @property
    def end(self) -> int:
        """The offset after the last character."""
        return self.offset + len(self.text)


@dataclass(frozen=True, slots=True)
class Document:
    """One document; annotations in file order."""

    where: str
    id: str
    passages: list[Passage]
    annotations: list[Annotation] = field(default_factory=list)


def paragraphs(text: str) -> list[Passage]:
    """Return the paragraphs of a text, which blank lines separate."""
    return [Passage(match.start(), match[0]) for match in PARAGRAPH.finditer(text)]


def get_span(
    pieces: Iterable[tuple[int, int]], passages: Sequence[Passage]
) -> tuple[int, int] | None:
    """Return the one span that the pieces of an annotation make up.

    Args:
        pieces: The start and end of each.
        passages: The text. What stands between passages counts as white space.

    Returns:
        The start and end; None if more than white space lies between two pieces.
    """
    (start, end), *others = sorted(pieces)
    for left, right in others:
        for passage in passages:
            gap = slice(max(end - passage.offset, 0), max(left - passage.offset, 0))
            if passage.text[gap].strip():
                return None
        end = max(end, right)
    return start, end
