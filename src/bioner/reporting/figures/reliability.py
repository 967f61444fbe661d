"""Reliability of confidences: is a tag that the model is 90 % sure of right nine times in ten?"""

from collections.abc import Mapping, Sequence

import polars as pl
from matplotlib.axes import Axes

from bioner.reporting.figures.canvas import (
    AXIS,
    LEFT,
    TITLE,
    WIDTH,
    Canvas,
    labels,
    panel_title,
    points,
)
from bioner.reporting.figures.plot_data import cleaned, names_in
from bioner.reporting.figures.styles import SeriesStyle
from bioner.reporting.figures.svg import INK, MARK, Figure, finished, settings
from bioner.scoring.reliability import calibration_error

SQUARE = 170.0
ENTRY = 34.0
FEWEST = 10  # tokens that a filled marker stands for
KEYS = ["dataset", "model"]
NUMBERS = ["bin_low", "bin_high", "confidence", "accuracy", "count"]


def reliability(bins: pl.DataFrame, styles: Mapping[str, SeriesStyle]) -> Figure | None:
    """Share of right tags by confidence, a panel a dataset; `bins` are `reliability_bins` by
    dataset and model.

    Beside each panel the expected calibration error of every model and the number of its tokens.
    """
    frame = cleaned(bins, KEYS, NUMBERS, [*KEYS, *NUMBERS[2:]]).filter(pl.col("count") > 0)
    if frame.is_empty():
        return None
    datasets = names_in(frame, "dataset")
    models = {name: names_in(frame.filter(dataset=name), "model") for name in datasets}
    heights = [max(SQUARE + AXIS, ENTRY * len(models[name])) + TITLE + 14 for name in datasets]
    with settings():
        canvas, top, told = Canvas(sum(heights)), 0.0, []
        for dataset, height in zip(datasets, heights, strict=True):
            axes = canvas.panel(top + TITLE, SQUARE, width=SQUARE)
            panel_title(axes, dataset)
            _square(axes)
            for number, model in enumerate(models[dataset]):
                rows = frame.filter(dataset=dataset, model=model).sort("bin_low")
                error, tokens = calibration_error(rows), int(rows["count"].sum())
                _curve(axes, rows, styles[model])
                x, y = LEFT + SQUARE + 20, top + TITLE + ENTRY * number
                canvas.mark(x + 10, y + 8, styles[model], 22)
                canvas.text(x + 28, y + 12, model, most=WIDTH - x - 28)
                canvas.text(x + 28, y + 26, f"ECE {error:.3f}, n = {tokens:,}", most=WIDTH - x - 28)
                told.append(
                    f"{dataset}, {model}: expected calibration error {error:.3f} over {tokens:,}"
                    " tokens."
                )
            top += height
        caption = (
            "Confidence of constrained decoding against the share of right tags, for tokens tagged"
            f" as entity, in ten bins of equal width (hollow: fewer than {FEWEST} tokens). Below"
            " the diagonal a model is too sure of itself. ECE: expected calibration error, the"
            " mean distance from the diagonal weighted by tokens."
        )
        return finished(
            canvas.drawing, "reliability", "Reliability of confidences", caption, " ".join(told)
        )


def _square(axes: Axes) -> None:
    ticks: Sequence[float] = (0, 0.25, 0.5, 0.75, 1)
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1)
    axes.plot([0, 1], [0, 1], color=INK, alpha=0.5, linewidth=1.0, gid=f"{MARK}diagonal")
    labels(axes, "confidence", "share of right tags")


def _curve(axes: Axes, rows: pl.DataFrame, style: SeriesStyle) -> None:
    line = rows.select("confidence", "accuracy").rows()
    axes.plot(
        [confidence for confidence, _ in line],
        [accuracy for _, accuracy in line],
        color=style.colour,
        linestyle=style.line,
        linewidth=1.2,
        gid=f"{MARK}line",
    )
    for few in (False, True):
        part = rows.filter((pl.col("count") < FEWEST) == few)
        if len(part):
            points(
                axes,
                part["confidence"].to_list(),
                part["accuracy"].to_list(),
                style,
                hollow=few,
                size=5.0,
            )
