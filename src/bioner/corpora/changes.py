"""What reading a corpus came across: faults stop it or are repaired by a strict rule, and every
change is listed.
"""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, NamedTuple

import polars as pl

from bioner.corpora.readers.standoff import Annotation
from bioner.errors import InputError, hidden

OnError = Literal["fail", "repair"]

# Faults of the files: an error, or with `on_error: repair` mended as said here.
REPAIRS: Mapping[str, str] = {
    "orphan": "a tag that continues no entity of its type begins one",
    "unknown-tag": "a tag that the scheme does not know becomes O",
    "unclosed": "an entity without its last tag ends where it ends",
    "overlap": (
        "of overlapping annotations the longer one stays, then the leftmost, then the first in the"
        " file"
    ),
    "discontinuous": "an annotation in several pieces is left out",
    "text-mismatch": "an annotation whose offsets do not give its text is left out",
    "outside": "an annotation outside the text is left out",
    "crosses-passages": "an annotation over two passages is left out",
    "empty-document": "a document without text is left out",
}
# What becomes of sound annotations on the way to flat tags on tokens: never an error, always
# listed.
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
}
# Kinds after which an annotation of the files is in no instance.
LOSSES = {
    *("overlap", "discontinuous", "text-mismatch", "outside", "crosses-passages"),
    *("unknown-tag", "shared-token", "inside-token", "misread"),
}


class Change(NamedTuple):
    """One line of `changes.csv`: `where` is file:line, `result` what was done."""

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

    `quote`: whether messages may show the corpus's text; they may not where its terms forbid
    redistribution. `folder`: where the raw files lie; the list names places from there on, so that
    a corpus gives the same bytes anywhere.
    """

    def __init__(
        self, on_error: OnError = "fail", quote: bool = True, folder: Path | None = None
    ) -> None:
        self.on_error = on_error
        self._folder = f"{folder}/" if folder else ""
        self.listed: list[Change] = []
        self.split = ""
        self._quote = quote

    def quoted(self, text: object) -> str:
        """What a file holds, as messages show it: shortened, or not at all."""
        if not self._quote:
            return hidden(str(text))
        return repr(text[:60]) if isinstance(text, str) else repr(text)[:60]

    def named(self, document: str, otherwise: str = "a document") -> str:
        """A document's id as messages show it: it may be somebody's name."""
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
        """Raise InputError for a fault of the file, or list the repair that REPAIRS names."""
        if self.on_error == "fail":
            remedy = (
                f"Mend the file, or set `on_error: repair` in the catalogue: {REPAIRS[kind]}."
                f" {hint}"
            )
            raise InputError(where, found, expected, remedy.strip())
        self._list(kind, where, document, annotation, REPAIRS[kind])

    def artefact(self, kind: str, document: str, annotation: Annotation) -> None:
        """List what becomes of a sound annotation."""
        self._list(kind, annotation.where, document, annotation, ARTEFACTS[kind])

    def counts(self, split: str) -> dict[str, int]:
        """How many changes of each kind a split has, in the order of the rules."""
        counted = Counter(change.kind for change in self.listed if change.split == split)
        return {kind: counted[kind] for kind in (*REPAIRS, *ARTEFACTS) if counted[kind]}

    def table(self) -> pl.DataFrame:
        """All changes in file order."""
        schema = {
            name: pl.Int64 if name in ("start", "end") else pl.String for name in Change._fields
        }
        return pl.DataFrame(self.listed, schema=schema, orient="row")

    def _list(
        self, kind: str, where: str, document: str, annotation: Annotation | None, result: str
    ) -> None:
        _, start, end, type_, text = annotation or ("", None, None, "", "")
        place = where.removeprefix(self._folder)
        self.listed.append(
            Change(self.split, place, document, kind, type_, start, end, text, result)
        )
