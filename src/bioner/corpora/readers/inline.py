"""Inline mark-up: `{Chemical|aspirin} stopped .`, a sentence per line; `# id` opens a document."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

from bioner.corpora.readers.sentence import Sentence
from bioner.data.tags import Span, tags_from_spans
from bioner.errors import InputError
from bioner.io.files import read_lines

Quoted = Callable[[str], str]

ENTITY = re.compile(r"\{(?P<type>\w+)\|(?P<text>[^{}|]+)\}")


def read_inline(path: Path, quoted: Quoted = repr) -> Iterator[Sentence]:
    """Yield the sentences of a file; single spaces separate tokens, inside and outside the mark-up.

    Raises:
        InputError: A sentence outside a document, a stray brace or bar, or doubled spaces.
    """
    document: str | None = None
    for number, line in read_lines(path):
        where = f"{path}:{number}"
        if line.startswith("# "):
            document = line[2:].strip()
        elif line.strip():
            if document is None:
                raise InputError(
                    where,
                    quoted(line),
                    "a line `# id` first",
                    "Every sentence belongs to a document.",
                )
            yield Sentence(where, document, *parse(line, where, quoted))


def parse(line: str, where: str, quoted: Quoted = repr) -> tuple[list[str], list[str]]:
    """Return the tokens and IOB2 tags of one marked-up sentence."""
    tokens: list[str] = []
    entities: list[Span] = []
    position = 0
    for match in ENTITY.finditer(line):
        tokens += _words(line[position : match.start()], where, quoted, before_entity=True)
        words = _words(match["text"], where, quoted)
        entities.append(Span(len(tokens), len(tokens) + len(words), match["type"]))
        tokens += words
        position = match.end()
        if line[position : position + 1] not in ("", " "):
            raise InputError(
                where,
                f"{quoted(line[position : position + 20])} right after an entity",
                "a space",
                "Set mark-up off by spaces.",
            )
        position += 1
    tokens += _words(line[position:], where, quoted)
    return tokens, tags_from_spans(entities, len(tokens))


def _words(text: str, where: str, quoted: Quoted, before_entity: bool = False) -> list[str]:
    if not text:
        return []
    if before_entity:
        if not text.endswith(" "):
            raise InputError(
                where,
                f"{quoted(text[-20:])} right before an entity",
                "a space",
                "Set mark-up off by spaces.",
            )
        text = text[:-1]
    words = text.split(" ")
    if "" in words:
        raise InputError(
            where,
            f"a doubled or edge space in {quoted(text)}",
            "single spaces",
            "Remove the extra space.",
        )
    if stray := next((word for word in words if re.search(r"[{}|]", word)), None):
        raise InputError(
            where,
            quoted(stray),
            "mark-up of the form {Type|words}",
            "Mend the braces; they do not nest.",
        )
    return words
