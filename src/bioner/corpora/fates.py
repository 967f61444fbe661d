"""What became of annotations: each is an entity, nested in a longer one, or lost; how many may be.

Found annotations are counted as the files have them, kept ones in the instances, and the others in
the list of changes: three counts that must agree.
"""

from pathlib import Path
from typing import NamedTuple

from bioner.corpora.changes import LOSSES, NESTED, Changes
from bioner.errors import InputError


class Fates(NamedTuple):
    """What became of a split's annotations, each counted once."""

    found: int
    kept: int
    nested: int
    lost: int


def fates_of(changes: Changes, split: str, kept: int) -> Fates:
    """Return what became of a split's annotations.

    Args:
        changes: What was found and listed.
        split: The split.
        kept: How many entities its instances hold; those that were not read from a file have no
            other annotations.
    """
    nested, lost = (changes.count(split, kinds) for kinds in (NESTED, LOSSES))
    return Fates(changes.found.get(split, kept), kept, nested, lost)


def check_fates(
    path: Path, changes: Changes, kept: int, max_lost: float, balanced: bool = True
) -> None:
    """Check what became of the annotations of the split that was read last.

    Args:
        path: The split's file.
        changes: What was found and listed.
        kept: How many entities its instances hold.
        max_lost: The share of its annotations that may be lost.
        balanced: Whether every annotation is an entity, nested or lost.

    Raises:
        InputError: More are lost, or an annotation has no known fate.
    """
    split = changes.split
    fates = fates_of(changes, split, kept)
    if balanced and fates.found != fates.kept + fates.nested + fates.lost:
        raise InputError(
            path,
            f"{fates.found} annotations, of which {fates.kept} are entities, {fates.nested} nested"
            f" and {fates.lost} lost",
            "every annotation counted once",
            "This is an error in bioner: please report it.",
        )
    if fates.lost > max_lost * fates.found:
        losses = [each for each in changes.listed if each.split == split and each.kind in LOSSES]
        counts = {kind: n for kind, n in changes.counts(split).items() if kind in LOSSES}
        listed = ", ".join(f"{n} {kind}" for kind, n in counts.items())
        raise InputError(
            path,
            f"{fates.lost} of {fates.found} annotations lost ({listed}; the first at"
            f" {losses[0].where})",
            f"at most {max_lost:.6g} of them",
            f"{LOSSES[max(counts, key=counts.__getitem__)]}, or state the share that may be lost in"
            " the catalogue (`max_lost`).",
        )
