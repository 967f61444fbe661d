"""CoNLL files: one token per line, columns, blank lines between sentences, `-DOCSTART-`."""

import re
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

from bioner.corpora.changes import Changes
from bioner.corpora.readers.sentence import Sentence
from bioner.errors import InputError
from bioner.io.files import read_lines

REMEDY = "Mend the line, or name the columns in the catalogue."
DOCUMENT_START = "-DOCSTART-"
SPACES = re.compile("[ \t]+")  # only these: some corpora have no-break spaces in tokens


def read_conll(
    path: Path, token_column: int, tag_column: int, changes: Changes
) -> Iterator[Sentence]:
    """Yield the sentences of a file; `document` counts `-DOCSTART-` lines from 1, None without any.

    Columns are separated by tabs if the first line of the first sentence has one, else by spaces
    and tabs.

    Raises:
        InputError: A line without the columns asked for, or with another number than its sentence.
    """
    document: int | None = None
    tokens: list[str] = []
    tags: list[str] = []
    start = width = 0
    tabs: bool | None = None
    for number, line in chain(read_lines(path), [(0, "")]):  # a blank line ends the last sentence
        opens_document = DOCUMENT_START in line and line.split()[0] == DOCUMENT_START
        if opens_document or not line or line.isspace():
            if tokens:
                yield Sentence(f"{path}:{start}", document, tokens, tags, token_a_line=True)
                tokens, tags = [], []
            if opens_document:
                document = (document or 0) + 1
            continue
        if tabs is None:
            tabs = "\t" in line
        columns = line.split("\t") if tabs else SPACES.split(line.strip(" \t"))
        if not tokens:
            start, width = number, len(columns)
            if expected := _lacking_columns(width, token_column, tag_column):
                raise InputError(
                    f"{path}:{number}",
                    _described(columns, tabs, changes.quoted(line)),
                    expected,
                    REMEDY,
                )
        elif len(columns) != width:
            raise InputError(
                f"{path}:{number}",
                _described(columns, tabs, changes.quoted(line)),
                f"{width} as in line {start}",
                REMEDY,
            )
        tokens.append(columns[token_column])
        tags.append(columns[tag_column])


def _lacking_columns(width: int, token: int, tag: int) -> str:
    """Return what lines of `width` columns lack to hold tokens and tags, or nothing."""
    if width < 2 or not all(-width <= column < width for column in (token, tag)):
        needed = max(2, *(column + 1 if column >= 0 else -column for column in (token, tag)))
        return f"at least {needed}, the token in column {token} and the tag in column {tag}"
    return (
        f"tokens and tags in two columns, not both in column {token}"
        if token % width == tag % width
        else ""
    )


def _described(columns: list[str], tabs: bool, quoted: str) -> str:
    noun = "column" if len(columns) == 1 else "columns"
    return f"{len(columns)} {'tab' if tabs else 'space'}-separated {noun} in {quoted}"
