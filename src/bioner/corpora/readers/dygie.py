"""The JSON Lines of DyGIE and SciERC (ChemProt): tokenized documents with spans by token offset.

`{"doc_key", "sentences": [[token, …], …], "ner": [[[first, last, type], …], …]}`, a list of spans
per sentence. Offsets count the document's tokens, and `last` is inclusive.
"""

from collections.abc import Iterable, Iterator
from typing import Any

from bioner.corpora.changes import Changes
from bioner.corpora.readers.sentence import Sentence
from bioner.corpora.readers.standoff import Annotation
from bioner.corpora.repeats import Block, drop_repeated_blocks
from bioner.data.tags import OUTSIDE, Span, resolve_overlaps, tags_from_spans
from bioner.errors import InputError

KEYS = frozenset({"doc_key", "sentences", "ner"})
Record = tuple[str, dict[str, Any]]  # an object with these keys, and before it its place


def flatten(records: Iterable[Record], changes: Changes) -> Iterator[Sentence]:
    """Yield the sentences of documents, each with its place; overlapping spans are flattened."""
    for where, key, sentences, entities in _documents(records, changes):
        offset = 0
        for tokens, spans in zip(sentences, entities, strict=True):
            inside: list[Span] = []
            for span in spans:
                if offset <= span.start < span.end <= offset + len(tokens):
                    inside.append(span)
                else:
                    changes.fault(
                        "outside",
                        where,
                        f"the span {span.start} to {span.end - 1} in {changes.named(key)}",
                        f"offsets of its sentence, {offset} to {offset + len(tokens) - 1}",
                        key,
                        _annotation(where, span, tokens, offset),
                    )
            kept, dropped = resolve_overlaps(inside)
            for loser, winner in dropped:
                shown = [f"{start} to {end - 1} ({type_})" for start, end, type_ in (loser, winner)]
                changes.fault(
                    "overlap",
                    where,
                    f"the spans {shown[0]} and {shown[1]} in {changes.named(key)}, which overlap",
                    "flat spans",
                    key,
                    _annotation(where, loser, tokens, offset),
                )
            own = [Span(start - offset, end - offset, type_) for start, end, type_ in kept]
            yield Sentence(where, key, tokens, tags_from_spans(own, len(tokens)))
            offset += len(tokens)


def read_dygie_misread(records: Iterable[Record], changes: Changes) -> Iterator[Sentence]:
    """Yield sentences with the paper's labelling error: document offsets read as sentence offsets.

    Spans are written in file order, later ones over earlier ones, and cut at the sentence's end; so
    most sentences lose their entities and the words marked are not those annotated. The result is
    not valid IOB2. docs/reproduction.md has an example.
    """
    for where, key, sentences, entities in _documents(records, changes):
        offset = 0
        for tokens, spans in zip(sentences, entities, strict=True):
            tags = [OUTSIDE] * len(tokens)
            for span in spans:
                for position in range(max(span.start, 0), min(span.end, len(tokens))):
                    tags[position] = f"{'B' if position == span.start else 'I'}-{span.type}"
            for span in spans:
                written = [f"B-{span.type}", *[f"I-{span.type}"] * (span.length - 1)]
                if tags[max(span.start, 0) : span.end] != written:
                    changes.artefact("misread", key, _annotation(where, span, tokens, offset))
            offset += len(tokens)
            yield Sentence(where, key, tokens, tags)


def _documents(
    records: Iterable[tuple[str, dict[str, Any]]], changes: Changes
) -> Iterator[tuple[str, str, list[list[str]], list[list[Span]]]]:
    blocks = _blocks(records, changes)
    for key, where, sentences, spans in drop_repeated_blocks(blocks, changes, lambda block: block):
        changes.add_found(sum(map(len, spans)))
        yield (
            where,
            key,
            sentences,
            [[Span(a, b + 1, t) for a, b, t in row] for row in spans],
        )


def _blocks(records: Iterable[Record], changes: Changes) -> Iterator[Block]:
    for where, record in records:
        block = Block(str(record["doc_key"]), where, record["sentences"], record["ner"])
        if changes.holds(block.document):
            _check(where, block.text, block.annotations, changes)
            yield block


def _check(where: str, sentences: Any, spans: Any, changes: Changes) -> None:
    remedy = "Is this the right kind of file?"
    if (
        not isinstance(sentences, list)
        or not isinstance(spans, list)
        or len(sentences) != len(spans)
    ):
        counts = " and ".join(
            str(len(x)) if isinstance(x, list) else "no list" for x in (sentences, spans)
        )
        raise InputError(
            where,
            f"`sentences` and `ner` of different length ({counts})",
            "a list a sentence",
            remedy,
        )
    if not all(
        isinstance(tokens, list) and all(isinstance(token, str) for token in tokens)
        for tokens in sentences
    ):
        raise InputError(where, "a sentence that is no list of tokens", "lists of strings", remedy)
    for row in spans:
        for span in row if isinstance(row, list) else [row]:
            sound = isinstance(span, list) and [type(part) for part in span] == [int, int, str]
            if not sound or max(map(abs, span[:2])) >= 10**9 or not span[2]:
                raise InputError(
                    where,
                    f"the span {changes.quoted(span)}",
                    "[first token, last token, type]",
                    remedy,
                )


def _annotation(where: str, span: Span, tokens: list[str], offset: int) -> Annotation:
    """Return a span as an annotation, with its text in the sentence that begins at `offset`."""
    text = " ".join(tokens[max(span.start - offset, 0) : max(span.end - offset, 0)])
    return Annotation(where, span.start, span.end, span.type, text)
