"""Names of rows in the score table: entity-length buckets (1, 2, 3+ or other cut points), and those
of no type.
"""

from collections.abc import Sequence

PAPER_CUTS = (1, 2)  # the paper's lengths 1, 2 and 3+
RESERVED = ("all", "macro")  # labels over all types, which no type may bear


def bucket_of(length: int, cuts: Sequence[int]) -> str:
    """Bucket of an entity of `length` tokens; `cuts` are the upper ends of all buckets but the
    last, ascending.
    """
    lower = 1
    for upper in cuts:
        if length <= upper:
            return _name(lower, upper)
        lower = upper + 1
    return f"{lower}+"


def bucket_names(cuts: Sequence[int]) -> list[str]:
    """Names of the buckets in ascending order: [1, 2] gives 1, 2, 3+."""
    lowers = [1, *(cut + 1 for cut in cuts)]
    return [
        *(_name(lower, upper) for lower, upper in zip(lowers, cuts, strict=False)),
        f"{lowers[-1]}+",
    ]


def _name(lower: int, upper: int) -> str:
    return str(lower) if lower == upper else f"{lower}-{upper}"
