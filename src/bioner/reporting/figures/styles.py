"""How a system is drawn: alike in every figure, its family visible without colour."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product
from typing import Any

from matplotlib.typing import LineStyleType


@dataclass(frozen=True, slots=True)
class Family:
    """What the systems of a family have in common; `title` is for the key."""

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
# each has a contrast of 3 to 1 on white and on the dark backgrounds of browsers (tested), and can
# be distinguished with any colour blindness; if two are still close, their markers differ. Controls
# are grey.
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
    """Return a style per model; eighteen of a family differ, six systems differ in colour alone.

    Each takes the style that is used least: as a whole, by its marker, by its colour.
    """
    styles: dict[str, SeriesStyle] = {}
    for model, name in families.items():
        family = FAMILIES[name]
        used = Counter(styles.values())
        markers = Counter(style.marker for style in styles.values())
        colours = Counter(style.colour for style in styles.values())
        choices = [
            SeriesStyle(name, colour, marker, family.line)
            for marker, colour in product(family.markers, family.colours)
        ]
        styles[model] = min(
            choices, key=lambda style: (used[style], markers[style.marker], colours[style.colour])
        )
    return styles
