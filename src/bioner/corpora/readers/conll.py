"""CoNLL files: one token per line, columns, blank lines between sentences, comments.

A `#` line at the start of a sentence is a comment unless it has the columns of the file and a tag
in the tag's, or one word before its first tab. Comments and `-DOCSTART-` lines may name a document:
`# doc_id = 12`, `# newdoc id = 12`, `###MEDLINE:12`, `-DOCSTART- (12)`.
"""

import logging
import re
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import NamedTuple

from bioner.corpora.changes import Changes
from bioner.corpora.readers.sentence import Sentence
from bioner.errors import InputError
from bioner.io.files import read_lines

REMEDY = "Mend the line, or name the columns in the catalogue."
SPACES = re.compile("[ \t]+")  # only these: some corpora have no-break spaces in tokens
LONE = "lone -DOCSTART-, so documents are unknown and each sentence is resampled on its own"
TAG = re.compile(r"O|[A-Za-z]-\S+")
PAIR = re.compile(r"# ?[\w.-]+( id)? = ")  # of a comment, however many words it has
DOCUMENT_START = re.compile(r"\s*-DOCSTART-(?!\S)(.*?\((?P<id>[^()]+)\))?.*")
DOCUMENT_COMMENT = re.compile(
    r"#+\s*(newdoc|(newdoc[ _]id|doc(ument)?([ _]?id)?|pmid|medline)\s*[=:]\s*(?P<id>\S.*?))\s*",
    re.IGNORECASE,
)


class Layout(NamedTuple):
    """How a file's lines are divided, by tabs or by spaces and tabs, and into how many columns."""

    tabs: bool
    width: int


def read_conll(
    path: Path, token_column: int, tag_column: int, changes: Changes, name: str = ""
) -> Iterator[Sentence]:
    """Yield the sentences of a file.

    Documents without a name are numbered from 1. A single `-DOCSTART-` before all sentences divides
    nothing: documents are unknown. Columns are separated by tabs if the first line that does not
    begin with `#` has one, else by spaces and tabs.

    Args:
        path: The file.
        token_column: Column of the token.
        tag_column: Column of the tag.
        changes: Takes what the log should say of the file.
        name: The document of a file in a folder; numbered documents are numbered within it.

    Raises:
        InputError: A line without the columns asked for, or with another number than its sentence.
    """
    lines = list(read_lines(path))
    if lines and lines[0][1].startswith("#FORMAT=WebAnno"):
        found, remedy = "WebAnno's TSV", "Export the project as CoNLL 2002, and state its columns."
        raise InputError(f"{path}:1", found, "a token and its tag in each line", remedy)
    layout = _layout(lines)
    sentences: list[Sentence] = []
    openings: list[int] = []  # sentences before each document without a name
    document: int | str | None = None
    comments = start = width = 0
    tokens: list[str] = []
    tags: list[str] = []
    for number, line in chain(lines, [(0, "")]):  # a blank line ends the last sentence
        opening = DOCUMENT_START.fullmatch(line) if "-DOCSTART-" in line else None
        if opening or not line or line.isspace():
            if tokens:
                where = f"{path}:{start}"
                sentences.append(Sentence(where, document, tokens, tags, token_a_line=True))
                tokens, tags = [], []
        elif not tokens and line.startswith("#") and _is_comment(line, layout, tag_column):
            comments += 1
            opening = DOCUMENT_COMMENT.fullmatch(line)
        else:
            columns = _columns(line, layout.tabs)
            expected = f"{width} as in line {start}" if len(columns) != width else ""
            if not tokens:
                start, width = number, len(columns)
                expected = _lacking_columns(width, token_column, tag_column)
            if expected:
                found = _described(columns, layout.tabs, changes.quoted(line))
                raise InputError(f"{path}:{number}", found, expected, REMEDY)
            tokens.append(columns[token_column])
            tags.append(columns[tag_column])
        if opening:
            openings += [] if opening["id"] else [len(sentences)]
            document = opening["id"] or len(openings)
    if comments:
        changes.remark("comment lines left out", comments)
    is_lone = openings == [0] and not any(isinstance(known.document, str) for known in sentences)
    if is_lone and not name:
        changes.remark(LONE, level=logging.WARNING)
    for sentence in sentences:
        known = None if is_lone else sentence.document
        if name and not isinstance(known, str):
            known = f"{name}-doc{known:04d}" if known else name
        yield sentence._replace(document=known)


def _layout(lines: Sequence[tuple[int, str]]) -> Layout:
    """Return the layout of a file, by its first line without `#` if there is one."""
    filled = (
        line
        for _, line in lines
        if line and not line.isspace() and not DOCUMENT_START.fullmatch(line)
    )
    first = next(filled, "")
    line = next((line for line in chain([first], filled) if not line.startswith("#")), first)
    tabs = "\t" in line.rstrip()
    return Layout(tabs, len(_columns(line, tabs)))


def _columns(line: str, tabs: bool) -> list[str]:
    if not tabs:
        return SPACES.split(line.strip(" \t"))
    columns = line.split("\t")
    return [column.strip(" ") for column in columns] if " " in line else columns


def _is_comment(line: str, layout: Layout, tag_column: int) -> bool:
    """Return whether a line that begins with `#` is no token with its tag."""
    columns = _columns(line, layout.tabs)
    if len(columns) != layout.width or not -layout.width <= tag_column < layout.width:
        return True
    if PAIR.match(line):
        return True
    # One word, a tab and no tag is a token all the same: its tag is wrong.
    is_text = not layout.tabs or " " in columns[0]
    return is_text and not TAG.fullmatch(columns[tag_column])


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
