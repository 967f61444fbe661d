"""The sound corpora in every format of the catalogue: a new format is a function and a line."""

import io
import json
from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate
from typing import Any, NamedTuple
from xml.sax.saxutils import escape

import polars as pl

from tests.unit.corpora.fuzz.made import TYPES, Document, Mark, Spoil, laid_out

LABELS = ["O", *(f"{prefix}-{type_}" for type_ in TYPES for prefix in "BI")]


class Piece(NamedTuple):
    """A part of the file `name` (of a folder, else empty); `document` is whose it is, if any's."""

    document: int | None
    text: str
    name: str = ""


Pieces = list[Piece]
Corpus = Sequence[Document]
Writer = Callable[[Corpus, Spoil], Pieces]


class Format(NamedTuple):
    """The catalogue's `format`, how entities are marked, and a writer.

    Marks are `tags` (as text or `numbers`), `tokens` or `characters` (offsets), or `inline`.
    Traits: documents have `ids`, it is `JSON`, annotations have a `text` and perhaps `pieces`, it
    is a `folder`. No token has a character of `without`. `packed` makes a file of its text.
    """

    format: str
    marks: str
    write: Writer
    traits: str = ""
    without: str = ""
    packed: Callable[[str], bytes] = str.encode

    def files(self, pieces: Pieces) -> dict[str, bytes]:
        texts: dict[str, str] = {}
        for piece in pieces:
            texts[piece.name] = texts.get(piece.name, "") + piece.text
        return {name: self.packed(text) for name, text in texts.items()}


def lines(document: int | None, found: Sequence[str], name: str = "") -> Pieces:
    return [Piece(document, line + "\n", name) for line in found]


def each(make: Callable[[Document, Spoil], Iterator[Any]]) -> Writer:
    """Write lines for every document: text as it is, other values as JSON."""

    def text(value: Any) -> str:
        return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)

    return lambda corpus, spoil: [
        Piece(number, text(value) + "\n")
        for number, document in enumerate(corpus)
        for value in make(document, spoil)
    ]


def folder(write: Writer, suffix: str) -> Writer:
    """Write a file for each document."""
    return lambda corpus, spoil: [
        piece._replace(name=f"{corpus[piece.document or 0].id}{suffix}")
        for piece in write(corpus, spoil)
    ]


def array(write: Writer, before: str, between: str, after: str) -> Writer:
    """Write JSON Lines as parts of one value."""

    def written(corpus: Corpus, spoil: Spoil) -> Pieces:
        pieces = [Piece(None, before)]
        for piece in write(corpus, spoil):
            pieces += [piece._replace(text=piece.text.rstrip("\n")), Piece(None, between)]
        return [*pieces[:-1], Piece(None, after)]

    return written


# Tokens and tags; spans by token include the last one.


def conll(columns: str, start: str = "") -> Writer:
    def rows(document: Document, spoil: Spoil) -> Iterator[str]:
        yield from [start, ""] if start else []
        for sentence in document.sentences:
            pairs = zip(spoil.tokens(sentence.tokens), spoil.tags(sentence.tags), strict=True)
            yield from (columns.format(*pair) for pair in pairs)
            yield ""

    return each(rows)


def records(document: Document, spoil: Spoil) -> Iterator[Any]:
    for sentence in document.sentences:
        tokens, tags = spoil.tokens(sentence.tokens), spoil.tags(sentence.tags)
        yield {"doc": document.id, "tokens": tokens, "ner_tags": tags}


def numbered(document: Document, spoil: Spoil) -> Iterator[Any]:
    for record in records(document, spoil):
        yield record | {"ner_tags": [LABELS.index(tag) for tag in record["ner_tags"]]}


def rows_of_lists(corpus: Corpus, spoil: Spoil) -> Pieces:
    def rows(document: Document, spoil: Spoil) -> Iterator[str]:
        for record in records(document, spoil):
            values = (json.dumps(value, ensure_ascii=False) for value in record.values())
            yield ",".join('"' + value.replace('"', '""') + '"' for value in values)

    return [*lines(None, ["pmid,tokens,ner_tags"]), *each(rows)(corpus, spoil)]


