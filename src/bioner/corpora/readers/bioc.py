"""BioC collections, XML and JSON: passages with annotations by character (Comeau et al. 2013)."""

import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from itertools import chain, pairwise
from pathlib import Path
from typing import Any

from lxml import etree

from bioner.corpora.changes import Changes
from bioner.corpora.readers.standoff import Annotation, Document, Passage, get_span
from bioner.errors import InputError
from bioner.io.files import byte_lines, read_json_values, read_text

REMEDY = "Is this a BioC file?"
PLACE = object()  # key of an element's place: none that JSON can have
LONGEST_GAP = 100  # characters between sentences that are joined; damaged offsets lie anywhere


def read_bioc_xml(path: Path, changes: Changes, type_key: str = "type") -> Iterator[Document]:
    """Yield the documents of an XML collection; entities and network addresses are not resolved.

    Args:
        path: The file.
        changes: Where faults are listed.
        type_key: The infon that holds an annotation's type.
    """
    content = _xml_bytes(path)
    try:
        parser = etree.XMLParser(
            resolve_entities=False, no_network=True, load_dtd=False, remove_comments=True
        )
        collection = etree.fromstring(content, parser)
    except etree.XMLSyntaxError as error:
        raise InputError(
            f"{path}:{max(error.lineno or 1, 1)}",
            f"broken XML {changes.quoted(error.msg)}",
            "a BioC collection",
            REMEDY,
        ) from None
    documents = list(collection.iter("document"))
    if not documents:
        raise InputError(path, "no <document>", "a BioC collection", REMEDY)
    for element in documents:
        yield _document(_from_xml(element, path), type_key, changes)


def _xml_bytes(path: Path) -> bytes:
    """Return the file's bytes; XML may declare its encoding, and is UTF-8 otherwise."""
    content = b"".join(line for _, line in byte_lines(path))
    declared = re.match(rb"""\s*<\?xml[^>]*encoding=["']([\w.-]+)""", content)
    if declared is None or declared[1].lower() in (b"utf-8", b"utf8", b"us-ascii", b"ascii"):
        return read_text(path).encode()  # names the line that is not UTF-8
    with suppress(UnicodeDecodeError):
        if not content.decode("utf-8").isascii():
            raise InputError(
                f"{path}:1",
                f"UTF-8 text declared as {declared[1].decode()}",
                "a declaration that is true",
                "Correct `encoding=` in the first line.",
            )
    return content


def read_bioc_json(path: Path, changes: Changes, type_key: str = "type") -> Iterator[Document]:
    """Yield the documents of a JSON collection, of a list of them, or of JSON Lines.

    Places are lines, or document ids where one line or value holds several documents.
    """
    number = 0
    for where, value in read_json_values(path):
        for document in _documents(value, where):
            number += 1
            place = where
            if document is not value or where == str(path):
                name = document.get("id") if isinstance(document, dict) else None
                place += f": document {changes.named(str(name or number), str(number))}"
            if not isinstance(document, dict):
                raise InputError(place, "no object", "a document", REMEDY)
            yield _document(document | {PLACE: place}, type_key, changes)


def _documents(value: Any, where: str) -> list[Any]:
    """Return the documents of a document, a collection, or a list of either."""
    documents: list[Any] = []
    for item in value if isinstance(value, list) else [value]:
        held = item.get("documents", item.get("PubTator3")) if isinstance(item, dict) else None
        documents += held if isinstance(held, list) else [item]
    if documents == [value] and not (isinstance(value, dict) and "passages" in value):
        raise InputError(where, "no list `documents`", "a BioC collection", REMEDY)
    return documents


def _from_xml(document: Any, path: Path) -> dict[object, Any]:
    """Return an XML document in the JSON form, with its places."""

    def plain(element: Any, name: str) -> str | None:
        child = element.find(name)
        if child is not None and len(child):
            raise InputError(
                f"{path}:{child.sourceline}",
                f"a <{name}> that holds more than text",
                "text alone",
                "Mend the file.",
            )
        return None if child is None else child.text or ""

    def annotations(element: Any) -> list[dict[object, Any]]:
        return [
            {
                PLACE: f"{path}:{annotation.sourceline}",
                "id": annotation.get("id"),
                "infons": {infon.get("key"): infon.text for infon in annotation.iterfind("infon")},
                "locations": [
                    dict(location.attrib) for location in annotation.iterfind("location")
                ],
                "text": plain(annotation, "text"),
            }
            for annotation in element.iterfind("annotation")
        ]

    def stretch(element: Any) -> dict[object, Any]:
        return {
            "offset": plain(element, "offset"),
            "text": plain(element, "text"),
            "annotations": annotations(element),
            "sentences": [stretch(sentence) for sentence in element.iterfind("sentence")],
        }

    return {
        PLACE: f"{path}:{document.sourceline}",
        "id": plain(document, "id"),
        "passages": [stretch(passage) for passage in document.iterfind("passage")],
        "annotations": annotations(document),
    }


def _document(content: dict[object, Any], type_key: str, changes: Changes) -> Document:
    where = content[PLACE]
    if content.get("id") in (None, ""):
        raise InputError(where, "a document without an id", "an id for each", "Add one.")
    identity = _text(content, "id", where)
    try:
        stretches, listed = _parts(content, where)
    except (KeyError, TypeError, AttributeError):
        raise InputError(
            where, "a broken document", "passages with offset, text and annotations", REMEDY
        ) from None
    document = Document(where, identity, list(chain.from_iterable(stretches)))
    for annotation, home in listed:
        _add(document, annotation, home, type_key, changes)
    joined = (_joined(parts, document.annotations) for parts in stretches)
    return replace(document, passages=list(chain.from_iterable(joined)))


