"""How a system is drawn: the same colour, marker and line in every figure, its family to be seen
without colour.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

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

    def look(self, size: float = 5.5, *, line: float = 0.0, hollow: bool = False) -> dict[str, Any]:
        """Return arguments for `Axes.plot`; `line` is the width of a line that joins the points."""
        return {
            "color": self.colour,
            "linestyle": self.line if line else "none",
            "linewidth": line,
            "marker": self.marker,
            "markersize": size * SIZES.get(self.marker, 1.0),
            "markerfacecolor": "none" if hollow else self.colour,
        }


Styles = Mapping[str, SeriesStyle]  # by model

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
SIZES = {"*": 1.4, "^": 1.1, "v": 1.1, "D": 0.9, "1": 1.4, "2": 1.4}  # to look equally large


def assign_styles(families: Mapping[str, str]) -> dict[str, SeriesStyle]:
    """Return a style per model; eighteen of a family differ, six systems differ in colour alone."""
    styles: dict[str, SeriesStyle] = {}
    for model, name in families.items():
        family = FAMILIES[name]
        members = [style for style in styles.values() if style.family == name]
        coloured = [style for style in styles.values() if style.colour in family.colours]
        colours = _rotated(family.colours, len(coloured))
        markers = _rotated(family.markers, len(members))
        choices = [
            SeriesStyle(name, colour, marker, family.line)
            for marker, colour in product(markers, colours)
        ]
        styles[model] = next((style for style in choices if style not in members), choices[0])
    return styles


def _rotated(values: Sequence[str], by: int) -> list[str]:
    start = by % len(values)
    return [*values[start:], *values[:start]]
