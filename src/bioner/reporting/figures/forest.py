"""Differences with intervals (forest plot): is one system better by more than chance?"""

from collections.abc import Mapping
from typing import Any

import polars as pl
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from bioner.reporting.figures.panels import LINE, stack, wrapped
from bioner.reporting.figures.plot_data import cleaned, counted, in_one_decoding
from bioner.reporting.figures.styles import SeriesStyle, Styles
from bioner.reporting.figures.svg import INK, MARK, finished, settings
from bioner.reporting.page import PageFigure

READABLE = 20  # exploratory comparisons
FAMILIES = {
    "primary": "Best LLM against best encoder: ",
    "length claim": "Length claim: ",
    "exploratory": "Exploratory: LLM against encoder, ",
}
# The side of 0 shows which system a difference speaks for; colour says it again.
VERDICTS = {
    "higher": SeriesStyle("llm", "#cc3d0a", "D", "-"),
    "lower": SeriesStyle("encoder", "#1f6fc4", "o", "-"),
    "not shown": SeriesStyle("", "#808080", "o", "-"),
}
NO_VERDICT = SeriesStyle("", "#808080", "x", "-")


@settings()
def differences(significance: pl.DataFrame, styles: Styles) -> PageFigure | None:
    """Draw differences LLM minus encoder with 95 % intervals, a row each (significance.csv).

    Shown are the primary family, the length claim and the first exploratory comparisons per
    dataset, whatever their results, of an LLM in its headline decoding with an encoder by strict F1
    overall.
    """
    frame = cleaned(
        significance,
        [
            "family",
            "dataset",
            "model",
            "decoding",
            "baseline_model",
            "baseline_decoding",
            "measure",
            "stratum",
            "verdict",
        ],
        ["difference", "ci_low", "ci_high"],
        ["family", "dataset", "difference"],
    )
    explored = _explored(frame, styles)
    few = _first_of_each(explored)
    shown = pl.concat([frame.filter(family="primary"), frame.filter(family="length claim"), few])
    if shown.is_empty():
        return None
    several = pl.col("decoding").n_unique().over("model") > 1
    shown = shown.with_columns(decoding_shown=pl.when(several).then("decoding"))
    sections = {
        FAMILIES[family] + _measured(measure, stratum): _with_lines(rows)
        for (family, measure, stratum), rows in shown.group_by(
            "family", "measure", "stratum", maintain_order=True
        )
    }
    heights = {title: LINE * rows["line"][-1] for title, rows in sections.items()}
    drawing, panels = stack(heights, characters=52, sharex=True)
    for axes, rows in zip(panels, sections.values(), strict=True):
        _draw(axes, rows)
    panels[0].tick_params(labeltop=True)
    # Matplotlib's own choice of ticks depends on the width, which the layout changes afterwards.
    panels[0].xaxis.set_major_locator(MaxNLocator(7, steps=[1, 2, 5, 10]))
    panels[-1].set_xlabel("← encoder higher · difference in points · LLM higher →", loc="left")
    caption = (
        "LLM minus encoder in points of strict F1 or recall with 95 % intervals; right of 0 the LLM"
        " is higher. Filled: higher or lower once p-values are adjusted (Holm, within the family);"
        " hollow: not shown; cross: no verdict (too few entities). LLMs decode as they are"
        " compared: constrained where they were run with it."
    )
    if len(few):
        caption += (
            f" Of {len(explored)} exploratory comparisons of an LLM with an encoder overall,"
            f" {len(few)} are here."
        )
    if others := len(frame.filter(family="exploratory")) - len(few):
        caption += (
            f" Another {counted(others, 'exploratory comparison')} of any kind: in significance.csv"
            " alone."
        )
    alt = " ".join(_describe(title, rows) for title, rows in sections.items())
    return finished(drawing, "differences", "Differences with intervals", caption, alt)


