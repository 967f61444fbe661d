"""BioC collections, XML and JSON: passages with annotations by character (Comeau et al. 2013)."""

import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from lxml import etree

from bioner.corpora.changes import Changes
from bioner.corpora.readers.standoff import Annotation, Document, Passage
from bioner.errors import InputError
from bioner.io.files import byte_lines, parse_json, read_text

REMEDY = "Is this a BioC file?"


def read_bioc_xml(path: Path, changes: Changes) -> Iterator[Document]:
    """Yield the documents of an XML collection; entities and network addresses are not resolved."""
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
        yield _document(_from_xml(element, path), changes)


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


def read_bioc_json(path: Path, changes: Changes) -> Iterator[Document]:
    """Yield the documents of a JSON collection; places are ids, since JSON gives no lines."""
    content = parse_json(read_text(path), str(path), whole_file=True)
    documents = content.get("documents") if isinstance(content, dict) else content
    if not isinstance(documents, list):
        raise InputError(path, "no list `documents`", "a BioC collection", REMEDY)
    for number, document in enumerate(documents, 1):
        if not isinstance(document, dict):
            raise InputError(f"{path}: document {number}", "no object", "a document", REMEDY)
        name = changes.named(str(document.get("id") or number), str(number))
        yield _document(document | {"where": f"{path}: document {name}"}, changes)


def _from_xml(document: Any, path: Path) -> dict[str, Any]:
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

    def annotations(element: Any) -> list[dict[str, Any]]:
        return [
            {
                "where": f"{path}:{annotation.sourceline}",
                "id": annotation.get("id"),
                "infons": {infon.get("key"): infon.text for infon in annotation.iterfind("infon")},
                "locations": [
                    dict(location.attrib) for location in annotation.iterfind("location")
                ],
                "text": plain(annotation, "text"),
            }
            for annotation in element.iterfind("annotation")
        ]

    def stretch(element: Any) -> dict[str, Any]:
        return {
            "offset": plain(element, "offset"),
            "text": plain(element, "text"),
            "annotations": annotations(element),
            "sentences": [stretch(sentence) for sentence in element.iterfind("sentence")],
        }

    return {
        "where": f"{path}:{document.sourceline}",
        "id": plain(document, "id"),
        "passages": [stretch(passage) for passage in document.iterfind("passage")],
        "annotations": annotations(document),
    }


def _document(content: dict[str, Any], changes: Changes) -> Document:
    where = content["where"]
    result = Document(where, _text(content, "id", where), [])
    try:
        holders = [content]
        for passage in content["passages"]:
            sentences = passage.get("sentences") or []
            # A passage without text consists of its sentences.
            stretches = [passage] if (passage.get("text") or "").strip() else sentences
            if stretches is not sentences:
                _check_sentences(passage, sentences, where)
            for part in stretches:
                if part.get("text"):
                    result.passages.append(
                        Passage(_number(part, "offset", where), _text(part, "text", where))
                    )
            holders += [passage, *sentences]
        annotations = [
            (annotation, holder.get("offset"))
            for holder in holders
            for annotation in holder.get("annotations") or []
        ]
    except (KeyError, TypeError, AttributeError):
        raise InputError(
            where, "a broken document", "passages with offset, text and annotations", REMEDY
        ) from None
    for annotation, home in annotations:
        _add(result, annotation, home, changes)
    return result


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


def _add(document: Document, annotation: Any, home: Any, changes: Changes) -> None:
    if not isinstance(annotation, dict):
        raise InputError(
            document.where, "an annotation that is no object", "infons, locations, text", REMEDY
        )
    where = annotation.get("where") or f"{document.where}, annotation {annotation.get('id')}"
    infons, locations = annotation.get("infons"), annotation.get("locations")
    if not isinstance(infons, dict) or not isinstance(locations, list) or not locations:
        raise InputError(
            where, "an annotation without infons or locations", "both", "Mend the file."
        )
    type_ = _text(infons, "type", where)
    text = _text(annotation, "text", where) if annotation.get("text") else ""
    pieces = sorted(
        (_number(piece, "offset", where), _number(piece, "length", where)) for piece in locations
    )
    offset = int(home) if str(home).isdecimal() else None
    read = Annotation(where, pieces[0][0], sum(pieces[-1]), type_, text, offset)
    if len(pieces) > 1:
        changes.fault(
            "discontinuous",
            where,
            f"an annotation in {len(pieces)} pieces",
            "one stretch of text",
            document.id,
            read,
        )
    else:
        document.annotations.append(read)


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
