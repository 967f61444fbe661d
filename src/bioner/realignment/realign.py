"""Model output to valid IOB2 tags on the gold tokens: exactly one tag a token, whatever the model
wrote.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Literal, get_type_hints

import polars as pl

from bioner.data.instances import Instance, Prediction
from bioner.data.raw_outputs import RawOutput, Tagged
from bioner.data.tags import OUTSIDE, repair, spans
from bioner.errors import InputError
from bioner.io.tables import Schema, read_table
from bioner.realignment.matching import Matching, match_equal, match_robust
from bioner.realignment.parse_output import Pair, parse_answers, parse_lines, restarts
from bioner.realignment.projection import gold_to_output, output_to_gold, tag_omitted

Method = Literal["robust", "paper"]
SEVERAL = 1.5  # as many tokens as the sentence has, or more: there may be several answers
WHOLE = 0.9  # of the tokens that the best of several answers has: the first of those is meant
COLUMN_TYPES = {str: pl.String, int: pl.Int64, bool: pl.Boolean}


@dataclass(frozen=True, slots=True)
class Alignment:
    """How one output fitted its gold tokens; one row of `alignment.csv`.

    `exact` gold tokens were written as they are, `substituted` ones otherwise (respelled, split,
    merged), `dropped` ones not at all; these three add up to `gold_tokens`. `added` output tokens
    stand for no gold token. `illegal_tags` became O and `orphan_tags` (I- that continued nothing)
    became B-; `orphan_positions` are the tokens of these, counted from 0 and set apart by spaces.
    Of `gold_entities`, `reachable_entities` would have been found had the model given the right tag
    to every token that it wrote.
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
    instance: Instance, output: RawOutput, legal: frozenset[str] | None, method: Method = "robust"
) -> tuple[Prediction, Alignment]:
    """Tags of one raw output on the gold tokens of its instance.

    A generator's tokens are matched to the gold tokens: `robust` keeps the tags of tokens that are
    written otherwise, split or merged; `paper` those of equal tokens alone, as the paper's code
    does. A tagger's pieces vote, the majority naming the word's tag, the first piece deciding a
    tie. Tags outside `legal` become O; see tags.repair.
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
        pairs, matching = read_answer(instance.tokens, output.text, method)
        tags = output_to_gold(matching, [tag for _, tag in pairs])
        back = output_to_gold(matching, gold_to_output(matching, instance.tags, len(pairs)))
        if method == "robust":
            tag_omitted(tags, matching, legal)
            tag_omitted(back, matching, None)
        exact, linked, written = matching.exact, matching.found, len(pairs)
        added = written - len({place for links in matching.links for place, _ in links})
        truncated = not output.stopped
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


def read_answer(tokens: Sequence[str], text: str, method: Method) -> tuple[list[Pair], Matching]:
    """Tokens and tags of a generator's text, and which gold tokens they stand for.

    With `robust`, where more is written than one answer, the first that is about as good as any is
    taken.
    """
    if method == "paper":
        pairs = parse_lines(text)
        return pairs, match_equal(tokens, [token for token, _ in pairs])
    runs = parse_answers(text)
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
    """The most frequent tag of a word's pieces, the first deciding a tie; O without any."""
    return Counter(tags).most_common(1)[0][0] if tags else OUTSIDE


def realign_all(
    gold: Sequence[Instance],
    outputs: Iterable[RawOutput],
    legal: frozenset[str] | None,
    method: Method = "robust",
) -> tuple[list[Prediction], list[Alignment]]:
    """Realign every output; the outputs stand in the gold's order."""
    pairs = [
        realign(instance, output, legal, method)
        for instance, output in zip(gold, outputs, strict=True)
    ]
    return [prediction for prediction, _ in pairs], [alignment for _, alignment in pairs]


def read_orphans(path: Path, predictions: Sequence[Prediction]) -> dict[str, list[int]]:
    """From an alignment file, the tokens of each prediction whose B- was an I- that continued
    nothing.

    Raises InputError where the file was not written with these predictions: other ids, or no B- at
    such a token.
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
