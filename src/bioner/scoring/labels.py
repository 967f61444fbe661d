"""Names of rows in the score table: entity-length buckets, and rows over all types."""

from bisect import bisect_left
from collections.abc import Sequence

PAPER_CUTS = (1, 2)  # the paper's lengths 1, 2 and 3+
RESERVED = ("all", "macro")  # labels of rows over all types: no type may have such a name


def bucket_of(length: int, cuts: Sequence[int]) -> str:
    """Return the bucket of an entity of `length` tokens."""
    return bucket_names(cuts)[bisect_left(cuts, length)]


def bucket_names(cuts: Sequence[int]) -> list[str]:
    """Return the names of the length buckets: [1, 2] gives 1, 2, 3+.

    Args:
        cuts: The upper ends of all buckets but the last, ascending.
    """
    lowers = [1, *(cut + 1 for cut in cuts)]
    closed = [
        str(lower) if lower == upper else f"{lower}-{upper}"
        for lower, upper in zip(lowers, cuts, strict=False)
    ]
    return [*closed, f"{lowers[-1]}+"]
