"""Answers as models get them wrong: a little, to measure what realignment saves; in every way, to
break it.
"""

import random
from collections.abc import Sequence

ALPHABET = "abcdefghij"
GARBAGE = (
    *(
        "Sure! Here are the labels:",
        "### Response:",
        "",
        "```",
        "Note: the text mentions none.",
        "::::",
        ":",
        "O",
        ":O",
    ),
    *(
        "I am sorry, I cannot do that",
        "B-Disease",
        "a:b:c:d",
        "\x00\x1b",
        "\ufeff",
        "\u2028:O",
        "🧬:B-Gene",
        "x" * 300,
    ),
)
TAGS = (
    "b-disease",
    "B-",
    "I-",
    "B",
    "Disease",
    "B_Disease",
    "B-Disease.",
    "",
    "O O",
    "B-Krankheit",
    "-",
    "B-B-O",
    "o",
)


def corrupted(tokens: Sequence[str], tags: Sequence[str], rate: float, draw: random.Random) -> str:
    """Lines where each token, at that rate, is dropped, repeated, respelled by a character or
    merged with the next.
    """
    lines: list[tuple[str, str]] = []
    place = 0
    while place < len(tokens):
        token, tag = tokens[place], tags[place]
        place += 1
        kind = draw.choice(("drop", "repeat", "respell", "merge")) if draw.random() < rate else ""
        if kind == "repeat":
            lines += [(token, tag)] * 2
        elif kind == "respell":
            at = draw.randrange(len(token))
            lines.append(
                (token[:at] + draw.choice(ALPHABET) + token[at + draw.randrange(2) :], tag)
            )
        elif kind == "merge" and place < len(tokens):
            lines.append((token + tokens[place], tag))
            place += 1
        elif kind != "drop":
            lines.append((token, tag))
    return "".join(f"{token}:{tag}\n" for token, tag in lines)


def mangled(tokens: Sequence[str], tags: Sequence[str], draw: random.Random) -> str:
    """An answer with anything wrong with it, more or less of it."""
    rate = draw.choice((0.0, 0.05, 0.3, 1.0))
    lines = [
        line
        for token, tag in zip(tokens, tags, strict=True)
        for line in (_mangled(token, tag, draw) if draw.random() < rate else [f"{token}:{tag}"])
    ]
    if draw.random() < 0.2:
        draw.shuffle(lines)
    if draw.random() < 0.2:
        lines = lines[: draw.randrange(len(lines) + 1)]
    if draw.random() < 0.2:
        lines = lines * draw.randrange(2, 5)
    if draw.random() < 0.2:
        lines += [*draw.sample(GARBAGE, 2), *(f"{token}:O" for token in tokens)]
    for _ in range(draw.randrange(3)):
        lines.insert(draw.randrange(len(lines) + 1), draw.choice(GARBAGE))
    text = draw.choice(("\n", "\n", "\n", "\r\n", "\n\n", " ", "")).join(lines)
    return text[: draw.randrange(len(text) + 1)] if draw.random() < 0.2 else text


def _mangled(token: str, tag: str, draw: random.Random) -> list[str]:
    """The lines that stand for one line that went wrong."""
    at = draw.randrange(1, len(token)) if len(token) > 1 else 0
    other = draw.choice(ALPHABET)
    ways = (
        [],
        [f"{token}:{tag}"] * draw.randrange(2, 6),
        [f"{token[:at]}{other}{token[at + 1 :]}:{tag}"],
        [f"{token.swapcase()}:{tag}"],
        [f"{token.encode('unicode_escape').decode()}:{tag}"],
        ["".join(f"\\u{ord(char) & 0xFFFF:04x}" for char in token) + f":{tag}"],
        [f"{token[:at]}:{tag}", f"{token[at:]}:{tag.replace('B-', 'I-')}"],
        [f"{token} {other}{other}:{tag}"],
        [f"{token}:{draw.choice(TAGS)}"],
        [f"{token} : {tag}  "],
        [f"{token}:{tag} {other}:O"],
        [token],
        [f"{tag}:{token}"],
        [f"- {token}:{tag}"],
        [draw.choice(GARBAGE)],
    )
    return draw.choice(ways)
