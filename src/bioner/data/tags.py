"""BIO tags and the spans they describe: conversion, validation, repair."""

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple

OUTSIDE = "O"


class Span(NamedTuple):
    """An entity of `type` on tokens `start` up to but not including `end`."""

    start: int
    end: int
    type: str

    @property
    def length(self) -> int:
        """Length in tokens (the paper, section II.A)."""
        return self.end - self.start


@lru_cache(maxsize=4096)
def split_tag(tag: str) -> tuple[str, str]:
    """Split a tag: `B-Gene` to (`B`, `Gene`), `O` to (`O`, ``); others have an empty prefix."""
    if tag == OUTSIDE:
        return OUTSIDE, ""
    prefix, dash, type_ = tag.partition("-")
    return (
        (prefix, type_) if prefix in ("B", "I") and dash and type_.split() == [type_] else ("", tag)
    )


def violations(tags: Sequence[str]) -> Iterator[tuple[int, str]]:
    """Yield every position that breaks IOB2, and why."""
    previous = ""
    for position, tag in enumerate(tags):
        prefix, type_ = split_tag(tag)
        if not prefix:
            yield position, f"{tag!r} is neither O nor B-TYPE nor I-TYPE"
        elif prefix == "I" and type_ != previous:
            yield position, f"{tag!r} continues no {type_} entity"
        previous = type_ if prefix else ""


def violation(tags: Sequence[str]) -> tuple[int, str] | None:
    """Return the first position that breaks IOB2 and why, or None if the sequence is valid."""
    return next(violations(tags), None)


def spans(tags: Sequence[str]) -> list[Span]:
    """Return the entities of a valid IOB2 sequence, left to right.

    Raises:
        ValueError: The sequence is not valid IOB2.
    """
    if fault := violation(tags):
        raise ValueError(f"not IOB2 at token {fault[0]}: {fault[1]}")
    found: list[Span] = []
    for position, tag in enumerate(tags):
        prefix, type_ = split_tag(tag)
        if prefix == "B":
            found.append(Span(position, position + 1, type_))
        elif prefix == "I":
            found[-1] = Span(found[-1].start, position + 1, type_)
    return found


def tags_from_spans(entities: Iterable[Span], length: int) -> list[str]:
    """Return the IOB2 tags of `length` tokens.

    Raises:
        ValueError: Spans overlap or leave the sequence.
    """
    tags = [OUTSIDE] * length
    for start, end, type_ in entities:
        if not 0 <= start < end <= length:
            raise ValueError(f"span {start}:{end} lies outside a sequence of {length} tokens")
        if any(tag != OUTSIDE for tag in tags[start:end]):
            raise ValueError(f"span {start}:{end} overlaps another")
        tags[start:end] = [f"B-{type_}", *[f"I-{type_}"] * (end - start - 1)]
    return tags


def resolve_overlaps(entities: Sequence[Span]) -> tuple[list[Span], list[tuple[Span, Span]]]:
    """Drop overlapping spans: longer ones win, ties leftmost and then in the order given.

    Returns:
        The spans that remain, left to right, and those dropped, each with the one it overlaps.
    """
    kept: list[Span] = []  # left to right
    dropped: list[tuple[Span, Span]] = []
    for span in sorted(entities, key=lambda span: (-span.length, span.start)):
        # Spans in `kept` do not overlap, so only the neighbours of its place can overlap this one.
        place = bisect_left(kept, span)
        neighbours = kept[max(place - 1, 0) : place + 1]
        winner = next(
            (other for other in neighbours if span.start < other.end and other.start < span.end),
            None,
        )
        if winner:
            dropped.append((span, winner))
        else:
            kept.insert(place, span)
    return kept, dropped


class Repair(NamedTuple):
    """Valid IOB2 tags, how many tags became O, and the positions where I- became B-."""

    tags: list[str]
    illegal: int
    orphans: list[int]


def repair(tags: Sequence[str], legal: frozenset[str] | None = None) -> Repair:
    """Make any tag sequence valid IOB2 and count the changes.

    A tag that is malformed, or not in `legal`, becomes O (`illegal`). An I- that continues no
    entity of its type becomes B- (`orphans`), as nervaluate, conlleval and seqeval read it.
    """
    repaired: list[str] = []
    orphans: list[int] = []
    illegal = 0
    previous = ""
    for position, tag in enumerate(tags):
        prefix, type_ = split_tag(tag)
        if not prefix or (legal is not None and tag not in legal):
            illegal += 1
            tag, type_ = OUTSIDE, ""
        elif prefix == "I" and type_ != previous:
            orphans.append(position)
            tag = f"B-{type_}"
        repaired.append(tag)
        previous = type_
    return Repair(repaired, illegal, orphans)


def tag_set(types: Iterable[str]) -> list[str]:
    """Return O, then B- and I- of every type in alphabetical order, the same in every process."""
    return [OUTSIDE, *(f"{prefix}-{type_}" for type_ in sorted(set(types)) for prefix in "BI")]
