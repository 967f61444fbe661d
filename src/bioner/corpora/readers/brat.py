"""brat folders: texts `NAME.txt` and annotations `NAME.ann`; only lines `T` are read."""

import re
from collections.abc import Iterator
from pathlib import Path

from bioner.corpora.changes import Changes
from bioner.corpora.readers.standoff import Annotation, Document, get_span, paragraphs
from bioner.errors import InputError
from bioner.io.files import read_lines, read_text

# Relations, events, attributes, modifications, normalizations, equivalences, notes.
OTHERS = ("R", "E", "A", "M", "N", "*", "#")
TEXT_BOUND = re.compile(
    r"(?P<id>T\S+)\t(?P<type>\S+) (?P<pieces>\d{1,9} \d{1,9}(;\d{1,9} \d{1,9})*)\t(?P<text>.*)",
    re.DOTALL,
)


def read_brat(folder: Path, changes: Changes) -> Iterator[Document]:
    """Yield the documents of a folder and its subfolders by name; other annotations are skipped.

    Raises:
        InputError: No folder, a text without annotations or the reverse, or a broken line.
    """
    if not folder.is_dir():
        raise InputError(
            folder, "no such folder", "a folder of NAME.txt and NAME.ann", "Check the path."
        )
    texts, annotations = (
        {
            path.relative_to(folder).with_suffix("").as_posix(): path
            for path in folder.rglob("*")
            if path.suffix.lower() == kind and not path.name.startswith(".")
        }
        for kind in (".txt", ".ann")
    )
    if lone := sorted(texts.keys() ^ annotations.keys()):
        path = texts.get(lone[0]) or annotations[lone[0]]
        other = path.with_suffix(".ann" if path.suffix.lower() == ".txt" else ".txt")
        raise InputError(
            path, f"no {other.name} beside it", "both", "Add it (empty where nothing is annotated)."
        )
    for name, path in sorted(texts.items()):
        document = Document(str(path), name, paragraphs(read_text(path)))
        for number, line in read_lines(annotations[name]):
            where = f"{annotations[name]}:{number}"
            if line.startswith("T"):
                _add(document, where, line, changes)
            elif line.strip() and not line.startswith(OTHERS):
                raise InputError(
                    where,
                    changes.quoted(line),
                    "a line of brat's (T, R, E, A, M, N, *, #)",
                    "Mend the line.",
                )
        yield document


def _add(document: Document, where: str, line: str, changes: Changes) -> None:
    match = TEXT_BOUND.fullmatch(line)
    if match is None:
        raise InputError(
            where, changes.quoted(line), "`T1<tab>TYPE START END<tab>TEXT`", "Mend the line."
        )
    pieces = [(int(start), int(end)) for start, end in map(str.split, match["pieces"].split(";"))]
    if span := get_span(pieces, document.passages):
        document.annotations.append(Annotation(where, *span, match["type"], match["text"]))
        return
    start, end = min(pieces)[0], max(end for _, end in pieces)
    changes.fault(
        "discontinuous",
        where,
        f"the annotation {match['id']} in {len(pieces)} pieces",
        "one stretch of text",
        document.id,
        Annotation(where, start, end, match["type"], match["text"]),
    )
