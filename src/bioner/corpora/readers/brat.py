"""brat folders: texts `NAME.txt` and annotations `NAME.ann`; only lines `T` are read."""

import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

from bioner.corpora.changes import Changes
from bioner.corpora.readers.standoff import Annotation, Document, Passage
from bioner.errors import InputError
from bioner.io.files import read_lines, read_text

PARAGRAPH = re.compile(r"\S.*?(?=\n[^\S\n]*\n|\Z)", re.DOTALL)  # up to a blank line
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
        text = read_text(path)
        document = Document(
            str(path),
            name,
            [Passage(match.start(), match[0]) for match in PARAGRAPH.finditer(text)],
        )
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
    pieces = sorted(tuple(map(int, piece.split())) for piece in match["pieces"].split(";"))
    annotation = Annotation(where, pieces[0][0], pieces[-1][1], match["type"], match["text"])
    # brat writes a space for a line end inside an annotation, and between its pieces.
    if any(left[1] + 1 < right[0] for left, right in pairwise(pieces)):
        changes.fault(
            "discontinuous",
            where,
            f"the annotation {match['id']} in {len(pieces)} pieces",
            "one stretch of text",
            document.id,
            annotation,
        )
    else:
        document.annotations.append(annotation)
