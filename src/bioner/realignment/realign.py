"""Turn model output into valid IOB2 tags: exactly one per gold token, whatever the model wrote."""

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Literal, get_type_hints

import polars as pl

from bioner.data.instances import Instance, Prediction, entity_types
from bioner.data.raw_outputs import RawOutput, Tagged
from bioner.data.tags import OUTSIDE, repair, spans, split_tag, tag_set
from bioner.errors import InputError
from bioner.io.tables import Schema, read_table
from bioner.realignment.matching import Matching, match_equal, match_robust
from bioner.realignment.parse_output import Pair, parse_answers, parse_lines, restarts
from bioner.realignment.projection import gold_to_output, output_to_gold, tag_omitted

Method = Literal["robust", "paper"]
SEVERAL = 1.5  # from this multiple of the sentence's tokens on, there may be several answers
WHOLE = 0.9  # the first answer with this share of the best answer's tokens is taken
COLUMN_TYPES = {str: pl.String, int: pl.Int64, bool: pl.Boolean}


@dataclass(frozen=True, slots=True)
class Alignment:
    """How one output fits its gold tokens; one row of `alignment.csv`.

    `exact` gold tokens were written as they are, `substituted` ones differently (respelled, split,
    merged), `dropped` ones not at all; these three add up to `gold_tokens`. `added` output tokens
    match no gold token. `illegal_tags` became O and `orphan_tags` (I- without an entity to
    continue) became B-; `orphan_positions` are the tokens of these, counted from 0 and separated by
    spaces. `reachable_entities` is how many of the `gold_entities` would have been found with the
    right tag for every token that was written with a readable one (O, B-TYPE or I-TYPE).
    """

    id: str
    gold_tokens: int
    output_tokens: int
    exact: int
    substituted: int
    dropped: int
    added: int
    illegal_tags: int
    orphan_tags: int
    truncated: bool
    orphan_positions: str
    gold_entities: int
    reachable_entities: int


ALIGNMENT: Schema = {name: COLUMN_TYPES[kind] for name, kind in get_type_hints(Alignment).items()}


def realign(
    instance: Instance,
    output: RawOutput,
    legal: frozenset[str] | None,
    method: Method = "robust",
    known: Collection[str] = (),
) -> tuple[Prediction, Alignment]:
    """Bring the tags of one raw output onto the gold tokens of its instance.

    A generator's tokens are matched with the gold tokens. A word gets the most frequent tag of a
    tagger's pieces; the first piece decides a tie.

    Args:
        legal: Tags outside it become O; see `tags.repair`.
        method: `robust` keeps the tags of respelled, split and merged tokens; `paper` only those of
            equal tokens, as the paper's code does.
        known: Tags that lines are expected to end with, if not `legal`: a tag that holds a colon is
            read if it is among them.
    """
    count = len(instance.tokens)
    if isinstance(output, Tagged):
        pieces: list[list[str]] = [[] for _ in instance.tokens]
        for tag, word in zip(output.tags, output.words, strict=True):
            pieces[word].append(tag)
        tags = [vote(each) for each in pieces]
        back = [tag if each else OUTSIDE for tag, each in zip(instance.tags, pieces, strict=True)]
        exact = linked = written = sum(map(bool, pieces))
        added, truncated = 0, False
    else:
        colons = [tag for tag in legal or known if ":" in tag]
        pairs, matching = read_answer(instance.tokens, output.text, method, colons)
        tags = output_to_gold(matching, [tag for _, tag in pairs])
        back = output_to_gold(matching, gold_to_output(matching, instance.tags, len(pairs)))
        if method == "robust":
            tag_omitted(tags, matching, legal)
            tag_omitted(back, matching, None)
        exact, linked, written = matching.exact, matching.found, len(pairs)
        added = written - len({place for links in matching.links for place, _ in links})
        truncated = not output.stopped
    back = [tag if split_tag(read)[0] else OUTSIDE for tag, read in zip(back, tags, strict=True)]
    repaired = repair(tags, legal)
    entities = spans(instance.tags)
    alignment = Alignment(
        id=instance.id,
        gold_tokens=count,
        output_tokens=written,
        exact=exact,
        substituted=linked - exact,
        dropped=count - linked,
        added=added,
        illegal_tags=repaired.illegal,
        orphan_tags=len(repaired.orphans),
        truncated=truncated,
        orphan_positions=" ".join(map(str, repaired.orphans)),
        gold_entities=len(entities),
        reachable_entities=len(set(entities) & set(spans(repair(back).tags))),
    )
    return Prediction(instance.id, repaired.tags), alignment


