"""Reading what a generator wrote: tokens and tags of its lines, whatever else stands between them."""

import re
from collections.abc import Sequence

Pair = tuple[str, str]

# A line may hold several answers, and blanks around the colon; a tag ends at white space.
_ANSWER = re.compile(r"(?P<token>\S.*?)\s*:\s*(?P<tag>O|[BI]-\S+)(?=\s|$)")


def parse_lines(text: str) -> list[Pair]:
    """Token and tag of every line with a colon; the tag is what follows the last one, since tokens may hold colons."""
    pairs = (line.rpartition(":") for line in text.split("\n"))
    return [(token.strip(), tag.strip()) for token, colon, tag in pairs if colon]


def parse_answers(text: str) -> list[list[Pair]]:
    """As `parse_lines`, in runs that lines without an answer set apart; several answers in a line are told apart."""
    runs: list[list[Pair]] = [[]]
    for line in text.split("\n"):
        token, colon, tag = line.rpartition(":")
        token, tag = token.strip(), tag.strip()
        if not colon or not token:
            runs.append([])
        elif " " not in token and "\t" not in token:
            runs[-1].append((token, tag))
        else:
            several = [(found["token"], found["tag"]) for found in _ANSWER.finditer(line)]
            runs[-1].extend(several if len(several) > 1 else [(token, tag)])
    return [run for run in runs if run]


def restarts(tokens: Sequence[str], run: Sequence[Pair], length: int = 3) -> list[int]:
    """Where in a run the sentence's first tokens stand: a model that repeats itself begins anew there."""
    begin = list(tokens[:length])
    written = [token for token, _ in run]
    return [place for place in range(len(written)) if written[place : place + len(begin)] == begin]
