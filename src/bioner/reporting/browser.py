"""Data of the page's error browser: disagreements as JSON, sampled if there are too many."""

import json
from collections.abc import Iterator, Sequence
from typing import Any

from bioner.reporting.disagreements import KINDS, Disagreements

MOST_BYTES = 8_000_000  # of sentences, in a page of at most 15 MB
# In a script element, `</script` and `<!--` act even within quotes.
ESCAPED = {ord(character): f"\\u{ord(character):04x}" for character in "<>&\u2028\u2029"}


def browser_data(datasets: Sequence[Disagreements], most_bytes: int = MOST_BYTES) -> dict[str, Any]:
    """Return datasets as the page's script (`errors.js`) reads them.

    If all sentences together exceed `most_bytes`, each dataset keeps the same share of its own,
    spread evenly; `of` is how many there are.
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
    """Return JSON that is safe inside a script element."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).translate(ESCAPED)


def _spread(sizes: Sequence[int], share: float) -> Iterator[int]:
    """Yield evenly spread places whose sizes add up to at most this share of the total."""
    read = kept = 0
    for place, size in enumerate(sizes):
        read += size
        if share == 1 or kept + size <= share * read:
            kept += size
            yield place
