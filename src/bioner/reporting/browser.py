"""What the error browser of the page reads: disagreements as JSON inside HTML, cut to a size where
they are many.
"""

import json
from collections.abc import Iterator, Sequence
from typing import Any

from bioner.reporting.disagreements import KINDS, Disagreements

MOST_BYTES = 8_000_000  # of sentences, in a page of at most 15 MB
# In a script element, `</script` and `<!--` would end or swallow what follows, whatever stands
# between quotes.
ESCAPED = {ord(character): f"\\u{ord(character):04x}" for character in "<>&\u2028\u2029"}


def browser_data(datasets: Sequence[Disagreements], most_bytes: int = MOST_BYTES) -> dict[str, Any]:
    """Datasets as the script of the page (`errors.js`) reads them.

    Where all sentences together take more than `most_bytes`, every dataset keeps the same share of
    its own, evenly from first to last; `of` says how many there are.
    """
    sizes = [[len(embedded(sentence).encode()) for sentence in each.sentences] for each in datasets]
    total = sum(map(sum, sizes))
    share = min(1.0, most_bytes / total) if total else 1.0
    return {
        "kinds": KINDS,
        "datasets": [
            {
                "name": each.dataset,
                "closed": each.closed,
                "cuts": each.cuts,
                "train": each.with_train,
                "types": each.types,
                "systems": each.systems,
                "silent": each.silent,
                "of": len(each.sentences),
                "sentences": [each.sentences[place] for place in _spread(size, share)],
            }
            for each, size in zip(datasets, sizes, strict=True)
        ],
    }


def embedded(value: object) -> str:
    """JSON that can stand in a script element, whatever its strings hold."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).translate(ESCAPED)


def _spread(sizes: Sequence[int], share: float) -> Iterator[int]:
    """Places whose sizes add up to at most this share of all, evenly from first to last."""
    read = kept = 0
    for place, size in enumerate(sizes):
        read += size
        if share == 1 or kept + size <= share * read:
            kept += size
            yield place
