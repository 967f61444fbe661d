"""Gold against gold: how two corpora annotate the documents that both have."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate
from typing import NamedTuple

from bioner.data.instances import Instance
from bioner.data.near_duplicates import SHARED_LETTERS, WORD, has_documents
from bioner.data.tags import spans

Entity = tuple[int, int, str]  # start and end in letters and digits of the text, common type


class GoldAgreement(NamedTuple):
    """Entities of one type, or of `all`, in the documents of two corpora that have equal text.

    `unit` is "document" or "sentence" and `units` how many are in both; `common` counts the
    entities with equal boundaries and type, `first` and `second` those of each corpus.
    """

    label: str
    unit: str
    units: int
    common: int
    first: int
    second: int

    @property
    def f1(self) -> float | None:
        """Exact F1 in percent, the same in both directions; None without entities."""
        total = self.first + self.second
        return 200 * self.common / total if total else None


def compare_gold(
    first: Sequence[Instance],
    second: Sequence[Instance],
    types: Mapping[str, Sequence[str]],
) -> list[GoldAgreement]:
    """Compare the annotations of two corpora in the documents whose letters and digits are equal.

    Corpora are tokenized differently, so boundaries are compared by the letters and digits before
    them. If either corpus has no documents, sentences are compared; texts of fewer than 100
    letters and digits are not.

    Args:
        first: The instances of a corpus, of all its splits.
        second: Those of the other.
        types: For each common type, its names in the corpora; its own name is one of them.

    Returns:
        A row for all common types together, then one for each.
    """
    unit = "document" if has_documents(first) and has_documents(second) else "sentence"
    common_types = {name: type_ for type_, names in types.items() for name in (type_, *names)}
    ours, theirs = (_annotated(side, unit, common_types) for side in (first, second))
    texts = ours.keys() & theirs.keys()
    rows = []
    for label in ("all", *types):
        mine, others = (
            {
                (text, *entity)
                for text in texts
                for entity in side[text]
                if label in ("all", entity[2])
            }
            for side in (ours, theirs)
        )
        counts = len(mine & others), len(mine), len(others)
        rows.append(GoldAgreement(label, unit, len(texts), *counts))
    return rows


def _annotated(
    instances: Iterable[Instance], unit: str, types: Mapping[str, str]
) -> dict[str, set[Entity]]:
    """Return the entities of each text by its letters and digits; of equal texts the first's."""
    texts: dict[str, list[str]] = defaultdict(list)
    lengths: Counter[str] = Counter()
    entities: dict[str, set[Entity]] = defaultdict(set)
    for instance in instances:
        name = instance.doc if unit == "document" else instance.id
        letters = ["".join(WORD.findall(token)) for token in instance.tokens]
        places = list(accumulate(map(len, letters), initial=lengths[name]))
        entities[name] |= {
            (places[span.start], places[span.end], types[span.type])
            for span in spans(instance.tags)
            if span.type in types
        }
        texts[name] += letters
        lengths[name] = places[-1]
    annotated: dict[str, set[Entity]] = {}
    for name, parts in texts.items():
        if lengths[name] >= SHARED_LETTERS:
            annotated.setdefault("".join(parts), entities[name])
    return annotated
