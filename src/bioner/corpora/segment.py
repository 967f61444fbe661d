"""Text with stand-off annotations to sentences: tokenize, align annotations, cut instances."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

from bioner.corpora.changes import Changes
from bioner.corpora.offsets import is_same
from bioner.corpora.readers.sentence import Sentence
from bioner.corpora.readers.standoff import Annotation, Document, Passage
from bioner.data.tags import Span, resolve_overlaps, tags_from_spans
from bioner.errors import InputError

if TYPE_CHECKING:
    from spacy.language import Language


class Token(NamedTuple):
    """A token and its character range in the document; `opens` if a sentence begins with it."""

    start: int
    end: int
    text: str
    opens: bool = False


class Rules(NamedTuple):
    """How text becomes instances, from the catalogue; `borders` is its `token_alignment`."""

    segmentation: str = "passages"
    max_tokens: int = 256
    borders: str = "widen"


def segment(document: Document, rules: Rules, changes: Changes) -> Iterator[Sentence]:
    """Yield the instances of a document: each sentence, or each passage, cut if it is too long.

    Annotations that flat tags on these tokens cannot represent are listed in `changes`. No border
    falls inside an annotation.
    """
    passages = [
        (passage, tokenize(passage, rules.segmentation == "sentences"))
        for passage in document.passages
    ]
    if not any(tokens for _, tokens in passages):
        changes.fault(
            "empty-document",
            document.where,
            "a document without text",
            "text",
            document.id,
        )
        _by_passage(document, changes)  # lists each annotation that is lost
        return
    lay = {"widen": widened, "split": split}[rules.borders]
    for (_, tokens), annotations in zip(passages, _by_passage(document, changes), strict=True):
        tokens, entities = lay(
            tokens, _without_overlaps(document, annotations, changes), document, changes
        )
        tags = tags_from_spans(entities, len(tokens))
        for start, end in borders(tokens, tags, rules):
            words = [token.text for token in tokens[start:end]]
            yield Sentence(document.where, document.id, words, tags[start:end])


def tokenize(passage: Passage, sentences: bool = False) -> list[Token]:
    """Return the tokens of spaCy's English rules, which need no model.

    Args:
        passage: The text and its offset in the document.
        sentences: Whether to mark tokens that begin a sentence; a line end also ends a sentence.
    """
    # All white space separates tokens, even where spaCy would keep it inside one.
    text = "".join(" " if character.isspace() else character for character in passage.text)
    found: list[Token] = []
    opens = False
    for token in (_english() if sentences else _english().tokenizer)(text):
        opens = opens or bool(sentences and token.is_sent_start)
        if not token.is_space:
            start = passage.offset + token.idx
            opens |= (
                sentences
                and bool(found)
                and "\n" in passage.text[found[-1].end - passage.offset : token.idx]
            )
            found.append(Token(start, start + len(token), token.text, opens))
            opens = False
    return found


@cache
def _english() -> "Language":
    import spacy  # half a second, only for formats that need it

    language = spacy.blank("en")
    language.add_pipe("sentencizer")
    language.max_length = 10**9  # the limit is meant for parsers
    return language


def _by_passage(document: Document, changes: Changes) -> list[list[Annotation]]:
    """Return the sound annotations of each passage: within its text, which agrees with theirs."""
    homes: list[list[Annotation]] = [[] for _ in document.passages]
    name = changes.named(document.id)
    for annotation in document.annotations:
        # A tag is one word, and so is its type.
        annotation = annotation._replace(type="_".join(annotation.type.split()))
        where, start, end = annotation.where, annotation.start, annotation.end
        if not annotation.type:
            raise InputError(where, "an annotation without a type", "a type", "Add it to the file.")
        touched = [
            n
            for n, passage in enumerate(document.passages)
            if start < passage.end and passage.offset < end
        ]
        if len(touched) > 1:
            changes.fault(
                "crosses-passages",
                where,
                f"the annotation {start} to {end} over {len(touched)} passages of {name}",
                "an annotation inside a passage",
                document.id,
                annotation,
            )
            continue
        passage = document.passages[touched[0]] if touched else None
        if passage is None or not passage.offset <= start < end <= passage.end:
            changes.fault(
                "outside",
                where,
                f"the annotation {start} to {end} of {name}",
                f"a start before its end inside {_extent(document)}",
                document.id,
                annotation,
            )
            continue
        there = passage.text[start - passage.offset : end - passage.offset]
        if not there.strip():
            changes.fault(
                "text-mismatch",
                where,
                f"the annotation {start} to {end} of {name}, which is white space",
                "a mention",
                document.id,
                annotation,
            )
            continue
        if annotation.text and annotation.text.split() != there.split():
            # What differs in its form alone cannot come from a wrong offset.
            alike = is_same(annotation.text, there)
            changes.fault(
                "text-differs" if alike else "text-mismatch",
                where,
                f"the annotation {changes.quoted(annotation.text)} at {start} to {end} of {name}",
                f"{changes.quoted(there)}, its text there",
                document.id,
                annotation,
            )
            if not alike:
                continue
        # White space at the edges is not part of a mention.
        start, end = (
            start + len(there) - len(there.lstrip()),
            end - len(there) + len(there.rstrip()),
        )
        homes[touched[0]].append(annotation._replace(start=start, end=end))
    return homes


def _without_overlaps(
    document: Document, annotations: Sequence[Annotation], changes: Changes
) -> list[Annotation]:
    by_span: dict[Span, list[Annotation]] = {}
    for annotation in annotations:
        by_span.setdefault(Span(annotation.start, annotation.end, annotation.type), []).append(
            annotation
        )
    kept, dropped = resolve_overlaps([span for span, same in by_span.items() for _ in same])
    for loser, winner in dropped:
        annotation = by_span[loser].pop()
        shown = [f"{span.start} to {span.end} ({span.type})" for span in (loser, winner)]
        changes.fault(
            "overlap",
            annotation.where,
            f"the annotations {shown[0]} and {shown[1]} of {changes.named(document.id)}, which"
            " overlap",
            "flat annotations",
            document.id,
            annotation,
        )
    return [by_span[span][0] for span in kept]


def widened(
    tokens: list[Token], annotations: Sequence[Annotation], document: Document, changes: Changes
) -> tuple[list[Token], list[Span]]:
    """Lay annotations on whole tokens: those that overlap an annotation belong to it."""
    starts, ends = [token.start for token in tokens], [token.end for token in tokens]
    placed: dict[Span, Annotation] = {}
    for annotation in sorted(annotations, key=lambda annotation: annotation.start - annotation.end):
        first, behind = bisect_right(ends, annotation.start), bisect_left(starts, annotation.end)
        span = Span(first, behind, annotation.type)
        if span in placed:
            changes.artefact("shared-token", document.id, annotation)
        else:
            placed[span] = annotation
    kept, dropped = resolve_overlaps(list(placed))
    for span, _ in dropped:
        changes.artefact("shared-token", document.id, placed[span])
    for span in kept:
        annotation = placed[span]
        if (starts[span.start], ends[span.end - 1]) != (annotation.start, annotation.end):
            changes.artefact("widened", document.id, annotation)
    return tokens, kept


def split(
    tokens: list[Token], annotations: Sequence[Annotation], document: Document, changes: Changes
) -> tuple[list[Token], list[Span]]:
    """Lay annotations on tokens that are split where an annotation ends.

    This is how the converter behind the paper's BioRED seems to work (docs/reproduction.md). A
    token belongs to the annotation that holds its first character; what of it extends past the
    annotation becomes a token of its own, outside. So tokens depend on the gold. An annotation that
    begins inside a token is left out.
    """
    starts = [token.start for token in tokens]
    parts: list[Token] = []
    entities: list[Span] = []
    done = 0
    for annotation in annotations:  # left to right
        first, last = bisect_left(starts, annotation.start), bisect_left(starts, annotation.end) - 1
        if first == len(tokens) or starts[first] != annotation.start:
            changes.artefact("inside-token", document.id, annotation)
            continue
        parts += tokens[done:last]
        begin, over = len(parts) - (last - first), tokens[last]
        entities.append(Span(begin, len(parts) + 1, annotation.type))
        if over.end > annotation.end:
            changes.artefact("split-token", document.id, annotation)
            length = annotation.end - over.start
            parts.append(over._replace(end=annotation.end, text=over.text[:length]))
            parts.append(Token(annotation.end, over.end, over.text[length:]))
        else:
            parts.append(over)
        done = last + 1
    return parts + tokens[done:], entities


def borders(
    tokens: Sequence[Token], tags: Sequence[str], rules: Rules
) -> Iterator[tuple[int, int]]:
    """Yield the first token and the end of each instance.

    A passage over `max_tokens` is cut after full stops outside annotations, and the pieces are
    joined again while they fit; a longer sentence stays whole.
    """
    if rules.segmentation == "sentences":
        cuts = [
            n
            for n, token in enumerate(tokens)
            if n and token.opens and not tags[n].startswith("I-")
        ]
    elif len(tokens) > rules.max_tokens:
        ends = [n + 1 for n, token in enumerate(tokens) if token.text == "." and tags[n] == "O"]
        cuts = _merged([*(n for n in ends if n < len(tokens)), len(tokens)], rules.max_tokens)[:-1]
    else:
        cuts = []
    return (
        (start, end)
        for start, end in zip([0, *cuts], [*cuts, len(tokens)], strict=True)
        if start < end
    )


def _merged(ends: Sequence[int], longest: int) -> list[int]:
    """Join consecutive stretches, given by their ends, while they are at most `longest` long."""
    merged: list[int] = []
    start = 0
    for end in ends:
        if merged and end - start <= longest:
            merged[-1] = end
        else:
            start = merged[-1] if merged else 0
            merged.append(end)
    return merged


def _extent(document: Document) -> str:
    return ", ".join(f"{passage.offset} to {passage.end}" for passage in document.passages)
