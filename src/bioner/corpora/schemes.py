"""Tag schemes and their conversion to IOB2: IOB1, IO, BIOES (also IOBES, BILOU, BMEWO)."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple

from bioner.data.tags import OUTSIDE

# The roles of prefixes; variants of BIOES use other letters for the end and the single token.
ROLES: dict[str, dict[str, str]] = {
    "IOB2": {"B": "begin", "I": "inside"},
    "IOB1": {"B": "begin", "I": "loose"},
    "IO": {"B": "begin", "I": "loose"},
    "BIOES": {
        "B": "begin",
        "I": "inside",
        "M": "inside",
        "E": "end",
        "L": "end",
        "S": "single",
        "U": "single",
    }
    | {"W": "single"},
}


class TagFault(NamedTuple):
    """A tag that breaks its scheme; `kind` is `orphan`, `unknown-tag` or `unclosed`."""

    position: int
    kind: str
    found: str
    expected: str


def to_iob2(
    tags: Sequence[str], scheme: str, quoted: Callable[[str], str] = repr
) -> tuple[list[str], list[TagFault]]:
    """Convert tags of a scheme to valid IOB2.

    Faults are repaired as evaluators read them: an orphan opens an entity, an unknown tag becomes
    O, an unclosed entity ends. Under IO, adjacent entities of one type become one entity: the
    scheme cannot separate them.

    Args:
        tags: The tags of one sentence.
        scheme: A key of ROLES.
        quoted: Shows a tag in messages, or hides it.

    Returns:
        The IOB2 tags, and every fault from left to right.
    """
    faults: list[TagFault] = []
    result: list[str] = []
    continuing = ""  # type of the entity that the next tag may continue
    unfinished = ""  # type of a BIOES entity that still needs its last tag
    for position, tag in enumerate([*tags, OUTSIDE]):
        prefix, _, type_ = tag.partition("-")
        role = ROLES[scheme].get(prefix, "") if type_ else ""
        if role in ("inside", "end") and continuing != type_:
            before = quoted(tags[position - 1]) if position else "the start of the sentence"
            found = f"{quoted(tag)} after {before}"
            faults.append(
                TagFault(position, "orphan", found, "a B- or I- of the same type before it")
            )
            role = "begin" if role == "inside" else "single"
        if unfinished and role not in ("inside", "end"):
            found = f"{quoted(tags[position - 1])} as the last tag of an entity"
            faults.append(
                TagFault(position - 1, "unclosed", found, "its end marked E- (S- for one token)")
            )
        if not role and tag != OUTSIDE:
            expected = (
                f"O or a prefix of {scheme} ({', '.join(f'{known}-' for known in ROLES[scheme])})"
                " and a type"
            )
            faults.append(TagFault(position, "unknown-tag", quoted(tag), expected))
        opens = role in ("begin", "single") or (role == "loose" and continuing != type_)
        result.append(f"{'B' if opens else 'I'}-{type_}" if role else OUTSIDE)
        continuing = type_ if role in ("begin", "inside", "loose") else ""
        unfinished = type_ if scheme == "BIOES" and role in ("begin", "inside") else ""
    return result[:-1], sorted(faults)


def count_annotations(tags: Sequence[str], scheme: str) -> int:
    """Count what tags annotate: their entities, and runs of tags that the scheme does not know.

    This does not rest on `to_iob2`, whose result is held against it.
    """
    count = 0
    before = ("", "")
    for tag in tags:
        role, type_ = now = _read(tag, scheme)
        goes_on = (
            before[0] in ("begin", "inside", "loose") and before[1] == type_
            if role in ("inside", "end", "loose")
            else role == before[0] == "unknown"
        )
        count += role != OUTSIDE and not goes_on
        before = now
    return count


@lru_cache(maxsize=4096)
def _read(tag: str, scheme: str) -> tuple[str, str]:
    """Return a tag's role, `unknown` or O, and its type."""
    prefix, _, type_ = tag.partition("-")
    role = ROLES[scheme].get(prefix) if type_ else None
    return (role, type_) if role else (OUTSIDE if tag == OUTSIDE else "unknown", "")


def find_bioes(sequences: Iterable[Sequence[str]], scheme: str) -> str | None:
    """Return a tag that shows that tags of another scheme are BIOES.

    That is the end or the single token of a type that B- and I- mark, too. By that, words in the
    place of tags (E-cadherin) are no such tags.
    """
    if scheme == "BIOES":
        return None
    split = [tag.partition("-") for tag in {tag for tags in sequences for tag in tags}]
    types = {type_ for prefix, _, type_ in split if prefix in ROLES[scheme] and type_}
    roles = ROLES["BIOES"]
    return min(
        (
            f"{prefix}-{type_}"
            for prefix, _, type_ in split
            if type_ in types and prefix not in ROLES[scheme] and prefix in roles
        ),
        default=None,
    )


def detect(sequences: Iterator[Sequence[str]]) -> str:
    """Return BIOES if any tag marks an end or a single token, IOB2 if any is B-, else IO."""
    prefixes = {tag.partition("-")[0] for tags in sequences for tag in tags if "-" in tag}
    if prefixes & {prefix for prefix, role in ROLES["BIOES"].items() if role in ("end", "single")}:
        return "BIOES"
    return "IOB2" if "B" in prefixes else "IO"


def type_blind_lengths(tags: Sequence[str]) -> list[int]:
    """Return entity lengths as the paper's Table II has them: B- opens one, any I- continues it."""
    lengths: list[int] = []
    inside = False
    for tag in tags:
        if tag.startswith("B-"):
            lengths.append(1)
            inside = True
        elif tag.startswith("I-") and inside:
            lengths[-1] += 1
        else:
            inside = False
    return lengths
