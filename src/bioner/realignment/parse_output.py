"""Reading what a generator wrote: tokens and tags of its lines, whatever else stands between
them.
"""

from collections.abc import Sequence

from bioner.data.tags import split_tag

Pair = tuple[str, str]


def parse_lines(text: str) -> list[Pair]:
    """Token and tag of every line with a colon; the tag is what follows the last one, since tokens
    may hold colons.
    """
    pairs = (line.rpartition(":") for line in text.split("\n"))
    return [(token.strip(), tag.strip()) for token, colon, tag in pairs if colon]


def parse_answers(text: str) -> list[list[Pair]]:
    """As `parse_lines`, in runs that lines without an answer set apart; of a line with blanks, all
    answers in it.
    """
    runs: list[list[Pair]] = [[]]
    for line in text.split("\n"):
        token, colon, tag = line.rpartition(":")
        token, tag = token.strip(), tag.strip()
        if not colon or not token:
            runs.append([])
        elif token.split() == [token] and tag.split() in ([], [tag]):
            runs[-1].append((token, tag))
        else:
            runs[-1].extend(_answers(line.split()) or [(token, tag)])
    return [run for run in runs if run]


def _answers(words: Sequence[str]) -> list[Pair]:
    """The answers in a line: each ends with a colon and a well-formed tag, blanks or not between
    them.
    """
    found: list[Pair] = []
    before: list[str] = []
    for word in words:
        token, colon, tag = word.rpartition(":")
        if not split_tag(tag)[0]:
            before.append(word)
        elif token or (colon and before):
            found.append((" ".join([*before, *filter(None, [token])]), tag))
            before = []
        elif not colon and before and before[-1].endswith(":"):
            found.append((" ".join(before).removesuffix(":").rstrip(), tag))
            before = []
        else:
            before.append(word)
    return [(token, tag) for token, tag in found if token]


def restarts(tokens: Sequence[str], run: Sequence[Pair], length: int = 3) -> list[int]:
    """Where a run begins anew: where the sentence's first tokens stand again, or those the model
    began with.

    Half a sentence at least lies between two of them, for a sentence may hold its own opening
    again.
    """
    written = [token for token, _ in run]
    openings = [list(tokens[:length]), written[:length]]
    found: list[int] = []
    for place in range(len(written)):
        if found and place < found[-1] + max(length, len(tokens) // 2):
            continue
        if any(written[place : place + len(opening)] == opening for opening in openings):
            found.append(place)
    return found
