"""Faults met while reading a corpus: refused, or repaired by fixed rules, listed and counted."""

import logging
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Literal, NamedTuple

import polars as pl

from bioner.corpora.readers.standoff import Annotation
from bioner.errors import InputError, hidden

# Faults of the files and, with `on_error: repair`, their repair.
REPAIRS: Mapping[str, str] = {
    "orphan": "a tag that continues no entity of its type begins one",
    "unknown-tag": "tags in a row that the scheme does not know become O",
    "unclosed": "an entity without its last tag ends where it ends",
    "overlap": (
        "of overlapping annotations the longer one stays, then the leftmost, then the first in the"
        " file"
    ),
    "discontinuous": "an annotation in several pieces is left out",
    "text-mismatch": "an annotation whose offsets do not give its text is left out",
    "text-differs": "an annotation whose text differs only in Unicode form or case stays",
    "outside": "an annotation outside the text is left out",
    "crosses-passages": "an annotation over two passages is left out",
    "empty-document": "a document without text is left out",
    "token-space": "white space inside a token is removed",
    "empty-token": "a token without text is left out, and its entity continues after it",
    "empty-entity": "an entity of tokens without text is left out",
    "empty-sentence": "a sentence without tokens is left out",
    "duplicate-document": "a document that repeats an earlier one is left out",
}
# What becomes of sound annotations as flat tags on tokens: listed, never an error.
ARTEFACTS: Mapping[str, str] = {
    "widened": "begins or ends inside a token: the whole token is taken",
    "shared-token": (
        "shares a token with an annotation that is longer, or as long and before it: left out"
    ),
    "split-token": "ends inside a token: the token is split there",
    "inside-token": "begins inside a token: left out",
    "misread": (
        "behind the end of its sentence, cut there or written over, as the paper's reading has it"
    ),
    "joined-document": "another text under the id of an earlier document: joined to it",
}
# Kinds by which flat tags leave out an annotation for a longer one.
NESTED = {"overlap", "shared-token"}
# Kinds that lose an annotation, and what may help against many of them.
LOSSES: Mapping[str, str] = {
    **dict.fromkeys(
        (
            "discontinuous",
            "text-mismatch",
            "outside",
            "crosses-passages",
            "misread",
            "empty-entity",
        ),
        "Mend the file",
    ),
    "unknown-tag": "State the right `tag_scheme` or `tag_column`",
    "inside-token": "Take `token_alignment: widen`",
}


class Change(NamedTuple):
    """One line of `changes.csv`: `where` is file:line, `result` what was done.

    `start` and `end` count characters of the document, or tokens if the file counts tokens.
    """

    split: str
    where: str
    document: str
    kind: str
    type: str
    start: int | None
    end: int | None
    text: str
    result: str


class Changes:
    """Faults and changes of one corpus, split by split.

    Args:
        on_error: `fail` raises at the first fault, `repair` mends and lists it.
        quote: Whether messages may show the corpus's text; closed corpora forbid it.
        folder: Folder of the raw files; listed places are relative to it, so that a corpus gives
            the same bytes wherever its files are.
    """

    def __init__(
        self,
        on_error: Literal["fail", "repair"] = "fail",
        quote: bool = True,
        folder: Path | None = None,
    ) -> None:
        self._on_error = on_error
        self._folder = f"{folder}/" if folder else ""
        self.listed: list[Change] = []
        # What the log says of a split, and how often: by level, split and text.
        self.remarks: Counter[tuple[int, str, str]] = Counter()
        self.split = ""
        # Whether a document is of this split, while a source of several is read.
        self.holds: Callable[[str], bool] = hold_all
        self.found: dict[str, int] = {}
        self._quote = quote

    def quoted(self, text: object) -> str:
        """Return text of the file as messages show it: shortened, or only its length."""
        if not self._quote:
            return hidden(str(text))
        shown = repr(text[:60]) if isinstance(text, str) else repr(text)[:60]
        return shown if shown.isascii() else "".join(map(_told_apart, shown))

    def named(self, document: str, otherwise: str = "a document") -> str:
        """Return a document's id as messages show it: it may be a person's name."""
        return document if self._quote else otherwise

    def fault(
        self,
        kind: str,
        where: str,
        found: str,
        expected: str,
        document: str,
        annotation: Annotation | None = None,
        hint: str = "",
    ) -> None:
        """List the repair of a fault, by the rule in REPAIRS.

        Raises:
            InputError: `on_error` is `fail`.
        """
        if self._on_error == "fail":
            remedy = (
                f"Mend the file, or set `on_error: repair` in the catalogue: {REPAIRS[kind]}."
                f" {hint}"
            )
            raise InputError(where, found, expected, remedy.strip())
        self._list(kind, where, document, annotation, REPAIRS[kind])

    def remark(self, text: str, count: int = 1, level: int = logging.INFO) -> None:
        """Count what the log should say of the split, though nothing is changed or wrong."""
        self.remarks[level, self.split, text] += count

    def artefact(
        self, kind: str, document: str, annotation: Annotation | None = None, where: str = ""
    ) -> None:
        """List what becomes of a sound annotation or document, by the rule in ARTEFACTS."""
        place = annotation.where if annotation else where
        self._list(kind, place, document, annotation, ARTEFACTS[kind])

    def add_found(self, number: int) -> None:
        """Count annotations of the current split, as its file has them."""
        self.found[self.split] = self.found.get(self.split, 0) + number

    def counts(self, split: str) -> dict[str, int]:
        """Return the number of changes of each kind in a split, in the order of the rules."""
        counted = Counter(change.kind for change in self.listed if change.split == split)
        return {kind: counted[kind] for kind in (*REPAIRS, *ARTEFACTS) if counted[kind]}

    def count(self, split: str, kinds: Iterable[str]) -> int:
        """Return the number of changes of these kinds in a split."""
        counts = self.counts(split)
        return sum(counts.get(kind, 0) for kind in kinds)

    def table(self) -> pl.DataFrame:
        """Return all changes in the order they were met."""
        schema = {
            name: pl.Int64 if name in ("start", "end") else pl.String for name in Change._fields
        }
        return pl.DataFrame(self.listed, schema=schema, orient="row")

    def _list(
        self, kind: str, where: str, document: str, annotation: Annotation | None, result: str
    ) -> None:
        if not self.holds(document):
            return
        _, start, end, type_, text = annotation[:5] if annotation else ("", None, None, "", "")
        place = where.removeprefix(self._folder)
        self.listed.append(
            Change(self.split, place, document, kind, type_, start, end, text, result)
        )


def hold_all(document: str) -> bool:
    """Hold every document, as a source of one split does."""
    return True


def _told_apart(character: str) -> str:
    """Return a character as messages show it; one that looks like others as its code point."""
    alike = unicodedata.combining(character) or unicodedata.normalize("NFKC", character)
    return character if alike == character else character.encode("unicode_escape").decode()
