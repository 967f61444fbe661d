"""Documents whose id comes again: a repetition is left out, another text joins the document."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import groupby
from typing import Any, NamedTuple, TypeVar

from bioner.corpora.changes import Changes
from bioner.corpora.readers.sentence import Sentence
from bioner.errors import InputError

T = TypeVar("T")


class Repeats:
    """What one split has under each id so far."""

    def __init__(self, changes: Changes) -> None:
        self._changes = changes
        self._seen: dict[str, list[tuple[str, object, object]]] = {}

    def is_repeat(self, identity: str, where: str, text: object, annotations: object) -> bool:
        """Return whether a document repeats an earlier one, which is listed.

        Another text under a known id is no repetition; it is listed as joined to the earlier one.

        Args:
            identity: The document's id.
            where: Its place.
            text: Its text or tokens, to compare.
            annotations: Its annotations or tags, to compare.

        Raises:
            InputError: The same text with other annotations; or a repetition, unless repaired.
        """
        name = self._changes.named(f"document {identity}")
        seen = self._seen.setdefault(identity, [])
        for first, other, marks in seen:
            if other != text:
                continue
            if marks != annotations:
                raise InputError(
                    where,
                    f"{name} again, with annotations other than at {first}",
                    "each document once",
                    "Merge the two, or remove one.",
                )
            self._changes.fault(
                "duplicate-document",
                where,
                f"{name} again, first at {first}",
                "each document once",
                identity,
            )
            return True
        if seen:
            self._changes.artefact("joined-document", identity, where=where)
        seen.append((where, text, annotations))
        return False


class Block(NamedTuple):
    """A document or a part of one as a file has it: its id, its place, and what to compare."""

    document: str
    where: str
    text: Any
    annotations: Any


def drop_repeated_blocks(
    items: Iterable[T], changes: Changes, describe: Callable[[T], Block]
) -> Iterator[T]:
    """Yield items of a file without those of a document that repeats an earlier one.

    Some files have a block for each passage. Blocks of one id in a row are a document, of which
    passages may be the same, unless all of it comes again.
    """
    repeats = Repeats(changes)
    described = ((describe(item), item) for item in items)
    for identity, together in groupby(described, key=lambda pair: pair[0].document):
        blocks, held = zip(*together, strict=True)
        size = get_period([block.text for block in blocks])
        for start in range(0, len(blocks), size):
            whole = blocks[start : start + size]
            texts, marks = [block.text for block in whole], [block.annotations for block in whole]
            if not repeats.is_repeat(identity, whole[0].where, texts, marks):
                for block in whole[1:]:
                    changes.artefact("joined-document", identity, where=block.where)
                yield from held[start : start + size]


def get_period(items: Sequence[object]) -> int:
    """Return after how many of the items all of them come again; their number if never."""
    count = len(items)
    return next(
        size
        for size in range(1, count + 1)
        if count % size == 0 and items[size:] == items[: count - size]
    )


def drop_repeats(sentences: Iterable[Sentence], changes: Changes) -> Iterator[Sentence]:
    """Yield sentences without documents, given by their ids, that repeat an earlier one."""
    repeats = Repeats(changes)
    for document, together in groupby(sentences, key=lambda sentence: sentence.document):
        if not isinstance(document, str):  # without an id, or numbered
            yield from together
            continue
        whole = list(together)
        tokens, tags = ([sentence[n] for sentence in whole] for n in (2, 3))
        if not repeats.is_repeat(document, whole[0].where, tokens, tags):
            yield from whole
