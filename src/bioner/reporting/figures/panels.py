"""Panels below one another, the key above them, and scores with their intervals."""

import textwrap
from collections.abc import Mapping
from typing import Any

import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from bioner.reporting.figures.styles import FAMILIES, Styles
from bioner.reporting.figures.svg import MARK, printable

WIDTH = 400  # units of the SVG
LINE = 15  # units that a line of text takes


def stack(
    heights: Mapping[str, float], *, characters: int = 46, sharex: bool = False
) -> tuple[Figure, list[Axes]]:
    """Return a drawing with a panel per title, below one another.

    Args:
        heights: the height of each panel in units of the SVG, without the text around it.
        characters: how many fit on a line of a title.
        sharex: give all panels one x axis.
    """
    drawing = Figure(figsize=(WIDTH / 72, sum(heights.values()) / 72))
    axes = drawing.subplots(
        len(heights), squeeze=False, sharex=sharex, height_ratios=list(heights.values())
    )[:, 0]
    for panel, title in zip(axes, heights, strict=True):
        panel.set_title(wrapped(title, characters))
    return drawing, list(axes)


def stack_datasets(
    frame: pl.DataFrame, height: float = 150
) -> tuple[Figure, list[tuple[str, Axes, pl.DataFrame]]]:
    """Return a drawing and, per dataset, its name, its panel and its rows."""
    datasets = frame["dataset"].unique(maintain_order=True).to_list()
    drawing, panels = stack(dict.fromkeys(datasets, height))
    rows = [frame.filter(dataset=dataset) for dataset in datasets]
    return drawing, list(zip(datasets, panels, rows, strict=True))


def add_key(drawing: Figure, frame: pl.DataFrame, styles: Styles) -> None:
    """Add a legend of systems by family above the panels."""
    entries = []
    for name, family in FAMILIES.items():
        members = [
            Line2D([], [], **styles[model].look(line=1.4), label=wrapped(model))
            for model in frame["model"].unique(maintain_order=True)
            if styles[model].family == name
        ]
        if members:
            entries += [Line2D([], [], linestyle="none", label=family.title), *members]
    key = drawing.legend(handles=entries, loc="outside upper left")
    for entry, text in zip(entries, key.get_texts(), strict=True):
        if entry.get_linestyle() == "None":
            text.set_fontweight("bold")


def draw_scores(axes: Axes, rows: pl.DataFrame, x: str, look: Mapping[str, Any]) -> None:
    """Draw F1 with its interval, if known, over the column `x`; `look` is a `SeriesStyle.look`."""
    axes.vlines(
        rows[x], rows["f1_ci_low"], rows["f1_ci_high"], look["color"], gid=f"{MARK}interval"
    )
    axes.plot(rows[x], rows["f1"], **look, gid=f"{MARK}point", clip_on=False)


def wrapped(text: str, characters: int = 52) -> str:
    """Break a text into lines of so many characters."""
    return "\n".join(textwrap.wrap(printable(text), characters))
