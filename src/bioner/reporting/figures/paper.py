"""Ours against the paper's numbers: where a reproduction lies off, it is named."""

import math
from collections.abc import Mapping, Sequence

import polars as pl
from matplotlib.axes import Axes

from bioner.reporting.figures.canvas import (
    AXIS,
    LEFT,
    TEXT,
    TITLE,
    Canvas,
    key_height,
    labels,
    panel_title,
    points,
    whisker,
)
from bioner.reporting.figures.plot_data import cleaned, counted, like_the_paper, names_in
from bioner.reporting.figures.styles import SeriesStyle
from bioner.reporting.figures.svg import INK, MARK, Figure, finished, settings

SQUARE = 340.0
LINE = 16.0
NAMED = 8  # of a panel
APART = 10.0  # marks and their numbers
TEXTS = ["dataset", "model", "decoding"]
NUMBERS = ["f1", "f1_ci_low", "f1_ci_high", "paper_f1", "f1_difference"]

Place = tuple[float, float]


def against_paper(
    strict: pl.DataFrame, relaxed: pl.DataFrame, styles: Mapping[str, SeriesStyle]
) -> Figure | None:
    """Our overall F1 against the paper's (Tables III and V), where the two are of the same data,
    with intervals.

    LLMs stand in the decoding nearest to the paper's. Of those whose interval leaves the paper's
    number out, the furthest are numbered, and named below the panel.
    """
    if "length" in strict.columns:
        strict = strict.filter(pl.col("length").cast(pl.String) == "all")
    tables = {"Strict F1 (Table III)": strict, "Relaxed F1 (Table V)": relaxed}
    panels = []
    for title, table in tables.items():
        needed = [*TEXTS, "f1", "paper_f1", "f1_difference"]
        rows = like_the_paper(cleaned(table, TEXTS, NUMBERS, needed))
        off = rows.filter(
            (pl.col("paper_f1") < pl.col("f1_ci_low")) | (pl.col("paper_f1") > pl.col("f1_ci_high"))
        )
        off = off.sort(pl.col("f1_difference").abs(), descending=True, maintain_order=True)
        if len(rows):
            panels.append((title, rows, off))
    if not panels:
        return None
    models = names_in(pl.concat(rows for _, rows, _ in panels), "model")
    heights = [TITLE + SQUARE + AXIS + LINE * min(len(off), NAMED) + 24 for _, _, off in panels]
    with settings():
        top, told = key_height(models, styles), []
        canvas = Canvas(top + sum(heights))
        canvas.key(0, models, styles)
        for (title, rows, off), height in zip(panels, heights, strict=True):
            axes = canvas.panel(top + TITLE, SQUARE, width=SQUARE)
            panel_title(axes, title)
            _panel(axes, rows, off.head(NAMED), styles)
            names = [
                f"{row['dataset']}, {row['model']}: {row['paper_f1']:.1f} → {row['f1']:.1f}"
                for row in off.head(NAMED).iter_rows(named=True)
            ]
            for number, name in enumerate(names, 1):
                y = top + TITLE + SQUARE + AXIS + LINE * number
                canvas.text(LEFT, y, str(number), bold=True)
                canvas.text(LEFT + 16, y, name, most=330)
            outside = f"{len(off)} with the paper's number outside our interval" + (
                ": " if names else ""
            )
            told.append(f"{title}: {counted(len(rows), 'cell')}, {outside}{'; '.join(names)}.")
            top += height
        caption = (
            "Our F1 overall (mean over seeds, 95 % interval) against the paper's; on the line both"
            " are equal. LLMs in the decoding nearest to the paper's. Numbered: the paper's number"
            f" is outside our interval (the {NAMED} furthest off). Cells whose data differ from the"
            " paper's are left out (docs/reproduction.md)."
        )
        return finished(
            canvas.drawing,
            "against-paper",
            "Ours against the paper's numbers",
            caption,
            " ".join(told),
        )


def _panel(
    axes: Axes, rows: pl.DataFrame, off: pl.DataFrame, styles: Mapping[str, SeriesStyle]
) -> None:
    values = [value for name in NUMBERS[:4] for value in rows[name].drop_nulls()]
    low, high = max(min(values) - 4, -2.0), min(max(values) + 4, 102.0)
    axes.set_xlim(low, high)
    axes.set_ylim(low, high)
    axes.plot([low, high], [low, high], color=INK, alpha=0.5, linewidth=1.0, gid=f"{MARK}identity")
    for row in rows.iter_rows(named=True):
        style = styles[row["model"]]
        whisker(axes, row["paper_f1"], row["f1_ci_low"], row["f1_ci_high"], style.colour)
        points(axes, [row["paper_f1"]], [row["f1"]], style, size=5.5)
    scale = SQUARE / (high - low)
    marks = [(x * scale, y * scale) for x, y in rows.select("paper_f1", "f1").rows()]
    places = _beside(
        [(x * scale, y * scale) for x, y in off.select("paper_f1", "f1").rows()], marks
    )
    for number, (x, y) in enumerate(places, 1):
        place = x / scale, y / scale
        text = axes.text(
            *place, str(number), size=TEXT, weight="bold", ha="center", va="center_baseline"
        )
        text.set_gid(f"{MARK}number")
    labels(axes, "the paper's F1", "our F1")


def _beside(wanted: Sequence[Place], marks: Sequence[Place]) -> list[Place]:
    """A place beside each mark that is wanted, away from all marks and from places before, as near
    as can be.
    """
    taken = list(marks)
    for x, y in wanted:
        side = -1 if y > x else 1  # away from the line of equal values
        near = [
            (x + side * distance * math.cos(angle), y - side * distance * math.sin(angle))
            for distance in (11, 16, 22, 29)
            for angle in (0.0, 0.6, -0.6, 1.2, -1.2, 2.0, -2.0)
        ]
        free = [place for place in near if all(math.dist(place, other) >= APART for other in taken)]
        taken.append((free or near)[0])
    return taken[len(marks) :]
