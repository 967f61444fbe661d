"""A canvas to draw on, measured in units from its upper left corner: panels, texts, marks, a
key.
"""

from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure as Drawing
from matplotlib.font_manager import FontProperties
from matplotlib.lines import Line2D
from matplotlib.textpath import text_to_path
from matplotlib.transforms import Affine2D, Transform

from bioner.reporting.figures.styles import STROKES, SeriesStyle, grouped
from bioner.reporting.figures.svg import INK, MARK, printable

# A unit is a pixel of a phone 400 wide, so that text needs no magnifying there; large screens
# enlarge the canvas.
WIDTH = 400.0
TEXT = 11.0
LEFT, RIGHT = 52.0, 8.0
KEY_LINE, KEY_ICON = 16.0, 30.0
TITLE = 24.0  # above a panel
AXIS = 34.0  # below a panel: numbers and what they are


class Canvas:
    """A canvas of a height; everything is placed by its distance from the left and the upper
    edge.
    """

    def __init__(self, height: float) -> None:
        self.height = height
        # 72 points of an inch are as many units of the SVG.
        self.drawing = Drawing(figsize=(WIDTH / 72, height / 72))
        self._units: Transform = (
            Affine2D().scale(1 / WIDTH, -1 / height).translate(0, 1) + self.drawing.transFigure
        )

    def panel(
        self, top: float, height: float, left: float = LEFT, width: float = WIDTH - LEFT - RIGHT
    ) -> Axes:
        """Axes with light grid lines and an axis line below and on the left."""
        bottom = self.height - top - height
        place = (left / WIDTH, bottom / self.height, width / WIDTH, height / self.height)
        axes = self.drawing.add_axes(place)
        axes.spines[["top", "right"]].set_visible(False)
        axes.spines[["bottom", "left"]].set(alpha=0.5, linewidth=0.8)
        axes.tick_params(labelsize=TEXT, length=3, width=0.8)
        axes.grid(color=INK, alpha=0.12, linewidth=0.6)
        axes.set_axisbelow(True)
        return axes

    def text(
        self,
        x: float,
        y: float,
        text: str,
        *,
        bold: bool = False,
        right: bool = False,
        most: float = 0,
    ) -> None:
        """A line of text on a base line; not wider than `most` where that is given."""
        shown = fitting(text, most, bold) if most else printable(text)
        weight, side = "bold" if bold else "normal", "right" if right else "left"
        self.drawing.text(
            x, y, shown, transform=self._units, size=TEXT, weight=weight, ha=side, va="baseline"
        )

    def mark(
        self, x: float, y: float, style: SeriesStyle, length: float = 0.0, *, hollow: bool = False
    ) -> None:
        """A system's marker, on a piece of its line where that has a length."""
        if length:
            ends = [x - length / 2, x + length / 2]
            line = Line2D(
                ends,
                [y, y],
                color=style.colour,
                linestyle=style.line,
                linewidth=1.4,
                transform=self._units,
            )
            self.drawing.add_artist(line)
        symbol = Line2D(
            [x],
            [y],
            linestyle="none",
            color=style.colour,
            marker=style.marker,
            markersize=_size(style, 6.0),
            markerfacecolor=_inside(style, hollow),
            markeredgewidth=1.3,
            transform=self._units,
        )
        self.drawing.add_artist(symbol)

    def key(self, top: float, models: Sequence[str], styles: Mapping[str, SeriesStyle]) -> None:
        """Which system looks how, by family; `key_height` says how much of the canvas it takes."""
        columns, y = key_columns(models), top
        width = WIDTH / columns
        names = distinct(models, width - KEY_ICON - 6)
        for title, members in grouped(models, styles):
            y += KEY_LINE
            self.text(0, y - 4, title, bold=True, most=WIDTH)
            for place, model in enumerate(members):
                if place % columns == 0:
                    y += KEY_LINE
                x = width * (place % columns)
                self.mark(x + KEY_ICON / 2 - 2, y - 8, styles[model], KEY_ICON - 6)
                self.text(x + KEY_ICON, y - 4, names[model])


