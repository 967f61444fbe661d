"""Learning curves: dev F1 by epoch, and the epoch whose weights were kept."""

import polars as pl
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from bioner.reporting.figures.panels import add_key, stack_datasets
from bioner.reporting.figures.plot_data import cleaned, counted
from bioner.reporting.figures.styles import SeriesStyle, Styles
from bioner.reporting.figures.svg import MARK, finished, settings
from bioner.reporting.page import PageFigure


@settings()
def learning_curves(histories: pl.DataFrame, styles: Styles) -> PageFigure | None:
    """Draw strict F1 on dev after every epoch (history.csv), a panel per dataset.

    Args:
        histories: columns `dataset, model, seed, epoch, dev_strict_f1` and, if known, `kept`:
            whether the weights of this epoch were kept.
    """
    needed = ["dataset", "model", "epoch", "dev_strict_f1"]
    frame = cleaned(
        histories, ["dataset", "model", "seed", "kept"], ["epoch", "dev_strict_f1"], needed
    ).with_columns(
        pl.col("seed").fill_null(""),
        pl.col("kept").str.to_lowercase().is_in(["true", "1"]).fill_null(False),
    )
    if frame.is_empty():
        return None
    drawing, panels = stack_datasets(frame)
    add_key(drawing, frame, styles)
    epochs = frame["epoch"].to_list()
    described = []
    for dataset, axes, rows in panels:
        for (model,), runs in rows.group_by("model", maintain_order=True):
            runs = runs.sort("epoch", maintain_order=True)
            _draw(axes, runs, styles[model])
            described.append(_describe(dataset, model, runs))
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set(
            xlabel="epoch", ylabel="dev strict F1", xlim=(min(epochs) - 0.3, max(epochs) + 0.3)
        )
    caption = (
        "Strict F1 on dev after every epoch. Thin: one seed; thick: the mean over seeds while"
        " all were training."
    )
    if frame["kept"].any():
        caption += " Markers: the epochs whose weights were kept."
    return finished(drawing, "learning-curves", "Learning curves", caption, " ".join(described))


def _draw(axes: Axes, rows: pl.DataFrame, style: SeriesStyle) -> None:
    """Draw a line per seed, marked at the kept epoch, and the mean while all were training."""
    seeds = rows["seed"].n_unique()
    if seeds > 1:
        epochs = rows.group_by("epoch", maintain_order=True)
        mean = epochs.agg(pl.mean("dev_strict_f1"), runs=pl.len()).filter(runs=seeds)
        look = style.look(line=1.8) | {"marker": ""}
        axes.plot(mean["epoch"], mean["dev_strict_f1"], **look, gid=f"{MARK}mean")
    look = style.look(line=0.7 if seeds > 1 else 1.4)
    for _, run in rows.group_by("seed", maintain_order=True):
        marked = run["kept"] if len(run) > 1 else [True]
        axes.plot(
            run["epoch"], run["dev_strict_f1"], **look, markevery=[*marked], gid=f"{MARK}seed"
        )


def _describe(dataset: str, model: str, rows: pl.DataFrame) -> str:
    seeds = counted(rows["seed"].n_unique(), "seed")
    best = rows.row(rows["dev_strict_f1"].arg_max(), named=True)
    return (
        f"{dataset}, {model}: {seeds}, best {best['dev_strict_f1']:.1f} after epoch"
        f" {best['epoch']:g} of {rows['epoch'][-1]:g}."
    )
