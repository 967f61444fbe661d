"""Scores on parts of the test set: seen, unseen and repeated mentions, new sentences."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from bioner.data.instances import Instance
from bioner.data.near_duplicates import find_near_duplicates
from bioner.data.tags import Span, spans
from bioner.scoring.pairs import Pair, text_of
from bioner.scoring.tally import Tally, counted, credited

SCORER = "subset"
SUBSETS = {
    "seen": "gold mentions whose lower-cased text and type occur in train: recall",
    "unseen": "the other gold mentions: recall",
    "repeated": (
        "gold mentions whose lower-cased text and type occur more than once in the sentence: recall"
    ),
    "new": "sentences whose tokens are those of no sentence of train: strict and relaxed",
    "near-new": (
        "new sentences in no [near-duplicate](corpora.md#near-duplicates) of train: strict and"
        " relaxed"
    ),
}


def subset_tallies(
    pairs: Sequence[Pair], overall: Sequence[Tally], train: Sequence[Instance] | None
) -> Iterator[Tally]:
    """Yield the recall of repeated mentions, and with `train` all other subsets.

    Args:
        overall: The overall rows that are repeated for new sentences.
    """
    yield _recall("repeated", pairs, _is_repeated)
    if train is None:
        return
    known = {_key(instance, span) for instance in train for span in spans(instance.tags)}
    yield _recall("seen", pairs, lambda pair, span: _key(pair.instance, span) in known)
    yield _recall("unseen", pairs, lambda pair, span: _key(pair.instance, span) not in known)
    sentences = {tuple(instance.tokens) for instance in train}
    new = np.array([tuple(pair.instance.tokens) not in sentences for pair in pairs])
    near = find_near_duplicates([pair.instance for pair in pairs], train)
    near_new = new & [not near.holds(pair.instance) for pair in pairs]
    for stratum, chosen in (("new", new), ("near-new", near_new)):
        for row in overall:
            counts = {name: values * chosen for name, values in row.counts.items()}
            yield credited(SCORER, row.scheme, stratum, "all", counts, credit=0.5)


def _recall(stratum: str, pairs: Sequence[Pair], asked: Callable[[Pair, Span], bool]) -> Tally:
    wanted = [{span for span in pair.gold if asked(pair, span)} for pair in pairs]
    found = [spans.intersection(pair.predicted) for pair, spans in zip(pairs, wanted, strict=True)]
    correct, possible = counted(found, len), counted(wanted, len)
    counts = {"correct": correct, "missed": possible - correct}
    unknown = np.full(len(pairs), np.nan)
    return Tally(SCORER, "strict", stratum, "all", correct, possible, unknown, unknown, counts)


def _key(instance: Instance, span: Span) -> tuple[str, str]:
    return text_of(instance.tokens, span), span.type


def _is_repeated(pair: Pair, span: Span) -> bool:
    keys = [_key(pair.instance, other) for other in pair.gold]
    return keys.count(_key(pair.instance, span)) > 1