def points(
    axes: Axes,
    xs: Sequence[float],
    ys: Sequence[float],
    style: SeriesStyle,
    *,
    hollow: bool = False,
    size: float = 6.0,
    line: float = 0.0,
) -> None:
    """Markers of a system, joined by its line where that has a width."""
    if line:
        axes.plot(
            xs,
            ys,
            color=style.colour,
            linestyle=style.line,
            linewidth=line,
            alpha=0.7,
            gid=f"{MARK}line",
        )
    axes.plot(
        xs,
        ys,
        linestyle="none",
        color=style.colour,
        marker=style.marker,
        markersize=_size(style, size),
        markerfacecolor=_inside(style, hollow),
        markeredgewidth=1.3,
        gid=f"{MARK}point",
        clip_on=False,
    )


def whisker(
    axes: Axes,
    at: float,
    low: float | None,
    high: float | None,
    colour: str,
    *,
    across: bool = False,
) -> None:
    """An interval, upright or `across`; nothing where an end is unknown."""
    if low is None or high is None:
        return
    xs, ys = ([low, high], [at, at]) if across else ([at, at], [low, high])
    axes.plot(xs, ys, color=colour, linewidth=1.4, solid_capstyle="butt", gid=f"{MARK}interval")


def panel_title(axes: Axes, text: str, note: str = "") -> None:
    """What the panel is of, above its left end, and what there is to say of it, above its right
    end.
    """
    width = axes.get_position().width * WIDTH
    title = fitting(text, width / 2 if note else width, bold=True)
    axes.set_title(title, loc="left", size=TEXT, weight="bold", pad=6)
    if note:
        shown = fitting(note, width - width_of(title, bold=True) - 10)
        axes.set_title(shown, loc="right", size=TEXT, weight="normal", pad=6)


def labels(axes: Axes, x: str = "", y: str = "") -> None:
    """What the axes show."""
    axes.set_xlabel(x, size=TEXT, labelpad=3)
    axes.set_ylabel(y, size=TEXT, labelpad=3)


def key_columns(models: Sequence[str]) -> int:
    """Columns of the key: two where all names fit."""
    return 2 if all(width_of(printable(name)) <= WIDTH / 2 - KEY_ICON - 6 for name in models) else 1


def key_height(models: Sequence[str], styles: Mapping[str, SeriesStyle]) -> float:
    """How much of the canvas the key takes."""
    columns = key_columns(models)
    lines = sum(1 + -(-len(members) // columns) for _, members in grouped(models, styles))
    return KEY_LINE * lines + 8


def width_of(text: str, bold: bool = False) -> float:
    """The width of a line of text in units."""
    font = FontProperties(family=["DejaVu Sans"], size=TEXT, weight="bold" if bold else "normal")
    width, _, _ = text_to_path.get_text_width_height_descent(text, font, ismath=False)
    return float(width)


def fitting(text: str, most: float, bold: bool = False) -> str:
    """The text, with its middle left out where it is wider than `most`."""
    text = printable(text[: int(most)] + "…" + text[-int(most) :] if len(text) > 3 * most else text)
    if width_of(text, bold) <= most:
        return text
    low, high = 0, len(text) - 1  # characters that are kept
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (
            (middle, high)
            if width_of(_shortened(text, middle), bold) <= most
            else (low, middle - 1)
        )
    return _shortened(text, low)


def distinct(names: Sequence[str], most: float) -> dict[str, str]:
    """Names not wider than `most`; those that would look the same are numbered."""
    shown: dict[str, str] = {}
    for name in names:
        short, number = fitting(name, most), 1
        while short in shown.values():
            number += 1
            short = f"{fitting(name, most - width_of(f' ({number})'))} ({number})"
        shown[name] = short
    return shown


def _size(style: SeriesStyle, size: float) -> float:
    """Shapes of one size do not look so."""
    return size * {"*": 1.4, "^": 1.1, "v": 1.1, "D": 0.9, "1": 1.4, "2": 1.4}.get(
        style.marker, 1.0
    )


def _inside(style: SeriesStyle, hollow: bool) -> str:
    return "none" if hollow and style.marker not in STROKES else style.colour


def _shortened(text: str, kept: int) -> str:
    tail = kept // 2
    return text[: kept - tail] + "…" + (text[-tail:] if tail else "")
