"""Offsets that are shifted or count other units than characters: found over a split, and refused.

Other tools count bytes (C++), UTF-16 code units (Java, JavaScript, C#), from 1, from the passage,
or before line ends or Unicode forms were changed. Then annotations agree with the text under that
reading and not as they stand. Single errors agree under none, and are left to the segmenter.
"""

import unicodedata
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from bioner.corpora.readers.standoff import Annotation, Document
from bioner.errors import InputError

# A reading of an annotation's offsets: the characters that they may stand for.
Places = Iterator[tuple[int, int]]
Reading = Callable[[Annotation], Places]

# A reading may leave one annotation in so many unexplained; fewer without text prove nothing.
FEW = 10
REMEDY = "Convert the offsets, or remake the file."


class Units(NamedTuple):
    """How long a character is, and a gap between passages, in units of the offsets.

    `stated`: passages begin where the file says, in these units.
    """

    width: Callable[[str], int]
    gap: Callable[[int], int] = int
    stated: bool = False


WIDTHS: dict[str, Callable[[str], int]] = {
    "like UTF-8 bytes": lambda character: len(character.encode()),
    "like UTF-16 code units": lambda character: 1 + (character > "\uffff"),
    "counted with CRLF line ends": lambda character: 1 + (character == "\n"),
    "counted with LF line ends": lambda character: int(character != "\r"),
    "counted in text of the form NFD": lambda character: len(
        unicodedata.normalize("NFD", character)
    ),
    "counted in text of the form NFC": lambda character: int(not unicodedata.combining(character)),
}
# Gaps are line ends, where they are in the file at all.
GAPS = {
    "counted with CRLF line ends": lambda gap: 2 * gap,
    "counted with LF line ends": lambda gap: (gap + 1) // 2,
}
UNITS = [
    ("look counted without a character between passages", Units(len, lambda gap: gap - 1)),
    ("look counted with one more character between passages", Units(len, lambda gap: gap + 1)),
    *((f"look {name}", Units(width, GAPS.get(name, int))) for name, width in WIDTHS.items()),
    *((f"look {name}", Units(width, stated=True)) for name, width in WIDTHS.items()),
]
SHIFTS = {
    "look off by one, counted from 1": (-1, -1),
    "look off by one, too small": (1, 1),
    "look off by one, the end is the last character": (0, 1),
    "look off by one, counted from 1 and the end is the last character": (-1, 0),
}


