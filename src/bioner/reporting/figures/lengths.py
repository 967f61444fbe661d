"""F1 by entity length: does a system's lead grow with the length of entities, as the paper
claims?
"""

import re
from collections.abc import Mapping, Sequence

import polars as pl

from bioner.reporting.figures.canvas import (
    AXIS,
    LEFT,
    RIGHT,
    TITLE,
    WIDTH,
    Canvas,
    fitting,
    key_height,
    labels,
    panel_title,
    points,
    whisker,
    width_of,
)
from bioner.reporting.figures.plot_data import (
    cleaned,
    counted,
    headlines,
    names_in,
    of_controls,
    without_trivial,
)
from bioner.reporting.figures.styles import SeriesStyle
from bioner.reporting.figures.svg import Figure, finished, settings

HEIGHT = 150.0
SPREAD = 0.8  # of the room between two buckets
REACH = 0.25  # of the scale that the others take, beyond it: so far controls may lie


def by_length(strict: pl.DataFrame, styles: Mapping[str, SeriesStyle]) -> Figure | None:
    """Strict F1 of every model in every length bucket with its interval (Table III), a panel a
    dataset.

    Models stand in their headline decoding. Controls that have 0 or 100 everywhere, whatever the
    data, are left out.
    """
    texts, numbers = (
        ["dataset", "model", "decoding", "length"],
        ["f1", "f1_ci_low", "f1_ci_high", "gold_entities"],
    )
    frame = headlines(cleaned(strict, texts, numbers, [*texts, "f1"])).filter(
        pl.col("length") != "all"
    )
    frame = without_trivial(frame, styles)
    if frame.is_empty():
        return None
    datasets, models = names_in(frame, "dataset"), names_in(frame, "model")
    step = TITLE + HEIGHT + AXIS + 14
    with settings():
        canvas = Canvas(key_height(models, styles) + step * len(datasets))
        canvas.key(0, models, styles)
        top = key_height(models, styles)
        for number, dataset in enumerate(datasets):
            _panel(
                canvas, top + number * step, dataset, frame.filter(dataset=dataset), models, styles
            )
        caption = (
            "Strict F1 by entity length in tokens, mean over seeds, with 95 % intervals over the"
            " test set. Below each length the number of gold entities. LLMs in their headline"
            " decoding: constrained if they were run with it. Every panel has its own scale."
            " Controls that are 0 or 100 everywhere are left out; those far from all others are"
            " named above the panel."
        )
        return finished(
            canvas.drawing,
            "f1-by-length",
            "F1 by entity length",
            caption,
            _alt(frame, datasets, models),
        )


def _panel(
    canvas: Canvas,
    top: float,
    dataset: str,
    frame: pl.DataFrame,
    models: Sequence[str],
    styles: Mapping[str, SeriesStyle],
) -> None:
    axes = canvas.panel(top + TITLE, HEIGHT)
    frame, beyond = _on_scale(frame, styles)
    panel_title(axes, dataset, beyond)
    buckets = sorted(names_in(frame, "length"), key=_order)
    models = [model for model in models if model in frame["model"]]
    gap = min(SPREAD / len(models), 0.12)
    for number, model in enumerate(models):
        rows = frame.filter(model=model)
        at = {
            bucket: place + (number - (len(models) - 1) / 2) * gap
            for place, bucket in enumerate(buckets)
        }
        found = sorted(
            rows.select("length", "f1", "f1_ci_low", "f1_ci_high").rows(),
            key=lambda row: _order(row[0]),
        )
        for bucket, _, low, high in found:
            whisker(axes, at[bucket], low, high, styles[model].colour)
        size = 5.5 if len(models) <= 10 else 4.0
        xs, ys = [at[bucket] for bucket, *_ in found], [f1 for _, f1, *_ in found]
        points(axes, xs, ys, styles[model], size=size, line=0.7 if len(xs) > 1 else 0.0)
    sizes = dict(frame.drop_nulls("gold_entities").select("length", "gold_entities").rows())
    axes.set_xticks(range(len(buckets)), _numbered(buckets, sizes))
    axes.grid(visible=False, axis="x")
    for border in range(1, len(buckets)):
        axes.axvline(border - 0.5, color="#808080", alpha=0.35, linewidth=0.6)
    axes.set_xlim(-0.5, len(buckets) - 0.5)
    labels(axes, y="strict F1")


def _numbered(buckets: Sequence[str], sizes: Mapping[str, float]) -> list[str]:
    """Buckets with their gold entities below, where there is room for such numbers."""
    room = (WIDTH - LEFT - RIGHT) / len(buckets) - 6
    for prefix in ("n = ", ""):
        counts = [f"{prefix}{sizes[bucket]:,.0f}" if bucket in sizes else "" for bucket in buckets]
        if all(width_of(count) <= room for count in counts):
            return [
                f"{fitting(bucket, room)}\n{count}"
                for bucket, count in zip(buckets, counts, strict=True)
            ]
    return [fitting(bucket, room) for bucket in buckets]


def _on_scale(frame: pl.DataFrame, styles: Mapping[str, SeriesStyle]) -> tuple[pl.DataFrame, str]:
    """Rows without those of controls that would press all others together, and a line that names
    them instead.
    """
    others = frame.filter(~of_controls(styles))
    values = [
        value for name in ("f1", "f1_ci_low", "f1_ci_high") for value in others[name].drop_nulls()
    ]
    if not values:
        return frame, ""
    room = max(REACH * (max(values) - min(values)), 5.0)
    outside = ~pl.col("f1").is_between(min(values) - room, max(values) + room)
    off = of_controls(styles) & outside.any().over("model")
    beyond = (
        frame.filter(off)
        .group_by("model", maintain_order=True)
        .agg(low=pl.min("f1"), high=pl.max("f1"))
    )
    told = [
        f"{model} {low:.0f}" + (f" to {high:.0f}" if high > low else "")
        for model, low, high in beyond.rows()
    ]
    return frame.filter(~off), f"off the scale: {', '.join(told)}" if told else ""


def _order(bucket: str) -> tuple[int, str]:
    """Buckets by their first length: 2 before 10, 3+ behind 2."""
    digits = re.match(r"\d+", bucket)
    return int(digits[0]) if digits else 10**9, bucket


def _alt(frame: pl.DataFrame, datasets: Sequence[str], models: Sequence[str]) -> str:
    told = []
    for dataset in datasets:
        rows = frame.filter(dataset=dataset)
        best = []
        for bucket in sorted(names_in(rows, "length"), key=_order):
            model, f1 = (
                rows.filter(length=bucket).sort("f1", descending=True).select("model", "f1").row(0)
            )
            best.append(f"{bucket}: {model} {f1:.1f}")
        told.append(f"{dataset}, best by length: {', '.join(best)}.")
    return f"Strict F1 of {counted(len(models), 'model')} by entity length. " + " ".join(told)
