"""Parse a generator's text: the tokens and tags of its lines, whatever else it holds."""

from collections.abc import Collection, Sequence

from bioner.data.tags import split_tag

Pair = tuple[str, str]


def split_line(line: str, tags: Collection[str] = ()) -> tuple[str, str, str]:
    """Split a line at the colon before its tag, as `str.rpartition` does at the last one.

    Args:
        line: One line of an answer.
        tags: Tags that may hold a colon themselves; the longest that the line ends with counts.
    """
    whole = line.rstrip()
    for tag in sorted(tags, key=len, reverse=True):
        if whole.endswith(tag):
            before = whole.removesuffix(tag).rstrip()
            if before.endswith(":") or not before:
                return before[:-1], before[-1:], tag
    return line.rpartition(":")


def parse_lines(text: str, tags: Collection[str] = ()) -> list[Pair]:
    """Return token and tag of every line with a colon, split by `split_line`."""
    pairs = (split_line(line, tags) for line in text.split("\n"))
    return [(token.strip(), tag.strip()) for token, colon, tag in pairs if colon]


def parse_answers(text: str, tags: Collection[str] = ()) -> list[list[Pair]]:
    """Parse as `parse_lines`, but find all answers in lines with blanks.

    Returns:
        Runs of answers; lines without an answer separate them.
    """
    runs: list[list[Pair]] = [[]]
    for line in text.split("\n"):
        token, colon, tag = split_line(line, tags)
        token, tag = token.strip(), tag.strip()
        if not colon or not token:
            runs.append([])
        elif token.split() == [token] and tag.split() in ([], [tag]):
            runs[-1].append((token, tag))
        else:
            runs[-1].extend(_answers(line.split(), tags) or [(token, tag)])
    return [run for run in runs if run]


def _answers(words: Sequence[str], tags: Collection[str]) -> list[Pair]:
    """Find the answers in a line: each ends with a colon, maybe blanks, and a well-formed tag."""
    found: list[Pair] = []
    before: list[str] = []
    for word in words:
        token, colon, tag = split_line(word, tags)
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
    """Find where an answer starts again: at the sentence's first tokens, or the first ones written.

    Starts are at least half a sentence apart, since a sentence may repeat its own opening.
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
