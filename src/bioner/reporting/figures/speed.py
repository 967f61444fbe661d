"""Speed against F1: what a point of F1 costs in time, and which systems are the best trade."""

import polars as pl
from matplotlib.ticker import LogLocator, NullLocator, StrMethodFormatter

from bioner.inference.timing import SPREAD
from bioner.reporting.figures.panels import add_key, draw_scores, stack_datasets
from bioner.reporting.figures.plot_data import (
    cleaned,
    counted,
    in_one_decoding,
    listed,
)
from bioner.reporting.figures.styles import Styles
from bioner.reporting.figures.svg import INK, MARK, finished, settings
from bioner.reporting.page import PageFigure

SYSTEM = ["dataset", "model", "decoding"]
MEASURED = ["hardware", "precision"]
SECONDS = "seconds_per_sample"


@settings()
def speed_against_f1(strict: pl.DataFrame, time: pl.DataFrame, styles: Styles) -> PageFigure | None:
    """Draw seconds per sentence (Table IV) against strict F1 overall (Table III), per dataset.

    Seconds are those of the fastest batch, by the fair protocol if a system was timed by it. Every
    decoding of a model is a point. No Pareto front is drawn if a dataset's times come from several
    machines.
    """
    scores = cleaned(
        strict, [*SYSTEM, "length"], ["f1", "f1_ci_low", "f1_ci_high"], [*SYSTEM, "f1"]
    ).filter(length="all")
    texts = [*SYSTEM, *MEASURED, "protocol"]
    times = cleaned(time, texts, [SECONDS, *SPREAD], [*SYSTEM, SECONDS])
    times = times.filter(pl.col(SECONDS) > 0).sort(
        pl.col("protocol").ne_missing("fair"), SECONDS, maintain_order=True
    )
    best = times.unique(SYSTEM, keep="first", maintain_order=True)
    main = in_one_decoding(scores).select(*SYSTEM, headline=True).unique()
    frame = scores.join(best, on=SYSTEM, maintain_order="left").join(
        main, on=SYSTEM, how="left", maintain_order="left"
    )
    if frame.is_empty():
        return None
    drawing, panels = stack_datasets(frame)
    add_key(drawing, frame, styles)
    seconds = [value for row in frame.select(SECONDS, *SPREAD).rows() for value in row if value]
    low, high = min(seconds) / 1.6, max(seconds) * 1.6
    described = [
        f"Strict F1 against seconds per sentence of {counted(frame['model'].n_unique(), 'model')}."
    ]
    mixed = []
    for dataset, axes, rows in panels:
        for (model, headline), points in rows.group_by("model", "headline", maintain_order=True):
            look = styles[model].look(6, hollow=not headline)
            timed = points.drop_nulls(SPREAD)
            if len(timed):
                low_end, high_end = (timed[name] for name in SPREAD)
                axes.hlines(timed["f1"], low_end, high_end, look["color"], gid=f"{MARK}spread")
            draw_scores(axes, points, SECONDS, look)
        if rows.select(MEASURED).n_unique() == 1:
            front = pareto(rows)
            axes.step(
                [*front[SECONDS], high],
                [*front["f1"], front["f1"][-1]],
                where="post",
                color=INK,
                alpha=0.5,
                linewidth=1.2,
                gid=f"{MARK}front",
            )
            described.append(f"{dataset}, Pareto front: {_named(front)}.")
        else:
            mixed.append(dataset)
            described.append(f"{dataset}: no front.")
        axes.set(xscale="log", xlim=(low, high), xlabel="seconds per sentence", ylabel="strict F1")
        axes.xaxis.set_major_locator(LogLocator(subs=[1] if high > 100 * low else [1, 2, 5]))
        axes.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
        axes.xaxis.set_minor_locator(NullLocator())
    machines = [
        " in ".join(filter(None, row))
        for row in frame.select(MEASURED).unique(maintain_order=True).rows()
    ]
    caption = (
        "Strict F1 overall with 95 % intervals against seconds per test sentence, at the batch"
        " size at which each system is fastest, with the range over repeated passes; better is up"
        " and to the left. Hollow: an LLM's decodings beside the headline one. Line: the Pareto"
        " front, systems than which none is both faster and better. Timed on"
        f" {listed(filter(None, machines))}."
    )
    if mixed:
        caption += (
            f" Times of {listed(mixed)} are not from one machine and precision: no front is drawn."
        )
    return finished(drawing, "speed-against-f1", "Speed against F1", caption, " ".join(described))


def pareto(systems: pl.DataFrame) -> pl.DataFrame:
    """Select the systems that no other beats in both speed and F1, from the fastest on."""
    f1 = pl.col("f1")
    ordered = systems.sort(SECONDS, f1, descending=[False, True], maintain_order=True)
    return ordered.filter(f1 > f1.cum_max().shift(fill_value=-1.0))


def _named(systems: pl.DataFrame) -> str:
    names = []
    for row in systems.iter_rows(named=True):
        decoding = "" if row["decoding"] == "direct" else f" ({row['decoding']})"
        names.append(f"{row['model']}{decoding} {row[SECONDS]:.3g} s {row['f1']:.1f}")
    return ", ".join(names)