def parquet(text: str) -> bytes:
    """Return the columns of JSON Lines as a Parquet file."""
    rows = [json.loads(line) for line in text.split("\n") if line.strip()]
    stream = io.BytesIO()
    pl.DataFrame(rows).write_parquet(stream)
    return stream.getvalue()


def inline(document: Document, spoil: Spoil) -> Iterator[str]:
    yield f"# {document.id}"
    for sentence in document.sentences:
        words = [*spoil.tokens(sentence.tokens)]
        for start, end, type_ in sentence.entities:
            words[start] = f"{{{type_}|{words[start]}"
            words[end - 1] += "}"
        yield " ".join(words)


def dygie(document: Document, spoil: Spoil) -> Iterator[Any]:
    sentences = document.sentences
    offsets = accumulate((len(sentence.tokens) for sentence in sentences), initial=0)
    spans = [
        [[offset + start, offset + end - 1, type_] for start, end, type_ in sentence.entities]
        for offset, sentence in zip(offsets, sentences, strict=False)
    ]
    tokens = [spoil.tokens(sentence.tokens) for sentence in sentences]
    yield {"doc_key": document.id, "sentences": tokens, "ner": spans}


def gliner(document: Document, spoil: Spoil) -> Iterator[Any]:
    for sentence in document.sentences:
        spans = [[start, end - 1, type_] for start, end, type_ in sentence.entities]
        yield {"id": document.id, "tokenized_text": spoil.tokens(sentence.tokens), "ner": spans}


# Annotations by character.


def pubtator(document: Document, spoil: Spoil) -> Iterator[str]:
    passages, marks = laid_out(document, gap=1)
    yield from (
        f"{document.id}|{part}|{text}" for part, (_, text) in zip("ta", passages, strict=True)
    )
    for ((start, end),), type_, text, _ in spoil.marks(marks, passages):
        yield f"{document.id}\t{start}\t{end}\t{text}\t{type_}\tD1"
    yield ""


def bioc(document: Document, spoil: Spoil) -> Iterator[Any]:
    passages, marks = laid_out(document, gap=1)
    found: list[list[Any]] = [[] for _ in passages]
    for number, (pieces, type_, text, home) in enumerate(spoil.marks(marks, passages)):
        places = [{"offset": start, "length": end - start} for start, end in pieces]
        annotation = {"id": f"{number}", "infons": {"type": type_}, "locations": places}
        found[home].append(annotation | ({"text": text} if text else {}))
    parts = [
        {"offset": offset, "text": text, "annotations": annotations}
        for (offset, text), annotations in zip(passages, found, strict=True)
    ]
    yield {"id": document.id, "passages": parts}


def bioc_xml(corpus: Corpus, spoil: Spoil) -> Pieces:
    def elements(document: Document, spoil: Spoil) -> Iterator[str]:
        yield f"<document><id>{document.id}</id>"
        for passage in next(bioc(document, spoil))["passages"]:
            yield f"<passage><offset>{passage['offset']}</offset>"
            yield f"<text>{escape(passage['text'])}</text>"
            for annotation in passage["annotations"]:
                yield f"<annotation><infon key='type'>{annotation['infons']['type']}</infon>"
                for place in annotation["locations"]:
                    yield f"<location offset='{place['offset']}' length='{place['length']}'/>"
                yield f"<text>{escape(annotation.get('text', ''))}</text></annotation>"
            yield "</passage>"
        yield "</document>"

    before = lines(None, ["<?xml version='1.0' encoding='UTF-8'?>", "<collection>"])
    return [*before, *each(elements)(corpus, spoil), *lines(None, ["</collection>"])]


def text_and_marks(document: Document, spoil: Spoil) -> tuple[str, list[Mark]]:
    """Return paragraphs as one text, and the annotations."""
    passages, marks = laid_out(document, gap=2, between="\n")
    return "\n\n".join(text for _, text in passages), spoil.marks(marks, passages)


def brat(corpus: Corpus, spoil: Spoil) -> Pieces:
    pieces: Pieces = []
    for number, document in enumerate(corpus):
        text, marks = text_and_marks(document, spoil)
        pieces += lines(number, text.split("\n"), f"{document.id}.txt")
        pieces.append(Piece(number, "", f"{document.id}.ann"))  # it may be empty
        for n, (places, type_, mention, _) in enumerate(marks):
            place = ";".join(f"{start} {end}" for start, end in places)
            pieces += lines(number, [f"T{n}\t{type_} {place}\t{mention}"], f"{document.id}.ann")
    return pieces


