"""Damage to annotations by character: their offsets, texts and pieces."""

from collections.abc import Callable
from itertools import accumulate

from tests.unit.corpora.fuzz.case import Case, Damage, Damaged, Damages, readable
from tests.unit.corpora.fuzz.made import Entity, Gold, Mark

Passages = list[tuple[int, str]]
Place = Callable[[int, Passages, int], int]  # of an offset, the passages, and which one it is in


def text_of(passages: Passages) -> str:
    text = ""
    for offset, passage in passages:
        text = text.ljust(offset) + passage
    return text


def units(encoding: str, size: int) -> Place:
    return lambda at, passages, _: len(text_of(passages)[:at].encode(encoding)) // size


def further(count: int) -> Place:
    return lambda at, _, __: at + count


OFFSETS: dict[str, tuple[Place, Place]] = {  # of the start and of the end
    "minus one": (further(-1), further(-1)),
    "plus one": (further(1), further(1)),
    "inclusive ends": (further(0), further(-1)),
    "ends one further": (further(0), further(1)),
    "UTF-8 bytes": (units("utf-8", 1), units("utf-8", 1)),
    "UTF-16 units": (units("utf-16-le", 2), units("utf-16-le", 2)),
    "one more per passage": (lambda at, _, n: at + n, lambda at, _, n: at + n),
}
FIVE = (further(5), further(5))
RELATIVE: tuple[Place, Place] = (lambda at, p, n: at - p[n][0], lambda at, p, n: at - p[n][0])


def marks(change: Callable[[Mark, Passages], list[Mark]]) -> Damage:
    """Change all annotations, or each with a chance of a tenth."""

    def damage(case: Case) -> Damaged:
        share = case.pick(1, 1, 0.1)
        text, said, is_checked = "", list[Entity](), "text" in case.form.traits

        def spoil(found: list[Mark], passages: Passages) -> list[Mark]:
            nonlocal text, is_checked
            new = [
                m
                for old in found
                for m in (change(old, passages) if case.rng.random() < share else [old])
            ]
            full = text_of(passages)
            bare = [*accumulate((not c.isspace() for c in full), initial=len(text))]
            for mark in new:
                ends = (mark.pieces[0][0], mark.pieces[-1][1])
                start, end = (bare[min(max(at, 0), len(full))] for at in ends)
                said.append(Entity(start, end, mark.type))
            text += "".join(full.split())
            is_checked &= all(mark.text for mark in new)
            return new

        files = case.files(marks=spoil)
        # Without texts, a few wrong offsets cannot be told from right ones: they are the gold.
        is_told = is_checked or (share == 1 and len(said) >= 10)
        other = Gold(text, [entity for entity in said if entity.start < entity.end])
        return Damaged(files, [case.gold(), *([] if is_told else [other])])

    return damage


def shifted(start: Place, end: Place, text: bool = True) -> Damage:
    def shift(mark: Mark, passages: Passages) -> list[Mark]:
        where = (passages, mark.passage)
        pieces = [(start(a, *where), end(b, *where)) for a, b in mark.pieces]
        return [mark._replace(pieces=pieces, text=mark.text if text else "")]

    return marks(shift)


def with_inner(mark: Mark, _: Passages) -> list[Mark]:
    """An annotation of another type inside: the longer one stays."""
    ((start, end),), first = mark.pieces, mark.text.split(" ")[0]
    inner = Mark([(start, start + len(first))], "Inner", first, mark.passage)
    return [mark, inner] if len(first) < end - start else [mark]


def in_pieces(mark: Mark, _: Passages) -> list[Mark]:
    """The first word and the last one, with white space or other words between them."""
    ((start, end),), words = mark.pieces, mark.text.split(" ")
    pieces = [(start, start + len(words[0])), (end - len(words[-1]), end)]
    new = mark._replace(pieces=pieces, text=f"{words[0]} {words[-1]}")
    return [new if len(words) > 1 else mark]


BARE, BIOC = "pubtator bioc-json bioc-xml brat", "bioc-json bioc-xml"
DAMAGES: Damages = {
    **{f"offsets: {name}": ("characters", shifted(*both)) for name, both in OFFSETS.items()},
    "offsets: plus five": ("text", shifted(*FIVE)),
    "offsets: relative": ("text", shifted(*RELATIVE)),
    **{f"no text, {name}": (BARE, shifted(*both, text=False)) for name, both in OFFSETS.items()},
    "no text, relative": (BIOC, shifted(*RELATIVE, text=False)),
    "no text": (BARE, readable(shifted(further(0), further(0), text=False))),
    "nested": ("characters", marks(with_inner)),
    "annotations twice": ("characters", marks(lambda mark, _: [mark, mark])),
    "in pieces": ("pieces", marks(in_pieces)),
}
