"""What reading a damaged file may end in: its gold, a listed repair, or a refusal in one line."""

import csv
import logging
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from bioner.corpora.changes import LOSSES, REPAIRS
from bioner.corpora.normalize import normalize
from bioner.errors import InputError
from bioner.settings.dataset_entry import DatasetEntry
from tests.unit.corpora.fuzz.made import MARKER, Entity, Gold, gold_of

# Kinds that leave out an annotation for a longer one; that leave one out at all; that leave one
# with other borders.
NESTED = {"overlap", "shared-token"}
LOST = {*LOSSES, *NESTED}
ALTERS = {"widened", "split-token", "orphan", "unclosed", "empty-token"}


class Read(NamedTuple):
    """What normalizing wrote for one split: its gold, changes, statistics, and the warnings."""

    gold: Gold
    changes: list[dict[str, str]]
    counts: dict[tuple[str, str], float]
    warnings: list[str]


class Warnings(logging.Handler):
    """Collects the package's warnings while it is open, out of sight of other handlers."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.texts: list[str] = []
        self.logger = logging.getLogger("bioner")

    def emit(self, record: logging.LogRecord) -> None:
        self.texts.append(record.getMessage())

    def __enter__(self) -> "Warnings":
        self.logger.addHandler(self)
        self.logger.propagate = False
        return self

    def __exit__(self, *_: object) -> None:
        self.logger.removeHandler(self)
        self.logger.propagate = True


def read(entry: DatasetEntry, split: str, raw: Path, out: Path, quote: bool = True) -> Read | str:
    """Return what normalizing `raw` gives for a split, or the message or error that refuses it."""
    try:
        with Warnings() as warnings:
            instances = normalize("made", entry, raw, out, quote)[split]
    except InputError as error:
        return str(error)
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    changes, statistics = (
        [row for row in _table(out / name) if row["split"] == split]
        for name in ("changes.csv", "stats.csv")
    )
    counts = {(row["statistic"], row["stratum"]): float(row["value"]) for row in statistics}
    gold = gold_of([(instance.tokens, _entities(instance.tags)) for instance in instances])
    return Read(gold, changes, counts, warnings.texts)


def _table(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def _entities(tags: Sequence[str]) -> list[Entity]:
    found: list[Entity] = []
    for position, tag in enumerate(tags):
        if tag.startswith("B-"):
            found.append(Entity(position, position + 1, tag[2:]))
        elif tag.startswith("I-"):
            found[-1] = found[-1]._replace(end=position + 1)
    return found


def objection_to_refusal(
    message: str, raw: Path, must_read: bool = False, quote: bool = True
) -> str | None:
    """Return what is wrong with an error message, if anything."""
    rest = message.replace(f"{raw}", "")
    if must_read:
        return f"refused, although nothing is wrong: {message}"
    if "error in bioner" in message:
        return message
    if len(message.splitlines()) != 1 or len(rest) > 400:
        return f"a message of {len(message.splitlines())} lines and {len(rest)} characters"
    if not quote and re.search(MARKER, rest):
        return f"a message that shows text: {message}"
    return None if message.startswith(str(raw)) else f"a message that names no place: {message}"


def objection_to_reading(
    found: Read, on_error: str, max_lost: float, wholes: Sequence[Gold], parts: Sequence[Gold]
) -> str | None:
    """Return what is silently wrong in what was read, if anything.

    Args:
        found: What was read.
        on_error: The mode, `fail` or `repair`.
        max_lost: The bound of the catalogue's entry.
        wholes: What the file may be read as; empty if that is unknown.
        parts: Documents that the damage did not touch.
    """
    kinds = Counter(change["kind"] for change in found.changes)
    if on_error == "fail" and (repaired := sorted(kinds.keys() & REPAIRS.keys())):
        return f"{repaired[0]} repaired under `on_error: fail`"
    counts, kept = found.counts, len(found.gold.entities)
    if ("annotations", "found") in counts:  # counted once each, and the loss is bounded
        all_, *fates = (counts["annotations", s] for s in ("found", "kept", "nested", "lost"))
        if all_ != sum(fates) or fates[0] != kept:
            return f"{all_:.0f} found are not {fates} kept, nested and lost; {kept} are there"
        if fates[2] > max_lost * all_:
            return f"{fates[2]:.0f} of {all_:.0f} lost, more than {max_lost:.0%}"
    for part in parts:
        start = found.gold.text.find(part.text)
        if start < 0 and "empty-document" not in kinds:
            return f"the text {part.text!r} is gone or changed"
        here = {
            Entity(entity.start - start, entity.end - start, entity.type)
            for entity in found.gold.entities
            if 0 <= start <= entity.start and entity.end <= start + len(part.text)
        }
        if objection := _unexplained(part, here, found):
            return objection
    objections = [
        _unexplained(whole, set(found.gold.entities), found, max_lost)
        if whole.text == found.gold.text
        else f"the text is {found.gold.text!r}, not {whole.text!r}"
        for whole in wholes
    ]
    return objections[0] if objections and all(objections) else None


def _unexplained(gold: Gold, here: set[Entity], found: Read, max_lost: float = 1) -> str | None:
    """Return an entity of the gold that is missing, or one too many, without a listed change."""
    if not here and any("no entity" in warning for warning in found.warnings):
        return None
    lines, lost, extra = list(found.changes), 0, here - set(gold.entities)
    for entity in sorted(set(gold.entities) - here):
        text = gold.text[entity.start : entity.end]
        is_moved = any(_overlap(entity, other) for other in extra)
        kinds = LOST | ALTERS if is_moved else LOST
        fitting = [line for line in lines if line["kind"] in kinds and _is_of(line, entity, text)]
        line = min(fitting, key=lambda line: line["kind"] in LOST, default=None)
        if line is None:
            return f"{entity.type} {text!r} is lost without a word"
        lines.remove(line)
        lost += line["kind"] not in {*NESTED, *ALTERS}
    if lost > max_lost * len(gold.entities):
        return f"{lost} of {len(gold.entities)} lost, more than {max_lost:.0%}"
    if len(extra) > sum(line["kind"] in {*ALTERS, "overlap"} for line in found.changes):
        return f"{min(extra)} is not in the file"
    return None


def _overlap(entity: Entity, other: Entity) -> bool:
    is_near = entity.start < other.end and other.start < entity.end
    return is_near and entity.type.casefold() == other.type.casefold()


def _is_of(line: dict[str, str], entity: Entity, text: str) -> bool:
    """Return whether a change may be that of an entity, by its type or text."""
    listed = "".join(line["text"].split())
    is_same_text = bool(listed) and (listed in text or text in listed)
    return is_same_text or line["type"].casefold() == entity.type.casefold()