def doccano(document: Document, spoil: Spoil) -> Iterator[Any]:
    text, marks = text_and_marks(document, spoil)
    yield {"id": document.id, "text": text, "label": [[*m.pieces[0], m.type] for m in marks]}


def prodigy(document: Document, spoil: Spoil) -> Iterator[Any]:
    for record in doccano(document, spoil):
        spans = [{"start": a, "end": b, "label": type_} for a, b, type_ in record.pop("label")]
        yield {"text": record["text"], "meta": {"id": record["id"]}, "spans": spans}


def spacy(document: Document, spoil: Spoil) -> Iterator[Any]:
    yield from ([r["text"], {"entities": r["label"]}] for r in doccano(document, spoil))


def label_studio_min(document: Document, spoil: Spoil) -> Iterator[Any]:
    """Offsets count UTF-16 units, in which an emoji has two."""
    text, marks = text_and_marks(document, spoil)
    values = []
    for ((start, end),), type_, mention, _ in marks:
        start, end = (at + sum(c > "\uffff" for c in text[: max(at, 0)]) for at in (start, end))
        values.append({"start": start, "end": end, "text": mention, "labels": [type_]})
    yield {"id": int(document.id), "text": text, "label": values}


def label_studio(document: Document, spoil: Spoil) -> Iterator[Any]:
    for task in label_studio_min(document, spoil):
        result = [{"value": value} for value in task["label"]]
        yield {"data": {"text": task["text"]}, "annotations": [{"result": result}]}


BIOC = '{"source": "made", "documents": [\n'
FORMATS = {
    "conll, tabs": Format("conll", "tags", conll("{}\t{}", "-DOCSTART-\tO")),
    "conll, spaces": Format("conll", "tags", conll("{} {}")),
    "conll, columns": Format("conll", "tags", conll("{} -X- _ {}", "-DOCSTART- -X- O O")),
    "conll, folder": Format("conll", "tags", folder(conll("{}\t{}"), ".tsv"), "folder"),
    "conll or lists": Format("conll-or-lists", "tags", conll("{}\t{}")),
    "lists": Format("conll-or-lists", "tags", rows_of_lists, "ids"),
    "jsonl": Format("jsonl", "tags", each(records), "ids JSON"),
    "jsonl, numbers": Format("jsonl", "numbers", each(numbered), "ids JSON"),
    "parquet": Format("parquet", "tags", each(records), "ids", packed=parquet),
    "parquet, numbers": Format("parquet", "numbers", each(numbered), "ids", packed=parquet),
    "inline": Format("inline", "inline", each(inline), "ids", without="{}|#-"),
    "dygie": Format("dygie", "tokens", each(dygie), "ids JSON"),
    "GLiNER": Format("spans", "tokens", each(gliner), "ids JSON"),
    "pubtator": Format("pubtator", "characters", each(pubtator), "ids text"),
    "pubtator, folder": Format(
        "pubtator", "characters", folder(each(pubtator), ".txt"), "ids text folder"
    ),
    "bioc-json": Format(
        "bioc-json", "characters", array(each(bioc), BIOC, ",\n", "\n]}\n"), "ids JSON text pieces"
    ),
    "PubTator 3": Format(
        "bioc-json", "characters", array(each(bioc), '{"PubTator3": [', ",", "]}"), "ids JSON text"
    ),
    "bioc-json, lines": Format("bioc-json", "characters", each(bioc), "ids JSON text pieces"),
    "bioc-xml": Format("bioc-xml", "characters", bioc_xml, "ids text pieces"),
    "brat": Format("brat", "characters", brat, "ids text pieces folder"),
    "doccano": Format("spans", "characters", each(doccano), "ids JSON"),
    "Prodigy": Format("spans", "characters", each(prodigy), "ids JSON"),
    "spaCy": Format("spans", "characters", array(each(spacy), "[", ",\n", "]"), "JSON"),
    "Label Studio": Format(
        "label-studio", "characters", array(each(label_studio), "[", ",\n", "]"), "JSON text"
    ),
    "Label Studio, min": Format(
        "label-studio", "characters", array(each(label_studio_min), "[", ",\n", "]"), "JSON text"
    ),
}