def _parts(
    content: dict[object, Any], where: str
) -> tuple[list[list[Passage]], list[tuple[Any, Any]]]:
    """Return what a document consists of.

    Returns:
        For each passage itself, or its sentences if it has no text; and the annotations, each with
        the offset of the passage or sentence that lists it.
    """
    stretches: list[list[Passage]] = []
    holders: list[Any] = [content]
    for passage in content["passages"]:
        sentences = _list(passage, "sentences")
        parts = [passage] if (passage.get("text") or "").strip() else sentences
        if parts is not sentences:
            _check_sentences(passage, sentences, where)
        stretches.append(
            [
                Passage(_number(part, "offset", where), _text(part, "text", where))
                for part in parts
                if part.get("text")
            ]
        )
        holders += [passage, *sentences]
    listed = [
        (annotation, holder.get("offset"))
        for holder in holders
        for annotation in _list(holder, "annotations")
    ]
    return stretches, listed


def _list(holder: Any, name: str) -> list[Any]:
    """Return a list, empty if it is absent or null; raise TypeError if it is anything else."""
    value = holder.get(name)
    if not isinstance(value, list | None):
        raise TypeError
    return value or []


def _joined(sentences: list[Passage], annotations: list[Annotation]) -> list[Passage]:
    """Join the sentences that an annotation spans; blanks stand for what lies between them."""
    joined = sentences[:1]
    for right in sentences[1:]:
        left = joined[-1]
        gap = right.offset - left.end
        if 0 <= gap <= LONGEST_GAP and any(
            annotation.start < left.end and right.offset < annotation.end
            for annotation in annotations
        ):
            joined[-1] = Passage(left.offset, f"{left.text}{' ' * gap}{right.text}")
        else:
            joined.append(right)
    return joined


def _check_sentences(passage: Any, sentences: Any, where: str) -> None:
    """Raise InputError if a sentence is not part of its passage's text, since it would be lost."""
    offset = _number(passage, "offset", where)
    for sentence in sentences:
        if sentence.get("text"):
            start = _number(sentence, "offset", where) - offset
            if start < 0 or not passage["text"].startswith(sentence["text"], start):
                raise InputError(
                    where,
                    "a sentence that is not in its passage's text",
                    "one text for both",
                    "Mend the file.",
                )


def _add(document: Document, content: Any, home: Any, type_key: str, changes: Changes) -> None:
    """Add an annotation to its document, or list why it is left out."""
    if not isinstance(content, dict):
        raise InputError(
            document.where, "an annotation that is no object", "infons, locations, text", REMEDY
        )
    where = content.get(PLACE) or f"{document.where}, annotation {content.get('id')}"
    infons, locations = content.get("infons"), content.get("locations")
    if not isinstance(infons, dict) or not isinstance(locations, list) or not locations:
        raise InputError(
            where, "an annotation without infons or locations", "both", "Mend the file."
        )
    type_ = _type(infons, type_key, where)
    starts = [_number(piece, "offset", where) for piece in locations]
    pieces = [
        (start, start + _number(piece, "length", where))
        for start, piece in zip(starts, locations, strict=True)
    ]
    annotation = Annotation(
        where,
        min(pieces)[0],
        max(end for _, end in pieces),
        type_,
        _text(content, "text", where) if content.get("text") else "",
        int(home) if str(home).isdecimal() else None,
    )
    touched = sorted(
        passage
        for passage in document.passages
        if annotation.start < passage.end and passage.offset < annotation.end
    )
    if get_span(pieces, document.passages) is None:
        changes.fault(
            "discontinuous",
            where,
            f"an annotation in {len(pieces)} pieces",
            "one stretch of text",
            document.id,
            annotation,
        )
    elif any(right.offset < left.end for left, right in pairwise(touched)):
        changes.fault(
            "crosses-passages",
            where,
            f"the annotation {annotation.start} to {annotation.end} in passages that overlap",
            "offsets of passages that count over the whole document",
            document.id,
            annotation,
        )
    else:
        document.annotations.append(annotation)


def _type(infons: dict[str, Any], type_key: str, where: str) -> str:
    if type_key not in infons:
        keys = ", ".join(map(str, infons)) or "nothing"
        remedy = f"Set `type_key`; the infons here are {keys}."
        raise InputError(where, f"no infon {type_key}", "the annotation's type", remedy)
    return _text(infons, type_key, where)


def _text(holder: Any, name: str, where: str) -> str:
    value = holder.get(name) if isinstance(holder, dict) else None
    if name == "id" and type(value) is int:
        return str(value)
    if not isinstance(value, str) or not value:
        raise InputError(where, f"no text as {name}", "text", REMEDY)
    return value


def _number(holder: Any, name: str, where: str) -> int:
    value = holder.get(name) if isinstance(holder, dict) else None
    if type(value) not in (int, str) or not re.fullmatch("-?[0-9]{1,9}", str(value).strip()):
        raise InputError(where, f"no number as {name}", "a whole number of characters", REMEDY)
    return int(value)  # type: ignore[arg-type]
