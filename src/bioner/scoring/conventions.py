"""F1 as other papers compute it: for comparison with published numbers, not to report ours."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace

from bioner.data.tags import OUTSIDE, Span
from bioner.scoring.pairs import Pair, text_of
from bioner.scoring.tally import Tally, counted, matched

# What each scorer and scheme counts as correct.
CONVENTIONS = {
    ("string-set", "strict"): (
        "sets of lower-cased texts and types: each counts once per sentence (UniversalNER, GNER,"
        " B2NER)"
    ),
    (
        "any-overlap",
        "type",
    ): "any overlap with an entity of the same type, on either side (GLiNER-BioMed's default)",
    (
        "one-character",
        "strict",
    ): "the same type, each boundary at most one character off (HunFlair2)",
    (
        "strict-iob2",
        "strict",
    ): "strict, but an I- that continues nothing is dropped instead of repaired to B-",
    ("token", "strict"): "tokens that are not O: its recall is token accuracy without O",
    (
        "lenient",
        "right-boundary",
    ): "the same type and the same last token, which in English is mostly the head word",
    ("lenient", "overlap"): "relaxed with full credit for any overlap",
}

Orphans = Mapping[str, Collection[int]]


def convention_tallies(
    pairs: Sequence[Pair], relaxed: Tally, orphans: Orphans | None = None
) -> Iterator[Tally]:
    """Yield one row per convention.

    Args:
        relaxed: The overall relaxed row of the same pairs.
        orphans: By instance id, the tokens whose B- was an I- without an entity to continue before
            it was repaired. Without them there is no row of strict IOB2: predictions do not show
            what was repaired.
    """
    possible = counted(pairs, lambda pair: len(pair.gold))
    actual = counted(pairs, lambda pair: len(pair.predicted))

    gold_texts, predicted_texts = (
        [_texts(pair, side) for pair in pairs] for side in ("gold", "predicted")
    )
    both = [gold & predicted for gold, predicted in zip(gold_texts, predicted_texts, strict=True)]
    sets = matched(
        "string-set", "strict", *(counted(t, len) for t in (both, gold_texts, predicted_texts))
    )
    yield replace(sets, gold=possible)

    met = counted(pairs, lambda pair: _met(pair.gold, pair.predicted))
    meeting = counted(pairs, lambda pair: _met(pair.predicted, pair.gold))
    yield Tally("any-overlap", "type", "all", "all", met, possible, meeting, actual)

    yield matched("one-character", "strict", counted(pairs, _within_a_character), possible, actual)

    if orphans is not None:
        kept = [
            {s for s in pair.predicted if s.start not in orphans.get(pair.instance.id, ())}
            for pair in pairs
        ]
        hits = [spans & set(pair.gold) for pair, spans in zip(pairs, kept, strict=True)]
        yield matched("strict-iob2", "strict", counted(hits, len), possible, counted(kept, len))

    tokens = matched(
        *("token", "strict"),
        counted(
            pairs,
            lambda pair: sum(
                a == b != OUTSIDE for a, b in zip(pair.instance.tags, pair.tags, strict=True)
            ),
        ),
        counted(pairs, lambda pair: sum(tag != OUTSIDE for tag in pair.instance.tags)),
        counted(pairs, lambda pair: sum(tag != OUTSIDE for tag in pair.tags)),
    )
    yield replace(tokens, gold=possible)

    ends = counted(
        pairs,
        lambda pair: len({span[1:] for span in pair.gold} & {span[1:] for span in pair.predicted}),
    )
    yield matched("lenient", "right-boundary", ends, possible, actual)
    yield matched(
        "lenient",
        "overlap",
        relaxed.counts["correct"] + relaxed.counts["partial"],
        possible,
        actual,
    )


def _texts(pair: Pair, side: str) -> set[tuple[str, str]]:
    return {(text_of(pair.instance.tokens, span), span.type) for span in getattr(pair, side)}


def _met(entities: Sequence[Span], others: Sequence[Span]) -> int:
    """Count entities that overlap any of the others of the same type."""
    return sum(
        any(e.type == o.type and e.start < o.end and o.start < e.end for o in others)
        for e in entities
    )


def _within_a_character(pair: Pair) -> int:
    """Count entities whose boundaries are at most one character off, matching exact ones first.

    Tokens do not keep white space: a space is assumed between two tokens that meet in letters or
    digits.
    """
    exact = set(pair.gold) & set(pair.predicted)
    left = [span for span in pair.gold if span not in exact]
    others = [span for span in pair.predicted if span not in exact]
    if not left or not others:
        return len(exact)
    starts, ends = _places(pair.instance.tokens)
    for span in others:
        near = [
            entity
            for entity in left
            if entity.type == span.type
            and abs(starts[entity.start] - starts[span.start]) <= 1
            and abs(ends[entity.end - 1] - ends[span.end - 1]) <= 1
        ]
        if near:
            left.remove(near[0])
    return len(pair.gold) - len(left)


def _places(tokens: Sequence[str]) -> tuple[list[int], list[int]]:
    """Return the start and end of each token in the text, in characters."""
    starts: list[int] = []
    ends: list[int] = []
    for number, token in enumerate(tokens):
        apart = number > 0 and tokens[number - 1][-1].isalnum() and token[0].isalnum()
        starts.append((ends[-1] if ends else 0) + apart)
        ends.append(starts[-1] + len(token))
    return starts, ends
