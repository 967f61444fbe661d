"""Tokens and tags as lists: JSON Lines records, parquet, CSV files whose columns hold lists."""

import ast
import csv
import io
import json
import re
import tokenize
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import Any

import polars as pl

from bioner.corpora.changes import Changes
from bioner.corpora.readers.sentence import Sentence
from bioner.errors import InputError, reason_of
from bioner.io.files import HEAD, find_kind, read_lines, read_record

# Column names in use; the first one present counts.
TOKEN_FIELDS = ("tokens", "words", "token", "word", "text", "sentence")
TAG_FIELDS = ("tags", "ner_tags", "labels", "ner", "label", "bio_tags")
DOCUMENT_FIELDS = ("doc", "document", "doc_id", "document_id", "pmid")


def read_jsonl(path: Path, labels: Sequence[str], changes: Changes) -> Iterator[Sentence]:
    """Yield the sentences of a JSON Lines file; whole numbers as tags index `labels`."""
    for number, line in read_lines(path):
        if line.strip():
            where = f"{path}:{number}"
            yield _sentence(where, read_record(line, where), labels, changes)


def read_parquet(path: Path, labels: Sequence[str], changes: Changes) -> Iterator[Sentence]:
    """Yield the sentences of a parquet file with list columns; places are rows, from 1.

    Whole numbers as tags index `labels`, or else the names that Hugging Face's datasets leave in
    the file (ClassLabel).

    Raises:
        InputError: No parquet, or a broken row.
    """
    try:
        with path.open("rb") as stream:
            head = stream.read(HEAD)
        if not head.startswith(b"PAR1"):
            found, remedy = find_kind(head) or (
                "a file of another kind" if head else "an empty file",
                "State its `format`." if head else "Get it again.",
            )
            raise InputError(path, found, "a parquet file", remedy)
        columns = pl.read_parquet_schema(path)
        known = [name for name in (*TOKEN_FIELDS, *TAG_FIELDS, *DOCUMENT_FIELDS) if name in columns]
        table = pl.read_parquet(
            path, columns=known or None, glob=False, hive_partitioning=False, use_statistics=False
        )
        metadata = pl.read_parquet_metadata(path)
    except OSError as error:
        raise InputError(path, str(error.strerror), "a parquet file", "Check the path.") from None
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        raise InputError(
            path,
            f"something else, or broken ({reason_of(error)})",
            "a parquet file",
            "Get it again.",
        ) from None
    names = labels or _class_names(metadata, columns)
    for number, row in enumerate(table.iter_rows(named=True), 1):
        yield _sentence(f"{path}: row {number}", row, names, changes)


def _class_names(metadata: Mapping[str, str], columns: Mapping[str, Any]) -> Sequence[str]:
    """Return the names of the numbers in the column of tags, by the file's own account."""
    column = next(
        (name for name in TAG_FIELDS if isinstance(columns.get(name), pl.List | pl.Array)), ""
    )
    try:
        feature = json.loads(metadata["huggingface"])["info"]["features"][column]
        while "names" not in feature:  # a list of classes, as several versions write it
            feature = feature[0] if isinstance(feature, list) else feature["feature"]
        return [str(name) for name in feature["names"]]
    except (KeyError, IndexError, TypeError, ValueError):
        return []


def read_lists(path: Path, labels: Sequence[str], changes: Changes) -> Iterator[Sentence]:
    """Yield the sentences of a CSV file with lists as JSON or Python writes them."""
    csv.field_size_limit(2**31 - 1)
    delimiter = list_delimiter(path) or ","
    rows = csv.reader(
        (line + "\n" for _, line in read_lines(path)), delimiter=delimiter, strict=True
    )
    header: list[str] = []
    before = 0
    try:
        for row in rows:
            where, before = f"{path}:{before + 1}", rows.line_num
            if not header:
                header = [name.strip().lower() for name in row]
            elif row and len(row) != len(header):
                raise InputError(
                    where, f"{len(row)} columns", f"{len(header)} as in the header", "Mend the row."
                )
            elif row:
                lists = {name: _list(value) for name, value in zip(header, row, strict=True)}
                if "\\" in "".join(row) and not _is_unicode(lists):
                    raise InputError(
                        where, "half a surrogate pair", "whole characters", "Mend the row."
                    )
                yield _sentence(where, lists, labels, changes)
    except csv.Error as error:
        raise InputError(
            f"{path}:{rows.line_num}", f"broken CSV ({error})", "a CSV file", "Mend its quotes."
        ) from None


def list_delimiter(path: Path) -> str | None:
    """Return the delimiter of a file whose header names columns of tokens and tags, else None."""
    header = next((line for _, line in read_lines(path) if line.strip()), "").lower()
    for delimiter in ",;\t":
        names = {name.strip().strip('"') for name in header.split(delimiter)}
        if len(names) > 1 and names & set(TOKEN_FIELDS) and names & set(TAG_FIELDS):
            return delimiter
    return None


def _sentence(
    where: str, record: Mapping[str, Any], labels: Sequence[str], changes: Changes
) -> Sentence:
    tokens, tags = (_field(where, record, names) for names in (TOKEN_FIELDS, TAG_FIELDS))
    if not all(isinstance(token, str) for token in tokens):
        raise InputError(where, "a token that is no text", "a list of strings", "Mend the line.")
    document = next((record[name] for name in DOCUMENT_FIELDS if name in record), None)
    return Sentence(
        where,
        None if document is None else str(document),
        tokens,
        [_tag(where, t, labels, changes) for t in tags],
    )


def _field(where: str, record: Mapping[str, Any], names: Sequence[str]) -> list[Any]:
    for name in names:
        if isinstance(record.get(name), list):
            return list(record[name])
    there = next((name for name in names if name in record), None)
    found = f"{there!r}, which is no list" if there else f"no list under {', '.join(names)}"
    raise InputError(
        where, found, "a list of tokens and a list of tags", "Rename the fields or mend the line."
    )


def _tag(where: str, tag: Any, labels: Sequence[str], changes: Changes) -> str:
    number = (
        int(tag) if isinstance(tag, str) and labels and re.fullmatch("[0-9]{1,9}", tag) else tag
    )
    if type(number) is int and 0 <= number < len(labels):
        return labels[number]
    if isinstance(number, str):
        return number
    raise InputError(
        where,
        f"the tag {changes.quoted(tag)}",
        f"text, or a number below {len(labels)}",
        "State `labels`, the names of the numbers, in the catalogue.",
    )


def _list(value: str) -> Any:
    """Return the list that a CSV field holds, or the field itself."""
    with suppress(ValueError, RecursionError):
        return json.loads(value)
    try:
        return value if _prints_like_numpy(value) else ast.literal_eval(value)
    except (ValueError, SyntaxError, RecursionError, MemoryError, tokenize.TokenError):
        return value


def _is_unicode(value: object) -> bool:
    """Return whether all text is of whole characters, which UTF-8 can hold."""
    try:
        json.dumps(value, ensure_ascii=False, default=str).encode()
    except UnicodeEncodeError:
        return False
    return True


def _prints_like_numpy(value: str) -> bool:
    """Return whether strings lack commas, `['a' 'b']`: Python would join them."""
    kinds = [token.type for token in tokenize.generate_tokens(io.StringIO(value.strip()).readline)]
    kinds = [kind for kind in kinds if kind not in (tokenize.NL, tokenize.NEWLINE)]
    return any(pair == (tokenize.STRING, tokenize.STRING) for pair in pairwise(kinds))
