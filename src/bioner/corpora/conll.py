"""CoNLL files: a token a line, tab-separated columns, blank lines between sentences, `-DOCSTART-` between documents."""

from collections.abc import Iterator
from pathlib import Path

from bioner.corpora.sentence import Sentence
from bioner.errors import InputError
from bioner.files import read_lines

DOCUMENT_START = "-DOCSTART-"


def read_conll(path: Path, token_column: int = 0, tag_column: int = -1) -> Iterator[Sentence]:
    """Sentences of a file; `document` counts `-DOCSTART-` lines from 1 and is None in files that have none.

    Raises InputError for a line without the columns asked for, or with another number of them than its sentence.
    """
    document: int | None = None
    tokens: list[str] = []
    tags: list[str] = []
    start = width = 0
    for number, line in read_lines(path):
        opens_document = line.split("\t")[0].strip() == DOCUMENT_START
        if not line.strip() or opens_document:
            if tokens:
                yield Sentence(f"{path}:{start}", document, tokens, tags)
                tokens, tags = [], []
            if opens_document:
                document = (document or 0) + 1
            continue
        columns = line.split("\t")
        if not tokens:
            start, width = number, len(columns)
        there = all(-width <= column < width for column in (token_column, tag_column))
        if len(columns) != width or width < 2 or not there:
            found = f"{len(columns)} tab-separated columns in {line[:60]!r}"
            expected = (
                f"{width} as in line {start}" if width > 1 and len(columns) != width else "a token and a tag column"
            )
            raise InputError(
                f"{path}:{number}", found, expected, "Mend the line, or name the columns in the catalogue."
            )
        tokens.append(columns[token_column])
        tags.append(columns[tag_column])
    if tokens:
        yield Sentence(f"{path}:{start}", document, tokens, tags)
