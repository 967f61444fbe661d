"""Reliability of confidences: is a tag that the model is 90 % sure of right nine times in ten?"""

import polars as pl

from bioner.reporting.figures.panels import stack_datasets, wrapped
from bioner.reporting.figures.plot_data import cleaned
from bioner.reporting.figures.styles import Styles
from bioner.reporting.figures.svg import INK, MARK, finished, settings
from bioner.reporting.page import PageFigure
from bioner.scoring.reliability import calibration_error

SQUARE = 170
FEWEST = 10  # tokens that a filled marker stands for


@settings()
def reliability(bins: pl.DataFrame, styles: Styles) -> PageFigure | None:
    """Draw the share of right tags by confidence and the calibration error, a panel per dataset.

    Args:
        bins: rows of `reliability_bins` by dataset and model.
    """
    texts, numbers = ["dataset", "model"], ["confidence", "accuracy", "count"]
    frame = cleaned(bins, texts, numbers, [*texts, *numbers]).filter(pl.col("count") > 0)
    if frame.is_empty():
        return None
    drawing, panels = stack_datasets(frame, SQUARE)
    described = []
    for dataset, axes, rows in panels:
        axes.axline((0, 0), slope=1, color=INK, alpha=0.5, linewidth=1, gid=f"{MARK}diagonal")
        curves = []
        for (model,), bins in rows.group_by("model", maintain_order=True):
            error, tokens = calibration_error(bins), int(bins["count"].sum())
            few = bins["count"] < FEWEST
            points = bins["confidence"], bins["accuracy"]
            curves += axes.plot(
                *points,
                **styles[model].look(5, line=1.2),
                markevery=[*~few],
                label=f"{wrapped(model, 24)}\nECE {error:.3f}, n = {tokens:,}",
                gid=f"{MARK}point",
                clip_on=False,
            )
            look = styles[model].look(5, hollow=True)
            axes.plot(*points, **look, markevery=[*few], gid=f"{MARK}point", clip_on=False)
            described.append(
                f"{dataset}, {model}: expected calibration error {error:.3f} over {tokens:,}"
                " tokens."
            )
        axes.legend(handles=curves, loc="upper left", bbox_to_anchor=(1, 1))
        ticks = [0, 0.25, 0.5, 0.75, 1]
        axes.set(
            xlabel="confidence",
            ylabel="share of right tags",
            xticks=ticks,
            yticks=ticks,
            xlim=(0, 1),
            ylim=(0, 1),
            aspect="equal",
            anchor="NW",
        )
    caption = (
        "Confidence of constrained decoding against the share of right tags, for tokens tagged"
        f" as entity, in ten bins of equal width (hollow: fewer than {FEWEST} tokens). Below"
        " the diagonal a model is too sure of itself. ECE: expected calibration error, the"
        " mean distance from the diagonal weighted by tokens."
    )
    return finished(
        drawing, "reliability", "Reliability of confidences", caption, " ".join(described)
    )
