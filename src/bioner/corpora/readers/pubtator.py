"""PubTator files: `id|t|title`, `id|a|abstract`, then tab-separated `id start end text type …`."""

import re
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

from bioner.corpora.changes import Changes
from bioner.corpora.readers.standoff import Annotation, Document, Passage
from bioner.errors import InputError
from bioner.io.files import read_lines

OFFSET, NUMBER = re.compile("[0-9]{1,9}"), re.compile(r"[-+]?[\d.,]+")
TEXT_LINE = re.compile(r"(?P<id>[^\t]+?)\|(?P<part>[ta])\|(?P<text>.*)", re.DOTALL)
FORMS = (
    "one title, one abstract, annotations `id start end text type`, relations `id type argument"
    " argument`"
)


def read_pubtator(path: Path, changes: Changes) -> Iterator[Document]:
    """Yield the documents of a file, title and abstract as passages; relations are skipped.

    A blank line ends a document, and so does the title of another one.

    Raises:
        InputError: A line of no known kind, or of another document.
    """
    block: list[tuple[str, str]] = []
    identity: str | None = None
    for number, line in chain(read_lines(path), [(0, "")]):  # a blank line ends the last document
        text = TEXT_LINE.fullmatch(line)
        title = text["id"] if text and text["part"] == "t" else None
        if block and (not line.strip() or (title and title != identity)):
            yield _document(block, changes)
            block = []
        if line.strip():
            identity = identity if block else title
            block.append((f"{path}:{number}", line))


def _document(block: list[tuple[str, str]], changes: Changes) -> Document:
    where, first = block[0]
    title = TEXT_LINE.fullmatch(first)
    if title is None or title["part"] != "t":
        raise InputError(
            where,
            changes.quoted(first),
            "a title, `id|t|text`",
            "A blank line divides documents, and only documents.",
        )
    identity = title["id"]
    document = Document(where, identity, [Passage(0, title["text"])])
    for place, line in block[1:]:
        text, fields = TEXT_LINE.fullmatch(line), line.split("\t")
        other = text["id"] if text else fields[0]
        if other != identity:
            raise InputError(place, *_foreign(line, other, identity, changes))
        if text and text["part"] == "a" and len(document.passages) == 1:
            document.passages.append(Passage(len(title["text"]) + 1, text["text"]))
        elif (
            not text and len(fields) >= 5 and all(OFFSET.fullmatch(field) for field in fields[1:3])
        ):
            document.annotations.append(
                Annotation(place, int(fields[1]), int(fields[2]), fields[4], fields[3])
            )
        elif text or not 4 <= len(fields) <= 5 or NUMBER.fullmatch(fields[1]):
            # Not a relation either, which has a type and two or three arguments.
            raise InputError(place, changes.quoted(line), FORMS, "Mend the line.")
    return document


def _foreign(line: str, other: str, identity: str, changes: Changes) -> tuple[str, str, str]:
    """Return what is wrong with a line that does not belong to its document, for a message."""
    if "\t" not in line and line.split()[0] == identity:
        remedy = "Put tabs between the columns, or export the file again."
        return "blanks between columns", "tabs, `id<tab>start<tab>end<tab>text<tab>type`", remedy
    if re.match(rf"{re.escape(identity)}\|\w+\|", line):
        remedy = "Give each further passage a block of its own, with a title line."
        return f"another passage, {changes.quoted(line)}", FORMS, remedy
    remedy = "Separate documents by a blank line."
    expected = f"a line of {changes.named(f'document {identity}')}"
    return f"a line of document {changes.quoted(other)}", expected, remedy
