"""How a system is drawn: the same colour, marker and line in every figure, its family to be seen
without colour.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import product

import polars as pl
from matplotlib.typing import LineStyleType


@dataclass(frozen=True, slots=True)
class Family:
    """What systems of a family have in common: a name for the key, a line style, marker shapes,
    colours.
    """

    title: str
    line: LineStyleType
    markers: str
    colours: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SeriesStyle:
    """How a system is drawn."""

    family: str
    colour: str
    marker: str
    line: LineStyleType


# After Okabe and Ito: blue, vermillion, green, purple, amber, sky, made darker or lighter until
# each has a contrast of 3 to 1 on white and on the dark grounds of browsers alike (tested), and
# told apart with any colour blindness; where that leaves two near each other, markers differ. Grey
# is the controls'.
COLOURS = ("#1f6fc4", "#cc3d0a", "#009e73", "#c66b9f", "#b88d00", "#3f9ad0")
GREY = ("#808080",)
FAMILIES = {
    "encoder": Family("Encoders", "-", "oshp", COLOURS),
    "llm": Family("LLMs", "--", "D^v*", COLOURS),
    "llm-head": Family("LLMs with a head", "-.", "<>X", COLOURS),
    "ensemble": Family("Ensembles", (0, (6, 1, 1, 1, 1, 1)), "Pd8", COLOURS),
    "control": Family("Controls", ":", "x+12", GREY),
}
STROKES = "x+12"  # markers without an inside to leave empty
CONTROLS = ("oracle", "all-o", "dictionary")  # as the catalogue that ships names them


def families_of(*tables: pl.DataFrame) -> dict[str, str]:
    """Models of the tables by family, as far as decodings and the names of controls tell.

    The catalogue knows better: lay its families over these.
    """
    found: dict[str, str] = {}
    for table in tables:
        for prefix in ("", "baseline_"):
            if f"{prefix}model" not in table.columns:
                continue
            for model, decoding in pairs_of(table, prefix):
                if decoding not in (None, "direct"):
                    found[model] = "llm"
                else:
                    found.setdefault(model, "control" if model in CONTROLS else "encoder")
    return found


def pairs_of(table: pl.DataFrame, prefix: str) -> list[tuple[str, str | None]]:
    """Every model with every decoding of it, in the table's order."""
    decoding = pl.col(f"{prefix}decoding") if f"{prefix}decoding" in table.columns else pl.lit(None)
    columns = table.select(
        pl.col(f"{prefix}model").cast(pl.String).alias("model"), decoding.alias("decoding")
    )
    return columns.drop_nulls("model").unique(maintain_order=True).rows()


def assign_styles(families: Mapping[str, str]) -> dict[str, SeriesStyle]:
    """Return a style for every model; eighteen of a family all differ, six systems differ in colour
    alone.
    """
    styles: dict[str, SeriesStyle] = {}
    counts: dict[tuple[str, ...], int] = {}
    members: dict[str, int] = {}
    for model, name in families.items():
        family = FAMILIES.get(name, FAMILIES["encoder"])
        colour = counts.get(family.colours, 0)
        marker = members.get(name, 0)
        counts[family.colours], members[name] = colour + 1, marker + 1
        choices = [
            SeriesStyle(
                name,
                _cycled(family.colours, colour + skip),
                _cycled(family.markers, marker + step),
                family.line,
            )
            for step, skip in product(range(len(family.markers)), range(len(family.colours)))
        ]
        taken = set(styles.values())
        styles[model] = next((style for style in choices if style not in taken), choices[0])
    return styles


def grouped(
    models: Iterable[str], styles: Mapping[str, SeriesStyle]
) -> list[tuple[str, list[str]]]:
    """Models by family, families in a fixed order: the title of each and its models."""
    models = list(models)
    order = [*FAMILIES, *sorted({style.family for style in styles.values()} - FAMILIES.keys())]
    groups = [
        (family, [model for model in models if styles[model].family == family]) for family in order
    ]
    return [
        (FAMILIES[family].title if family in FAMILIES else family, found)
        for family, found in groups
        if found
    ]


def _cycled(values: str | tuple[str, ...], position: int) -> str:
    return values[position % len(values)]