def check_offsets(documents: Sequence[Document]) -> None:
    """Raise InputError if the annotations of a split agree with their text under another reading.

    A reading wins that explains two annotations more than the plain one, or one where that explains
    none, and all but a few.
    """
    plain = _unexplained(documents, lambda _: _as_they_stand)
    total = sum(len(document.annotations) for document in documents)
    explained = total - len(plain)
    if not plain or (explained and len(plain) < 2):
        return
    best = min(
        ((name, _unexplained(documents, read)) for name, read in _readings(documents)),
        key=lambda named: len(named[1]),
    )
    name, left = best
    if len(left) <= min(len(plain) - (2 if explained else 1), total // FEW):
        still = {id(annotation) for annotation in left}
        first = next(annotation for annotation in plain if id(annotation) not in still)
        raise InputError(
            first.where,
            f"offsets that {name}: read that way, {total - len(left)} of {total} annotations match"
            f" the text, and {explained} as they stand",
            "offsets in characters of the document",
            REMEDY,
        )
    # Nothing else contradicts offsets of annotations whose text is unknown.
    unknown = sum(not a.text for document in documents for a in document.annotations)
    astray = [annotation for annotation in plain if not annotation.text]
    if unknown >= FEW and len(astray) > unknown / FEW:
        raise InputError(
            astray[0].where,
            f"{len(astray)} of {unknown} annotations without text that begin or end inside words",
            "offsets in characters of the document",
            "Convert the offsets, or add the texts of the annotations if they are right.",
        )


def is_same(text: str, other: str) -> bool:
    """Return whether texts are the same but for white space, case and compatible characters."""
    return text.split() == other.split() or _folded(text) == _folded(other)


def _folded(text: str) -> list[str]:
    return unicodedata.normalize("NFKC", text).casefold().split()


def _unexplained(
    documents: Sequence[Document], read: Callable[[Document], Reading]
) -> list[Annotation]:
    """Return the annotations that do not agree with the text under a reading."""
    found: list[Annotation] = []
    for document in documents:
        if document.annotations:
            reading = read(document)
            found += (
                annotation
                for annotation in document.annotations
                if not any(_agrees(document, annotation, *place) for place in reading(annotation))
            )
    return found


def _agrees(document: Document, annotation: Annotation, start: int, end: int) -> bool:
    """Return whether the text at a place is the annotation's, or whole words if it has none."""
    for passage in document.passages:
        if passage.offset <= start < end <= passage.end:
            first, behind, text = start - passage.offset, end - passage.offset, passage.text
            if own := annotation.text:
                there = text[first:behind]
                edges = [(own[n].isspace(), there[n].isspace()) for n in (0, -1)]
                return all(left == right for left, right in edges) and is_same(own, there)
            return _divides(text, first, first) and _divides(text, behind, behind - 1)
    return False


def _divides(text: str, border: int, inside: int) -> bool:
    """Return whether a border, next to the character `inside`, may be that of a mention."""
    if text[inside].isspace():
        return False
    if not 0 < border < len(text):
        return True
    around = text[border - 1 : border + 1]
    within_word = all(letter.isalnum() or unicodedata.combining(letter) for letter in around)
    return not (within_word or unicodedata.combining(text[border]))


def _readings(
    documents: Sequence[Document],
) -> Iterator[tuple[str, Callable[[Document], Reading]]]:
    """Yield every reading but the plain one, the simpler first."""
    yield from ((name, _shifted(*shift)) for name, shift in SHIFTS.items())
    yield "look relative to their passage", _in_passage
    yield "look counted over all blocks of a document", _over_blocks(documents)
    yield from ((name, _counted(units)) for name, units in UNITS)


def _as_they_stand(annotation: Annotation) -> Places:
    yield annotation.start, annotation.end


def _shifted(start: int, end: int) -> Callable[[Document], Reading]:
    def reading(annotation: Annotation) -> Places:
        yield annotation.start + start, annotation.end + end

    return lambda _: reading


def _in_passage(document: Document) -> Reading:
    """Read offsets from the passage that lists an annotation, or from any where its text is."""

    def reading(annotation: Annotation) -> Places:
        homes = [passage.offset for passage in document.passages if annotation.text]
        for offset in homes if annotation.home is None else [annotation.home]:
            yield annotation.start + offset, annotation.end + offset

    return reading


def _over_blocks(documents: Sequence[Document]) -> Callable[[Document], Reading]:
    """Read offsets from the first of several documents of one id, up to two characters apart."""
    begins: dict[int, list[int]] = {}
    ends: dict[str, list[int]] = {}
    for document in documents:
        before = ends.get(document.id)
        begin = [end + gap for gap, end in enumerate(before)] if before else [0, 0, 0]
        length = max((passage.end for passage in document.passages), default=0)
        begins[id(document)] = begin
        ends[document.id] = [start + length for start in begin]

    def read(document: Document) -> Reading:
        def reading(annotation: Annotation) -> Places:
            for begin in begins[id(document)]:
                yield annotation.start - begin, annotation.end - begin

        return reading

    return read


def _counted(units: Units) -> Callable[[Document], Reading]:
    def read(document: Document) -> Reading:
        starts: dict[int, int] = {}  # characters by unit
        ends: dict[int, int] = {}
        unit = end = 0
        for passage in document.passages:
            is_first = passage is document.passages[0]
            gap = passage.offset - end
            unit = passage.offset if units.stated else unit + (gap if is_first else units.gap(gap))
            for end, letter in enumerate(passage.text, passage.offset + 1):
                starts[unit] = end - 1
                unit += units.width(letter)
                ends[unit] = end

        def reading(annotation: Annotation) -> Places:
            if annotation.start in starts and annotation.end in ends:
                yield starts[annotation.start], ends[annotation.end]

        return reading

    return read