def read_answer(
    tokens: Sequence[str], text: str, method: Method, tags: Collection[str]
) -> tuple[list[Pair], Matching]:
    """Parse a generator's text and match its tokens with the gold tokens.

    If the text holds several answers, `robust` takes the first that is about as good as the best.

    Args:
        tokens: The gold tokens.
        text: What the generator wrote.
        method: As for `realign`.
        tags: Tags that hold a colon (`parse_output.split_line`).
    """
    if method == "paper":
        pairs = parse_lines(text, tags)
        return pairs, match_equal(tokens, [token for token, _ in pairs])
    runs = parse_answers(text, tags)
    pairs = [pair for run in runs for pair in run]
    if len(pairs) < SEVERAL * len(tokens):
        return pairs, match_robust(tokens, [token for token, _ in pairs])
    borders = sorted({0, *restarts(tokens, pairs), *accumulate(map(len, runs))})
    parts = [*pairwise(borders), (0, len(pairs))]
    answers = [
        match_robust(tokens, [token for token, _ in pairs[start:end]]) for start, end in parts
    ]
    most = max(answer.found for answer in answers)
    answer, start = next(
        (answer, start)
        for answer, (start, _) in zip(answers, parts, strict=True)
        if answer.found >= WHOLE * most
    )
    links = [[(place + start, weight) for place, weight in to] for to in answer.links]
    return pairs, Matching(links, answer.exact)


def vote(tags: Sequence[str]) -> str:
    """Return the most frequent tag of a word's pieces (the first of equals); O without pieces."""
    return Counter(tags).most_common(1)[0][0] if tags else OUTSIDE


def realign_all(
    gold: Sequence[Instance],
    outputs: Iterable[RawOutput],
    legal: frozenset[str] | None,
    method: Method = "robust",
) -> tuple[list[Prediction], list[Alignment]]:
    """Realign all outputs, which are in the gold's order; without `legal` they may hold any tag."""
    known = tag_set(entity_types(gold))
    pairs = [
        realign(instance, output, legal, method, known)
        for instance, output in zip(gold, outputs, strict=True)
    ]
    return [prediction for prediction, _ in pairs], [alignment for _, alignment in pairs]


def read_orphans(path: Path, predictions: Sequence[Prediction]) -> dict[str, list[int]]:
    """Read from an alignment file which tokens have a B- that was repaired from an I-.

    Returns:
        The tokens' positions by prediction id.

    Raises:
        InputError: The file does not belong to these predictions: other ids, or no B- at a token.
    """
    table = read_table(path, ALIGNMENT, ["id"])
    remedy = "Name the alignment.csv that `bioner realign` wrote beside these predictions."
    if table["id"].to_list() != [prediction.id for prediction in predictions]:
        raise InputError(path, "other ids", "those of the predictions, in their order", remedy)
    orphans: dict[str, list[int]] = {}
    rows = table.select(pl.col("orphan_positions").fill_null(""), "orphan_tags").iter_rows()
    for line, (prediction, (positions, count)) in enumerate(zip(predictions, rows, strict=True), 2):
        words = positions.split()
        begun = {
            str(place): place for place, tag in enumerate(prediction.tags) if tag.startswith("B-")
        }
        if len(words) != count or not begun.keys() >= set(words):
            raise InputError(
                f"{path}:{line}",
                f"orphan_positions {positions!r} with {count} orphan_tags for {prediction.id!r}",
                "as many tokens that begin a predicted entity",
                remedy,
            )
        orphans[prediction.id] = [begun[word] for word in words]
    return orphans
