"""Texts with spans in JSON: doccano, Prodigy, spaCy's training data; and GLiNER's, by token.

A file is JSON Lines or one array. `{"text", "spans" or "entities" or "label(s)": […]}` or
`["text", {"entities": […]}]` has spans by character, `[start, end, type]` or objects;
`{"tokenized_text", "ner": [[first, last, type], …]}` by token, the last one included.
"""

from collections.abc import Iterator, Mapping
from itertools import groupby
from pathlib import Path
from typing import Any

from bioner.corpora.changes import Changes
from bioner.corpora.readers.dygie import flatten
from bioner.corpora.readers.records import DOCUMENT_FIELDS
from bioner.corpora.readers.sentence import Sentence
from bioner.corpora.readers.standoff import Annotation, Document, paragraphs
from bioner.corpora.repeats import Repeats, get_period
from bioner.errors import InputError
from bioner.io.files import read_json_values

# Names in use; the first one present counts.
TEXT_FIELDS = ("text", "data")
SPAN_FIELDS = ("spans", "entities", "ents", "labels", "label", "annotations")
START_FIELDS, END_FIELDS = ("start", "start_offset"), ("end", "end_offset")
TYPE_FIELDS = ("label", "type", "entity_type")
ID_FIELDS = (*DOCUMENT_FIELDS, "id")  # an id may be that of a part of the document
LARGEST = 10**9
Object = tuple[str, str, dict[str, Any]]  # a name for it, its place, and itself


def read_spans(path: Path, changes: Changes) -> Iterator[Document]:
    """Yield a document per object; Prodigy's examples that are not accepted are left out.

    Raises:
        InputError: An object without text or spans, or a broken span.
    """
    for name, where, record in read_objects(path):
        identity = get_id(record) or name
        if record.get("answer", "accept") != "accept":
            if changes.holds(identity):
                changes.remark("examples not accepted, left out")
            continue
        text = next((record[key] for key in TEXT_FIELDS if isinstance(record.get(key), str)), None)
        if text is None:
            expected = f"a string under {' or '.join(TEXT_FIELDS)}"
            raise InputError(where, "an object without text", expected, "Add it.")
        document = Document(where, identity, paragraphs(text))
        for number, span in enumerate(_spans(record, where), 1):
            document.annotations.append(to_annotation(span, f"{where}, span {number}", changes))
        yield document


def read_gliner(objects: Iterator[Object], changes: Changes) -> Iterator[Sentence]:
    """Yield a sentence per object; overlapping spans are flattened.

    Objects of one id in a row are a document, or several times the same.
    """
    repeats = Repeats(changes)
    for identity, together in groupby(objects, key=lambda item: get_id(item[2]) or item[0]):
        items = [
            (where, item.get("tokenized_text"), item.get("ner")) for _, where, item in together
        ]
        size = get_period([tokens for _, tokens, _ in items])
        for start in range(0, len(items), size):
            places, texts, spans = zip(*items[start : start + size], strict=True)
            if changes.holds(identity) and not repeats.is_repeat(identity, places[0], texts, spans):
                # Each object by itself, since sentences of a document may be the same.
                for where, tokens, ner in zip(places, texts, spans, strict=True):
                    record = {"doc_key": identity, "sentences": [tokens], "ner": [ner]}
                    yield from flatten([(where, record)], changes)


def holds_tokens(objects: Iterator[Object]) -> bool:
    """Return whether the first object has tokens (GLiNER) in place of a text."""
    _, _, first = next(objects, ("", "", {}))
    return "tokenized_text" in first


def records_of(path: Path) -> Iterator[tuple[str, str, Any]]:
    """Yield the values of JSON Lines or of one array: each with a name, its place, and itself."""
    number = 0
    for place, value in read_json_values(path):
        is_array = isinstance(value, list) and not (value and isinstance(value[0], str))
        for record in value if is_array else [value]:
            number += 1
            where = f"{place}: object {number}" if place == str(path) else place
            yield f"{path.name.partition('.')[0]}-{number:04d}", where, record


def get_id(record: Mapping[str, Any]) -> str:
    """Return the document's id in an object or its `meta`; "" if there is none."""
    meta = record.get("meta")
    for key in ID_FIELDS:
        for holder in (record, meta if isinstance(meta, dict) else {}):
            if type(holder.get(key)) in (int, str) and holder[key] != "":
                return str(holder[key])
    return ""


def to_annotation(span: Any, where: str, changes: Changes) -> Annotation:
    """Return a span by character, a list or an object; its text may be unknown."""
    if isinstance(span, list):
        span = dict(zip((START_FIELDS[0], END_FIELDS[0], TYPE_FIELDS[0]), span, strict=False))
    held = span if isinstance(span, dict) else {}
    start, end, type_ = (
        next((held[key] for key in names if key in held), None)
        for names in (START_FIELDS, END_FIELDS, TYPE_FIELDS)
    )
    text = held.get("text")
    if (
        not (type(start) is type(end) is int and isinstance(type_, str) and type_.strip())
        or max(abs(start), abs(end)) >= LARGEST
    ):
        expected = "[start, end, type], or an object with start, end and label"
        raise InputError(where, f"the span {changes.quoted(span)}", expected, "Mend it.")
    return Annotation(where, start, end, type_, text if isinstance(text, str) else "")


def read_objects(path: Path) -> Iterator[Object]:
    """Yield the objects of a file.

    Raises:
        InputError: A value of another kind.
    """
    for name, where, record in records_of(path):
        if isinstance(record, list) and list(map(type, record)) == [str, dict]:  # spaCy
            record = {"text": record[0]} | record[1]
        if not isinstance(record, dict):
            remedy = "Is this the right kind of file?"
            raise InputError(where, "no object", "an object with text and spans", remedy)
        yield name, where, record


def _spans(record: Mapping[str, Any], where: str) -> list[Any]:
    """Return the list of spans of an object; lists of words are other labels."""
    lists = {key: record[key] for key in SPAN_FIELDS if isinstance(record.get(key), list)}
    filled = [key for key, items in lists.items() if isinstance(next(iter(items), ""), list | dict)]
    if len(filled) > 1:
        found = f"spans under {filled[0]} and under {filled[1]}"
        raise InputError(where, found, "one list of spans", "Remove one of them.")
    if filled:
        return list(lists[filled[0]])
    is_unmarked = "answer" in record and record.get("spans") is None  # by Prodigy
    if not is_unmarked and [] not in lists.values():
        expected = f"a list under {', '.join(SPAN_FIELDS)}"
        raise InputError(where, "no list of spans", expected, "Add it; it may be empty.")
    return []