def _explored(frame: pl.DataFrame, styles: Styles) -> pl.DataFrame:
    """Select exploratory comparisons of LLMs with encoders by strict F1 overall, the LLM first."""
    family = {name: style.family for name, style in styles.items()}
    sides = [
        pl.col(name).replace_strict(family, default=None, return_dtype=pl.String)
        for name in ("model", "baseline_model")
    ]
    rows = frame.filter(family="exploratory", measure="f1", stratum="all")
    ours = rows.filter(sides[0] == "llm", sides[1] == "encoder")
    theirs = rows.filter(sides[0] == "encoder", sides[1] == "llm").with_columns(
        model="baseline_model",
        decoding="baseline_decoding",
        baseline_model="model",
        baseline_decoding="decoding",
        verdict=pl.col("verdict").replace({"higher": "lower", "lower": "higher"}),
        difference=-pl.col("difference"),
        ci_low=-pl.col("ci_high"),
        ci_high=-pl.col("ci_low"),
    )
    return in_one_decoding(pl.concat([ours, theirs]))


def _first_of_each(rows: pl.DataFrame) -> pl.DataFrame:
    """Choose as many rows as can be read, evenly over datasets and regardless of results."""
    numbered = rows.with_row_index("row")
    few = numbered.sort(pl.int_range(pl.len()).over("dataset"), "row").head(READABLE)
    return few.sort(pl.min("row").over("dataset"), "row").drop("row")


def _with_lines(rows: pl.DataFrame) -> pl.DataFrame:
    """Add the wrapped name of every row and the line of text on which its interval is drawn."""
    names = [wrapped(_named(row, row["decoding_shown"])) for row in rows.iter_rows(named=True)]
    rows = rows.with_columns(name=pl.Series(names))
    return rows.with_columns(line=(pl.col("name").str.count_matches("\n") + 2).cum_sum())


def _draw(axes: Axes, rows: pl.DataFrame) -> None:
    """Draw the name of every row and, below it, the interval with its numbers on the right."""
    for (verdict,), part in rows.group_by("verdict", maintain_order=True):
        style = VERDICTS.get(verdict, NO_VERDICT)
        axes.hlines(
            part["line"], part["ci_low"], part["ci_high"], style.colour, gid=f"{MARK}interval"
        )
        look = style.look(6, hollow=verdict == "not shown")
        axes.plot(part["difference"], part["line"], **look, gid=f"{MARK}point", clip_on=False)
    lines = rows["line"]
    axes.vlines([0] * len(rows), lines - 0.35, lines + 0.35, INK, alpha=0.7, gid=f"{MARK}zero")
    place = axes.get_yaxis_transform()  # x in widths of the panel, y in lines of text
    for row in rows.iter_rows(named=True):
        name = axes.text(0, row["line"] - 0.6, row["name"], transform=place)
        name.set_in_layout(False)  # it may extend above the numbers
        axes.text(1.03, row["line"], _numbers(row), transform=place, va="center")
    axes.set(ylim=(lines[-1] + 0.5, 0.5), yticks=[])
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)


def _measured(measure: str | None, stratum: str | None) -> str:
    name = "strict F1" if measure == "f1" else f"strict {measure}"
    if stratum == "all":
        return f"{name} overall"
    first, minus, last = (stratum or "").partition(" - ")
    return f"{name}, lengths {first} minus {last}" if minus else f"{name}, length {stratum}"


def _named(row: Mapping[str, Any], decoding: str | None) -> str:
    """Return what a row compares, with the decoding of its first model if given."""
    sides = [
        model if how in (None, "direct") else f"{model} ({how})"
        for model, how in (
            (row["model"], decoding),
            (row["baseline_model"], row["baseline_decoding"]),
        )
    ]
    return f"{row['dataset']}: {' − '.join(sides)}"


def _numbers(row: Mapping[str, Any]) -> str:
    text = f"{row['difference']:+.1f}"
    if None not in (row["ci_low"], row["ci_high"]):
        text += f" ({row['ci_low']:.1f} to {row['ci_high']:.1f})"
    return text.replace("-", "−")


def _describe(title: str, rows: pl.DataFrame) -> str:
    described = [
        f"{_named(row, row['decoding'])} {_numbers(row)}, {row['verdict'] or 'no verdict'}"
        for row in rows.iter_rows(named=True)
    ]
    return f"{title}: {'; '.join(described)}."
