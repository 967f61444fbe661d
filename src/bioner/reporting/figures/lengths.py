"""F1 by entity length: does a system's lead grow with the length of entities?"""

import polars as pl
from matplotlib.axes import Axes

from bioner.reporting.figures.panels import add_key, draw_scores, stack_datasets, wrapped
from bioner.reporting.figures.plot_data import cleaned, counted, in_one_decoding
from bioner.reporting.figures.styles import Styles
from bioner.reporting.figures.svg import MARK, finished, settings
from bioner.reporting.page import PageFigure
from bioner.scoring.limits import NEEDED

SPREAD = 0.8  # of the room between two buckets
REACH = 0.25  # of the range of the others: how far beyond it controls may lie


@settings()
def by_length(strict: pl.DataFrame, styles: Styles) -> PageFigure | None:
    """Draw strict F1 of every model per length bucket (Table III), a panel per dataset."""
    keys = ["dataset", "model", "decoding", "length"]
    numbers = ["f1", "f1_ci_low", "f1_ci_high", "gold_entities"]
    frame = cleaned(strict, [*keys, "no_interval"], numbers, [*keys, "f1"]).filter(
        pl.col("length") != "all"
    )
    controls = [name for name, style in styles.items() if style.family == "control"]
    frame = in_one_decoding(frame).with_columns(control=pl.col("model").is_in(controls))
    trivial = pl.col("f1").is_in([0.0]).all() | pl.col("f1").is_in([100.0]).all()
    frame = frame.filter(~(pl.col("control") & trivial.over("model")))
    if frame.is_empty():
        return None
    drawing, panels = stack_datasets(frame)
    add_key(drawing, frame, styles)
    described = [f"Strict F1 of {counted(frame['model'].n_unique(), 'model')} by entity length."]
    first = pl.col("length").str.extract(r"^(\d+)").cast(pl.Int64)  # 2 before 10, 3+ behind 2
    for dataset, axes, rows in panels:
        rows = rows.sort(first, "length", nulls_last=True, maintain_order=True)
        _draw(axes, rows.with_columns(place=pl.col("length").rle_id()), styles)
        best = rows.group_by("length", maintain_order=True).agg(
            pl.col("model", "f1").get(pl.col("f1").arg_max())
        )
        named = ", ".join(f"{length}: {model} {f1:.1f}" for length, model, f1 in best.rows())
        described.append(f"{dataset}, best by length: {named}.")
    caption = (
        "Strict F1 by entity length in tokens, mean over seeds, with 95 % intervals over the"
        " test set. Below each length the number of gold entities. Hollow, and “no interval”: too"
        f" few of them, or of documents that hold one (needed: {NEEDED}). LLMs in their headline"
        " decoding: constrained if they were run with it. Every panel has its own scale."
        " Controls that are 0 or 100 everywhere are left out; those far from all others are"
        " named below the panel."
    )
    return finished(drawing, "f1-by-length", "F1 by entity length", caption, " ".join(described))


def _draw(axes: Axes, rows: pl.DataFrame, styles: Styles) -> None:
    """Draw models side by side at every length, centred at its `place`."""
    shown, beyond = _on_scale(rows)
    models = shown["model"].unique(maintain_order=True).to_list()
    gap = min(SPREAD / len(models), 0.12)
    for number, model in enumerate(models):
        shift = (number - (len(models) - 1) / 2) * gap
        scores = shown.filter(model=model).with_columns(pl.col("place") + shift)
        size = 5.5 if len(models) <= 10 else 4.0
        few = scores["no_interval"].is_not_null()
        look = styles[model].look(size, line=0.7)
        draw_scores(axes, scores, "place", look | {"markevery": [*~few]})
        hollow = styles[model].look(size, hollow=True) | {"markevery": [*few]}
        axes.plot(scores["place"], scores["f1"], **hollow, gid=f"{MARK}point", clip_on=False)
    lengths = shown.group_by("place", maintain_order=True).agg(
        pl.first("length"), pl.max("gold_entities"), pl.first("no_interval")
    )
    prefix = "n = " if len(lengths) <= 5 else ""
    labels = [
        "\n".join(
            [
                length,
                *([f"{prefix}{entities:,.0f}"] if entities is not None else []),
                *(["no interval"] if limit else []),
            ]
        )
        for _, length, entities, limit in lengths.rows()
    ]
    axes.set_xticks(lengths["place"], labels)
    axes.grid(visible=False, axis="x")
    for place in lengths["place"][1:]:
        axes.axvline(place - 0.5, color="#808080", alpha=0.35, linewidth=0.6)
    axes.set(xlabel=wrapped(beyond), ylabel="strict F1")


def _on_scale(rows: pl.DataFrame) -> tuple[pl.DataFrame, str]:
    """Drop controls far from all other scores; return the rest and a line that names those."""
    others = rows.filter(~pl.col("control"))
    if others.is_empty():
        return rows, ""
    low, high = others.select(
        low=pl.min_horizontal("f1", "f1_ci_low").min(),
        high=pl.max_horizontal("f1", "f1_ci_high").max(),
    ).row(0)
    room = max(REACH * (high - low), 5.0)
    outside = ~pl.col("f1").is_between(low - room, high + room)
    off = pl.col("control") & outside.any().over("model")
    ranges = rows.filter(off).group_by("model", maintain_order=True)
    named = [
        f"{model} {low:.0f}" + (f" to {high:.0f}" if high > low else "")
        for model, low, high in ranges.agg(low=pl.min("f1"), high=pl.max("f1")).rows()
    ]
    return rows.filter(~off), f"off the scale: {', '.join(named)}" if named else ""
