"""Reliability of confidences: is an entity that a model is 90 % sure of right nine times in ten?"""

import polars as pl

from bioner.reporting.figures.panels import stack_datasets, wrapped
from bioner.reporting.figures.plot_data import cleaned
from bioner.reporting.figures.styles import Styles
from bioner.reporting.figures.svg import INK, MARK, finished, settings
from bioner.reporting.page import PageFigure

SQUARE = 170
FEWEST = 10  # entities that a filled marker stands for


@settings()
def reliability(bins: pl.DataFrame, styles: Styles) -> PageFigure | None:
    """Draw the share of right entities by confidence and the calibration error, a panel per
    dataset.

    Args:
        bins: rows of `reliability_bins` by dataset, model, decoding and seed. A point is the mean
            over seeds, and so is the error.
    """
    texts, numbers = ["dataset", "model", "seed"], ["bin", "confidence", "accuracy", "count"]
    frame = cleaned(bins, texts, numbers, ["dataset", "model", *numbers])
    frame = frame.filter(pl.col("count") > 0)
    if frame.is_empty():
        return None
    distance = (pl.col("accuracy") - pl.col("confidence")).abs()
    of_seeds = frame.group_by("dataset", "model", "seed").agg(error=_weighted(distance))
    means = of_seeds.group_by("dataset", "model").agg(pl.col("error").mean())
    errors = {(dataset, model): float(error) for dataset, model, error in means.iter_rows()}
    points = frame.group_by("dataset", "model", "bin", maintain_order=True).agg(
        _weighted(pl.col("confidence")), _weighted(pl.col("accuracy")), pl.col("count").sum()
    )
    drawing, panels = stack_datasets(points, SQUARE)
    described = []
    for dataset, axes, of_dataset in panels:
        axes.axline((0, 0), slope=1, color=INK, alpha=0.5, linewidth=1, gid=f"{MARK}diagonal")
        curves = []
        for (model,), rows in of_dataset.group_by("model", maintain_order=True):
            rows = rows.sort("bin")
            error = errors[dataset, str(model)]
            few = rows["count"] < FEWEST
            places = rows["confidence"], rows["accuracy"]
            curves += axes.plot(
                *places,
                **styles[model].look(5, line=1.2),
                markevery=[*~few],
                label=f"{wrapped(model, 24)}\nECE {error:.3f}",
                gid=f"{MARK}point",
                clip_on=False,
            )
            look = styles[model].look(5, hollow=True)
            axes.plot(*places, **look, markevery=[*few], gid=f"{MARK}point", clip_on=False)
            entities = int(rows["count"].sum())
            described.append(
                f"{dataset}, {model}: expected calibration error {error:.3f} over {entities:,}"
                " predicted entities."
            )
        axes.legend(handles=curves, loc="upper left", bbox_to_anchor=(1, 1))
        ticks = [0, 0.25, 0.5, 0.75, 1]
        axes.set(
            xlabel="confidence",
            ylabel="share of right entities",
            xticks=ticks,
            yticks=ticks,
            xlim=(0, 1),
            ylim=(0, 1),
            aspect="equal",
            anchor="NW",
        )
    caption = (
        "Confidence of predicted entities (the least probability of one of its words' tags) against"
        " the share of them that are strictly correct, in ten bins of equally many entities"
        f" (hollow: fewer than {FEWEST}), before temperature scaling. Below the diagonal a model is"
        " too sure of itself. ECE: expected calibration error, the mean distance from the diagonal"
        " weighted by entities, mean over seeds. Free decoding has no confidences."
    )
    return finished(
        drawing, "reliability", "Reliability of confidences", caption, " ".join(described)
    )


def _weighted(values: pl.Expr) -> pl.Expr:
    """The mean of values, weighted by the bins' counts."""
    return (values * pl.col("count")).sum() / pl.col("count").sum()
