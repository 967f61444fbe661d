"""Match the tokens that a model wrote with the gold tokens."""

import html
import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from functools import lru_cache

from rapidfuzz.distance import Levenshtein

_ESCAPE = re.compile(r"\\u([0-9a-fA-F]{4})|\\U([0-9a-fA-F]{8})|\\x([0-9a-fA-F]{2})")
# Share of the shorter token's characters that a respelled token and its gold token have in common.
SHARED = 0.5


@dataclass(frozen=True, slots=True)
class Matching:
    """For every gold token, the written tokens matched with it and their weights.

    `exact` is the number of gold tokens that are written as they are.
    """

    links: list[list[tuple[int, int]]]
    exact: int

    @property
    def found(self) -> int:
        """Number of gold tokens with a match."""
        return sum(map(bool, self.links))


def match_equal(tokens: Sequence[str], written: Sequence[str]) -> Matching:
    """Match equal tokens by difflib's longest common blocks, as the paper's code does."""
    links: list[list[tuple[int, int]]] = [[] for _ in tokens]
    matcher = SequenceMatcher(None, tokens, written, autojunk=False)
    for start, other, size in matcher.get_matching_blocks():
        for place in range(size):
            links[start + place] = [(other + place, 1)]
    return Matching(links, sum(map(bool, links)))


def match_robust(tokens: Sequence[str], written: Sequence[str]) -> Matching:
    """Match equal tokens by least edits, and the tokens between them by characters.

    Tokens are equal up to case, escapes and compatibility forms. Split, merged or respelled tokens
    share characters with the gold's. If as many written as gold tokens are left over between the
    same neighbours, they were substituted one for one.
    """
    gold, other = [plain(token) for token in tokens], [plain(token) for token in written]
    links: list[list[tuple[int, int]]] = [[] for _ in tokens]
    start = other_start = 0
    for block in Levenshtein.opcodes(gold, other).as_matching_blocks():
        _match_gap(gold, other, (start, block.a), (other_start, block.b), links)
        start, other_start = block.a + block.size, block.b + block.size
        for place in range(block.size):
            links[block.a + place] = [(block.b + place, 1)]
    exact = sum(
        len(to) == 1 and written[to[0][0]] == token for token, to in zip(tokens, links, strict=True)
    )
    return Matching(links, exact)


@lru_cache(maxsize=100_000)
def plain(token: str) -> str:
    """Return a token without case, escapes, compatibility forms and white space."""
    token = html.unescape(_ESCAPE.sub(_unescaped, token))
    return "".join(unicodedata.normalize("NFKC", token).casefold().split())


def _unescaped(found: re.Match[str]) -> str:
    code = int(found[1] or found[2] or found[3], 16)
    return chr(code) if code < 0x110000 and not 0xD800 <= code < 0xE000 else found[0]


def _match_gap(
    gold: Sequence[str],
    other: Sequence[str],
    mine: tuple[int, int],
    theirs: tuple[int, int],
    links: list[list[tuple[int, int]]],
) -> None:
    """Link the tokens between two equal ones: first by shared characters, then one for one."""
    owners = [place for place in range(*mine) for _ in gold[place]]
    other_owners = [place for place in range(*theirs) for _ in other[place]]
    shared: Counter[tuple[int, int]] = Counter()
    opcodes = Levenshtein.opcodes("".join(gold[slice(*mine)]), "".join(other[slice(*theirs)]))
    for block in opcodes.as_matching_blocks():
        owned = owners[block.a : block.a + block.size]
        shared.update(zip(owned, other_owners[block.b :], strict=False))
    for (place, other_place), count in shared.items():
        if count >= SHARED * min(len(gold[place]), len(other[other_place])):
            links[place].append((other_place, count))
    # Tokens left over, between those that are linked now.
    linked = [
        (place, links[place][0][0], links[place][-1][0]) for place in range(*mine) if links[place]
    ]
    start, other_start = mine[0], theirs[0]
    for end, first, last in [*linked, (mine[1], theirs[1], theirs[1])]:
        if end - start == first - other_start:
            for offset in range(end - start):
                links[start + offset] = [(other_start + offset, 1)]
        start, other_start = end + 1, last + 1
