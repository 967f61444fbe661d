"""What PubTator, BioC and brat share: a text and annotations by character offset."""

from dataclasses import dataclass, field
from typing import NamedTuple


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
