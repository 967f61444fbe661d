"""Speed against F1: what a point of F1 costs in time, and which systems nobody beats in both."""

from collections.abc import Mapping, Sequence

import polars as pl
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from bioner.reporting.figures.canvas import (
    AXIS,
    TEXT,
    TITLE,
    Canvas,
    key_height,
    labels,
    panel_title,
    points,
    whisker,
)
from bioner.reporting.figures.plot_data import (
    cleaned,
    counted,
    headlines,
    listed,
    names_in,
    trained,
)
from bioner.reporting.figures.styles import SeriesStyle
from bioner.reporting.figures.svg import INK, MARK, Figure, finished, settings

HEIGHT = 150.0
SYSTEM = ["dataset", "model", "decoding"]
MEASURED = ["hardware", "precision"]
FEWEST_LABELS = 3  # numbers on the axis of seconds

Point = tuple[float, float]


def speed_against_f1(
    strict: pl.DataFrame, time: pl.DataFrame, styles: Mapping[str, SeriesStyle]
) -> Figure | None:
    """Seconds a sentence (Table IV) against strict F1 overall (Table III), a panel a dataset.

    Seconds are those of the best batch, by the fair protocol where a system was timed by it. Every
    decoding of a model is a point; those beside the headline one are hollow. The Pareto front joins
    systems than which none is both faster and better; where a dataset's times come from several
    machines it is not drawn. Controls are shown where there is nothing else: they would stretch
    both axes.
    """
    scores = cleaned(
        strict, [*SYSTEM, "length"], ["f1", "f1_ci_low", "f1_ci_high"], [*SYSTEM, "f1"]
    ).filter(length="all")
    scores = trained(scores, styles)
    times = cleaned(
        time,
        [*SYSTEM, *MEASURED, "protocol"],
        ["seconds_per_sample"],
        [*SYSTEM, "seconds_per_sample"],
    )
    times = times.filter(pl.col("seconds_per_sample") > 0)
    fastest = times.sort(
        pl.col("protocol").ne_missing("fair"), "seconds_per_sample", maintain_order=True
    )
    frame = scores.join(
        fastest.unique(SYSTEM, keep="first", maintain_order=True), on=SYSTEM, maintain_order="left"
    )
    if frame.is_empty():
        return None
    main = headlines(scores).select(SYSTEM).unique()
    frame = frame.join(
        main.with_columns(headline=True), on=SYSTEM, how="left", maintain_order="left"
    )
    datasets, models = names_in(frame, "dataset"), names_in(frame, "model")
    mixed = [
        name for name in datasets if len(frame.filter(dataset=name).select(MEASURED).unique()) > 1
    ]
    seconds = frame["seconds_per_sample"].to_list()
    step = TITLE + HEIGHT + AXIS + 14
    with settings():
        canvas = Canvas(key_height(models, styles) + step * len(datasets))
        canvas.key(0, models, styles)
        top, told = key_height(models, styles), []
        for number, dataset in enumerate(datasets):
            rows = frame.filter(dataset=dataset)
            axes = canvas.panel(top + number * step + TITLE, HEIGHT)
            panel_title(axes, dataset)
            _seconds(axes, min(seconds) / 1.6, max(seconds) * 1.6)
            front = (
                [] if dataset in mixed else pareto(rows.select("seconds_per_sample", "f1").rows())
            )
            _panel(axes, rows, front, styles)
            told.append(_told(dataset, rows, front))
        on = [
            " in ".join(filter(None, row))
            for row in frame.select(MEASURED).unique(maintain_order=True).rows()
        ]
        caption = (
            "Strict F1 overall with 95 % intervals against seconds a test sentence, at the batch"
            " at which each system is fastest; better is up and to the left. Hollow: an LLM's"
            " decodings beside the headline one. Line: the Pareto front, systems than which none"
            f" is both faster and better. Timed on {listed(filter(None, on))}."
        )
        if mixed:
            caption += (
                f" Times of {listed(mixed)} are not from one machine and precision: no front is"
                " drawn."
            )
        alt = (
            f"Strict F1 against seconds a sentence of {counted(len(models), 'model')}. "
            + " ".join(told)
        )
        return finished(canvas.drawing, "speed-against-f1", "Speed against F1", caption, alt)


def pareto(systems: Sequence[Point]) -> list[Point]:
    """Those of (seconds, F1) than which none is as fast and better, or as good and faster; from the
    fastest on.
    """
    front: list[Point] = []
    for seconds, f1 in sorted(set(systems), key=lambda system: (system[0], -system[1])):
        if not front or f1 > front[-1][1]:
            front.append((seconds, f1))
    return front


def _panel(
    axes: Axes, rows: pl.DataFrame, front: Sequence[Point], styles: Mapping[str, SeriesStyle]
) -> None:
    if front:
        xs, ys = [seconds for seconds, _ in front], [f1 for _, f1 in front]
        right = axes.get_xlim()[1]
        axes.step(
            [*xs, right],
            [*ys, ys[-1]],
            where="post",
            color=INK,
            alpha=0.5,
            linewidth=1.2,
            gid=f"{MARK}front",
        )
    for row in rows.iter_rows(named=True):
        style = styles[row["model"]]
        whisker(axes, row["seconds_per_sample"], row["f1_ci_low"], row["f1_ci_high"], style.colour)
        points(axes, [row["seconds_per_sample"]], [row["f1"]], style, hollow=not row["headline"])
    labels(axes, "seconds a sentence", "strict F1")


def _seconds(axes: Axes, low: float, high: float) -> None:
    """A logarithmic axis with the same limits in every panel, numbered in plain figures."""
    powers = range(-12, 13)
    places = [10.0**power for power in powers if low <= 10.0**power <= high]
    if len(places) < FEWEST_LABELS:
        places = [
            digit * 10.0**power
            for power in powers
            for digit in (1, 2, 5)
            if low <= digit * 10.0**power <= high
        ]
    axes.set_xscale("log")
    axes.set_xlim(low, high)
    axes.xaxis.set_major_locator(FixedLocator(places))
    axes.xaxis.set_major_formatter(
        FuncFormatter(lambda value, _: f"{value:.9f}".rstrip("0").rstrip("."))
    )
    axes.xaxis.set_minor_locator(NullLocator())
    axes.tick_params(axis="x", labelsize=TEXT)


def _told(dataset: str, rows: pl.DataFrame, front: Sequence[Point]) -> str:
    names = []
    for point in front:
        for row in rows.iter_rows(named=True):
            if (row["seconds_per_sample"], row["f1"]) == point:
                decoding = "" if row["decoding"] == "direct" else f" ({row['decoding']})"
                names.append(f"{row['model']}{decoding} {point[0]:.3g} s {point[1]:.1f}")
    return f"{dataset}, Pareto front: {', '.join(names)}." if names else f"{dataset}: no front."
