"""Project tags through a matching: from written to gold tokens, and from gold to written ones."""

from collections import Counter
from collections.abc import Sequence

from bioner.data.tags import OUTSIDE, split_tag
from bioner.realignment.matching import Matching


def output_to_gold(matching: Matching, written: Sequence[str]) -> list[str]:
    """Tag each gold token by the type with the most weight among its written tokens.

    If a written token is matched with several gold tokens, only the first begins its entity.
    """
    tags: list[str] = []
    begun: set[int] = set()
    for links in matching.links:
        weights: Counter[str] = Counter()
        for place, weight in links:
            weights[split_tag(written[place])[1]] += weight
        tag = OUTSIDE
        if links:
            type_ = weights.most_common(1)[0][0]
            mine = [place for place, _ in links if split_tag(written[place])[1] == type_]
            tag = written[mine[0]]
            if split_tag(tag)[0] in ("B", "I"):
                begins = any(written[p].startswith("B-") and p not in begun for p in mine)
                tag = f"B-{type_}" if begins else f"I-{type_}"
        tags.append(tag)
        begun.update(place for place, _ in links)
    return tags


def tag_omitted(tags: list[str], matching: Matching, legal: frozenset[str] | None) -> None:
    """Tag, in place, gold tokens that the model left out within an entity.

    A token left out before a legal I- belongs to that entity, if the token before it was written.
    """
    before = ""
    for place, links in enumerate(matching.links):
        behind = tags[place + 1] if place + 1 < len(tags) and matching.links[place + 1] else ""
        continues = split_tag(behind)[0] == "I" and (legal is None or behind in legal)
        if not links and continues and (place == 0 or matching.links[place - 1]):
            tags[place] = behind if before == behind[2:] else f"B-{behind[2:]}"
        before = split_tag(tags[place])[1]


def gold_to_output(matching: Matching, gold: Sequence[str], count: int) -> list[str]:
    """Return the tags that a perfect model would have given to the `count` written tokens."""
    tags = [OUTSIDE] * count
    seen: set[int] = set()
    for tag, links in zip(gold, matching.links, strict=True):
        for number, (place, _) in enumerate(links):
            if place not in seen:
                tags[place] = f"I-{tag[2:]}" if number and tag != OUTSIDE else tag
            seen.add(place)
    return tags
