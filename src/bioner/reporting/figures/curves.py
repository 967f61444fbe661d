"""Learning curves: dev F1 by epoch, and the epoch whose weights were kept."""

from collections.abc import Mapping, Sequence

import polars as pl
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from bioner.reporting.figures.canvas import (
    AXIS,
    TITLE,
    Canvas,
    key_height,
    labels,
    panel_title,
    points,
)
from bioner.reporting.figures.plot_data import cleaned, counted, names_in
from bioner.reporting.figures.styles import SeriesStyle
from bioner.reporting.figures.svg import MARK, Figure, finished, settings

HEIGHT = 140.0
RUN = ["dataset", "model", "seed"]
Point = tuple[float, float]


def learning_curves(histories: pl.DataFrame, styles: Mapping[str, SeriesStyle]) -> Figure | None:
    """Strict F1 on dev after every epoch (history.csv), a panel a dataset, a thin line a seed.

    Columns `dataset, model, seed, epoch, dev_strict_f1` and, where it is known, `kept`: the epoch
    whose weights a training has left. Where there are several seeds, a thick line is their mean as
    far as all of them went.
    """
    numbers = ["epoch", "dev_strict_f1"]
    frame = cleaned(histories, [*RUN, "kept"], numbers, ["dataset", "model", *numbers]).sort(
        "epoch", maintain_order=True
    )
    frame = frame.with_columns(
        pl.col("seed").fill_null(""), pl.col("kept").str.to_lowercase().is_in(["true", "1"])
    )
    if frame.is_empty():
        return None
    epochs = frame["epoch"].to_list()
    # In the order in which they came, not in that of their epochs.
    datasets, models = names_in(histories, "dataset"), names_in(histories, "model")
    datasets = [name for name in datasets if name in frame["dataset"]]
    models = [name for name in models if name in frame["model"]]
    step = TITLE + HEIGHT + AXIS + 14
    with settings():
        canvas = Canvas(key_height(models, styles) + step * len(datasets))
        canvas.key(0, models, styles)
        top, told = key_height(models, styles), []
        for number, dataset in enumerate(datasets):
            axes = canvas.panel(top + number * step + TITLE, HEIGHT)
            panel_title(axes, dataset)
            for model in models:
                rows = frame.filter(dataset=dataset, model=model)
                if len(rows):
                    _curves(axes, rows, styles[model])
                    told.append(_told(dataset, model, rows))
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))
            axes.set_xlim(min(1.0, *epochs) - 0.3, max(epochs) + 0.3)
            labels(axes, "epoch", "dev strict F1")
        caption = (
            "Strict F1 on dev after every epoch. Thin: one seed; thick: the mean over seeds while"
            " all were training."
        )
        if frame["kept"].fill_null(False).any():
            caption += " Markers: the epochs whose weights were kept."
        return finished(
            canvas.drawing, "learning-curves", "Learning curves", caption, " ".join(told)
        )


def mean_curve(runs: Sequence[Sequence[Point]]) -> list[Point]:
    """The mean of curves at the epochs that all have: one that ends early does not drag the
    others.
    """
    values = [dict(run) for run in runs]
    shared = [epoch for epoch, _ in runs[0] if all(epoch in run for run in values)] if runs else []
    return [(epoch, sum(run[epoch] for run in values) / len(values)) for epoch in shared]


def _curves(axes: Axes, rows: pl.DataFrame, style: SeriesStyle) -> None:
    runs = [
        rows.filter(seed=seed).select("epoch", "dev_strict_f1").rows()
        for seed in names_in(rows, "seed")
    ]
    several = len(runs) > 1
    for run in runs:
        _line(axes, run, style, 0.7 if several else 1.4, 0.55 if several else 1.0, "seed")
        if len(run) == 1:
            points(axes, [run[0][0]], [run[0][1]], style, size=3.0)
    if several:
        _line(axes, mean_curve(runs), style, 1.8, 1.0, "mean")
    kept = rows.filter("kept").select("epoch", "dev_strict_f1").rows()
    if kept:
        points(axes, [epoch for epoch, _ in kept], [f1 for _, f1 in kept], style, size=5.5)


def _line(
    axes: Axes, run: Sequence[Point], style: SeriesStyle, width: float, alpha: float, kind: str
) -> None:
    axes.plot(
        [epoch for epoch, _ in run],
        [f1 for _, f1 in run],
        color=style.colour,
        linestyle=style.line,
        linewidth=width,
        alpha=alpha,
        gid=f"{MARK}{kind}",
    )


def _told(dataset: str, model: str, rows: pl.DataFrame) -> str:
    reached = rows.select("epoch", "dev_strict_f1").rows()
    epoch, best = max(reached, key=lambda point: point[1])
    seeds = counted(rows["seed"].n_unique(), "seed")
    return (
        f"{dataset}, {model}: {seeds}, best {best:.1f} after epoch {epoch:g} of {reached[-1][0]:g}."
    )
