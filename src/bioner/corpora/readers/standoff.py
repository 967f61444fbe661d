"""What PubTator, BioC and brat have in common: a text and annotations that stand off it, by
character offsets.
"""

from dataclasses import dataclass, field
from typing import NamedTuple


class Annotation(NamedTuple):
    """A mention of `type` from character `start` up to but not including `end` of the document."""

    where: str
    start: int
    end: int
    type: str
    text: str


class Passage(NamedTuple):
    """A stretch of text (a title, an abstract, a paragraph) that begins at the document's character
    `offset`.
    """

    offset: int
    text: str

    @property
    def end(self) -> int:
        """The first character behind it, in the document."""
        return self.offset + len(self.text)


@dataclass(frozen=True, slots=True)
class Document:
    """One document as its file has it; annotations in file order."""

    where: str
    id: str
    passages: list[Passage]
    annotations: list[Annotation] = field(default_factory=list)
