"""Texts that two sets of instances share, wholly or nearly, by the 5-grams of their words."""

import math
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from fractions import Fraction
from typing import NamedTuple

from bioner.data.instances import Instance

WORD = re.compile(r"[^\W_]+")  # a run of letters and digits, however the text was tokenized
SIZE = 5
SENTENCE_WORDS = 8  # a shorter sentence may recur by chance
NEAR = Fraction(4, 5)
SHARED = Fraction(1, 2)
SHARED_LETTERS = 100
PUBLISHED = re.compile(r"(PMC)?[1-9]\d{4,7}")  # ids of PubMed and PMC; a shorter number may be any

Words = dict[str, list[str]]
Grams = frozenset[tuple[str, ...]]


class NearDuplicates(NamedTuple):
    """The units of a split that are near-duplicates of train.

    `unit` is "document" or "sentence" and `units` how many there are; `similarity` holds the
    Jaccard index of each near-duplicate and the unit of train that is most similar to it.
    """

    unit: str
    units: int
    similarity: dict[str, float]

    def holds(self, instance: Instance) -> bool:
        """Return whether an instance is part of a near-duplicate."""
        return (instance.doc if self.unit == "document" else instance.id) in self.similarity


def find_near_duplicates(
    instances: Sequence[Instance], train: Sequence[Instance]
) -> NearDuplicates:
    """Find the units whose word 5-grams have a Jaccard index >= 0.8 with those of a unit of train.

    Units are documents if both sides have documents of several instances, else sentences of at
    least eight words. A document of fewer than five words has no near-duplicate.
    """
    by_document = has_documents(instances) and has_documents(train)
    ours, others = (_words(side, by_document) for side in (instances, train))
    if not by_document:
        ours, others = (
            {name: words for name, words in side.items() if len(words) >= SENTENCE_WORDS}
            for side in (ours, others)
        )
    found = _most_similar(ours, others, _jaccard, NEAR, lambda size: math.ceil(NEAR * size))
    similarity = {name: value for name, (_, value) in found.items()}
    return NearDuplicates("document" if by_document else "sentence", len(ours), similarity)


def find_shared_documents(test: Sequence[Instance], other: Sequence[Instance]) -> dict[str, str]:
    """Find the documents of a test set that another corpus has, too.

    They have the same PubMed or PMC id, or their word 5-grams have a containment >= 0.5: at least
    half of the smaller of the two sets is in both. Texts of fewer than 100 letters and digits are
    not compared. In a corpus without document ids every sentence counts as a document.

    Args:
        test: The test set.
        other: The instances of the other corpus, of one split or more.

    Returns:
        The documents of `test` in its order, each with that of `other`.
    """
    ours, others = _words(test, by_document=True), _words(other, by_document=True)
    long, others_long = (
        {name: words for name, words in side.items() if sum(map(len, words)) >= SHARED_LETTERS}
        for side in (ours, others)
    )
    # The smaller set may be as small as a single 5-gram.
    similar = _most_similar(long, others_long, _containment, SHARED, lambda size: 1)
    shared = {name: theirs for name, (theirs, _) in similar.items()}
    shared |= {name: name for name in ours if name in others and PUBLISHED.fullmatch(name)}
    return {name: shared[name] for name in ours if name in shared}


def has_documents(instances: Sequence[Instance]) -> bool:
    """Return whether any document has several instances; if not, documents are unknown."""
    return len({instance.doc for instance in instances}) < len(instances)


def _words(instances: Iterable[Instance], by_document: bool) -> Words:
    """Return the lower-cased words of each unit."""
    units: Words = defaultdict(list)
    for instance in instances:
        name = instance.doc if by_document else instance.id
        units[name] += WORD.findall(" ".join(instance.tokens).lower())
    return units


def _grams(words: Sequence[str]) -> Grams:
    return frozenset(zip(*(words[start:] for start in range(SIZE)), strict=False))


def _jaccard(common: int, one: int, other: int) -> float:
    return common / (one + other - common)


def _containment(common: int, one: int, other: int) -> float:
    return common / min(one, other)


def _most_similar(
    units: Mapping[str, Sequence[str]],
    others: Mapping[str, Sequence[str]],
    similarity: Callable[[int, int, int], float],
    threshold: Fraction,
    least: Callable[[int], int],
) -> dict[str, tuple[str, float]]:
    """Find for each unit the most similar one of others, if it reaches the threshold; exact.

    Args:
        similarity: Of two sets, by the number of 5-grams in common and in each.
        threshold: The least similarity.
        least: Of a set's size, the least number of 5-grams in common that can reach it.
    """
    grams = {name: _grams(words) for name, words in units.items()}
    vocabulary = frozenset().union(*grams.values())
    # Most of the others have too little in common with all units together.
    places: dict[tuple[str, ...], list[int]] = defaultdict(list)
    kept: list[tuple[str, Grams]] = []
    for name, words in others.items():
        theirs = _grams(words)
        common = theirs & vocabulary
        if len(common) >= max(1, least(len(theirs))):
            for gram in common:
                places[gram].append(len(kept))
            kept.append((name, theirs))
    found: dict[str, tuple[str, float]] = {}
    for name, ours in grams.items():
        known = sorted(ours & places.keys(), key=lambda gram: len(places[gram]))
        # Whatever has `least` of them has one of all but the `least - 1` most frequent.
        rarest = known[: max(0, len(known) + 1 - least(len(ours)))]
        candidates = sorted({place for gram in rarest for place in places[gram]})
        values = [
            similarity(len(ours & theirs), len(ours), len(theirs))
            for theirs in (kept[place][1] for place in candidates)
        ]
        best = max(values, default=0)
        if best >= float(threshold):
            found[name] = (kept[candidates[values.index(best)]][0], best)
    return found
