"""Model output to valid IOB2 tags on the gold tokens: exactly one tag a token, whatever the model wrote."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from pathlib import Path
from typing import Literal, get_type_hints

import polars as pl

from bioner.errors import InputError
from bioner.instances import Instance, Prediction
from bioner.models.prompt import parse_response
from bioner.raw import RawOutput, Tagged
from bioner.tables import Schema, read_table
from bioner.tags import OUTSIDE, repair

Method = Literal["robust", "paper"]
COLUMN_TYPES = {str: pl.String, int: pl.Int64, bool: pl.Boolean}


@dataclass(frozen=True, slots=True)
class Alignment:
    """How one output fitted its gold tokens; one row of `alignment.csv`.

    `exact`, `substituted` and `dropped` gold tokens add up to `gold_tokens`; `added` output tokens had no gold token.
    `illegal_tags` became O and `orphan_tags` (I- that continued nothing) became B-; `orphan_positions` are the tokens
    of these, counted from 0 and set apart by spaces.
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
    hit_budget: bool
    orphan_positions: str


ALIGNMENT: Schema = {name: COLUMN_TYPES[kind] for name, kind in get_type_hints(Alignment).items()}


def realign(
    instance: Instance, output: RawOutput, legal: frozenset[str] | None, method: Method = "robust"
) -> tuple[Prediction, Alignment]:
    """Tags of one raw output on the gold tokens of its instance.

    A generator's lines are matched to the gold tokens by difflib: equal tokens give their tag, and with `robust` so
    do tokens substituted one for one; `paper` drops those, as the paper's code does. A tagger's pieces vote, the
    majority naming the word's tag, the first piece deciding a tie. Tags outside `legal` become O; see tags.repair.
    """
    count = len(instance.tokens)
    if isinstance(output, Tagged):
        words = _vote(output)
        tags = [words.get(position, OUTSIDE) for position in range(count)]
        exact, substituted, added, written = len(words), 0, 0, len(words)
        hit_budget = False
    else:
        pairs = parse_response(output.text)
        tags, exact, substituted = _match(instance.tokens, pairs, method)
        written = len(pairs)
        added = written - exact - substituted
        hit_budget = not output.stopped
    repaired = repair(tags, legal)
    alignment = Alignment(
        id=instance.id,
        gold_tokens=count,
        output_tokens=written,
        exact=exact,
        substituted=substituted,
        dropped=count - exact - substituted,
        added=added,
        illegal_tags=repaired.illegal,
        orphan_tags=len(repaired.orphans),
        hit_budget=hit_budget,
        orphan_positions=" ".join(map(str, repaired.orphans)),
    )
    return Prediction(instance.id, repaired.tags), alignment


def _vote(output: Tagged) -> dict[int, str]:
    """The most frequent tag of each word's pieces; the first piece decides a tie."""
    pieces: dict[int, list[str]] = defaultdict(list)
    for word, tag in zip(output.words, output.tags, strict=True):
        pieces[word].append(tag)
    return {word: Counter(tags).most_common(1)[0][0] for word, tags in pieces.items()}


def _match(tokens: Sequence[str], pairs: Sequence[tuple[str, str]], method: Method) -> tuple[list[str], int, int]:
    tags = [OUTSIDE] * len(tokens)
    exact = substituted = 0
    matcher = SequenceMatcher(None, tokens, [token for token, _ in pairs], autojunk=False)
    for operation, start, end, other_start, other_end in matcher.get_opcodes():
        one_for_one = operation == "replace" and end - start == other_end - other_start and method == "robust"
        if operation == "equal" or one_for_one:
            tags[start:end] = [tag for _, tag in pairs[other_start:other_end]]
            if one_for_one:
                substituted += end - start
            else:
                exact += end - start
    return tags, exact, substituted


def realign_all(
    gold: Sequence[Instance], outputs: Iterable[RawOutput], legal: frozenset[str] | None, method: Method = "robust"
) -> tuple[list[Prediction], list[Alignment]]:
    """Realign every output; the outputs stand in the gold's order."""
    pairs = [realign(instance, output, legal, method) for instance, output in zip(gold, outputs, strict=True)]
    return [prediction for prediction, _ in pairs], [alignment for _, alignment in pairs]


def read_orphans(path: Path, predictions: Sequence[Prediction]) -> dict[str, list[int]]:
    """From an alignment file, the tokens of each prediction whose B- was an I- that continued nothing.

    Raises InputError where the file was not written with these predictions: other ids, or no B- at such a token.
    """
    table = read_table(path, ALIGNMENT, ["id"])
    remedy = "Name the alignment.csv that `bioner realign` wrote beside these predictions."
    if table["id"].to_list() != [prediction.id for prediction in predictions]:
        raise InputError(path, "other ids", "those of the predictions, in their order", remedy)
    orphans: dict[str, list[int]] = {}
    rows = table.select(pl.col("orphan_positions").fill_null(""), "orphan_tags").iter_rows()
    for line, (prediction, (positions, count)) in enumerate(zip(predictions, rows, strict=True), 2):
        words = positions.split()
        begun = {str(place): place for place, tag in enumerate(prediction.tags) if tag.startswith("B-")}
        if len(words) != count or not begun.keys() >= set(words):
            found = f"orphan_positions {positions!r} with {count} orphan_tags for {prediction.id!r}"
            raise InputError(f"{path}:{line}", found, "as many tokens that begin a predicted entity", remedy)
        orphans[prediction.id] = [begun[word] for word in words]
    return orphans
