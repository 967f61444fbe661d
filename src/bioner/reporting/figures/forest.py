"""Differences with intervals (forest plot): is one system better by more than chance?"""

from collections.abc import Mapping
from typing import Any

import polars as pl
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from bioner.comparison.verdicts import word_of
from bioner.reporting.figures.panels import LINE, stack, wrapped
from bioner.reporting.figures.plot_data import cleaned, counted, in_one_decoding
from bioner.reporting.figures.styles import SeriesStyle, Styles
from bioner.reporting.figures.svg import INK, MARK, finished, settings
from bioner.reporting.page import PageFigure

READABLE = 20  # exploratory comparisons with their intervals; more of them are a matrix
COLUMNS = 4  # of the matrix, side by side
FAMILIES = {
    "primary": "Best LLM against best encoder: ",
    "length claim": "Length claim: ",
    "exploratory": "Exploratory: LLM against encoder, ",
}
# The side of 0 shows which system a difference speaks for; colour says it again.
VERDICTS = {
    "higher": SeriesStyle("llm", "#cc3d0a", "D", "-"),
    "lower": SeriesStyle("encoder", "#1f6fc4", "o", "-"),
    "equivalent": SeriesStyle("", "#808080", "s", "-"),
    "inconclusive": SeriesStyle("", "#808080", "o", "-"),
}
NO_VERDICT = SeriesStyle("", "#808080", "x", "-")
MARKS = (
    "Orange diamond: the LLM is higher; blue disc: the encoder is; grey square: equivalent; hollow:"
    " inconclusive; cross: not tested."
)
TEXTS = (
    *("family", "dataset", "model", "decoding", "baseline_model", "baseline_decoding"),
    *("measure", "stratum", "label", "verdict"),
)


@settings()
def differences(significance: pl.DataFrame, styles: Styles) -> PageFigure | None:
    """Draw differences LLM minus encoder with the intervals of their tests, a row each.

    Shown are the primary family, the length claim and, if they are few enough to be read, all
    exploratory comparisons of an LLM in its headline decoding with an encoder by strict F1 overall.
    """
    frame = _cleaned(significance)
    explored = _explored(frame, styles)
    few = explored if len(explored) <= READABLE else explored.clear()
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
        "LLM minus encoder in points of strict F1 or recall; right of 0 the LLM is higher."
        f" {MARKS} Intervals have the level at which a difference is tested in its family (`level`"
        " in significance.csv: 95 % for one test, more for many), so that they exclude 0 exactly if"
        " the verdict is higher or lower; without a test, 95 %. LLMs decode as they are compared:"
        " constrained where they were run with it."
    )
    if others := len(frame) - len(shown):
        caption += f" {counted(others, 'other comparison')}: in significance.csv."
    alt = " ".join(_describe(title, rows) for title, rows in sections.items())
    return finished(drawing, "differences", "Differences with intervals", caption, alt)


@settings()
def all_pairs(significance: pl.DataFrame, styles: Styles) -> PageFigure | None:
    """Draw all exploratory differences LLM minus encoder by strict F1 overall as a matrix.

    None if they are few enough to stand in `differences`, with their intervals.
    """
    rows = _explored(_cleaned(significance), styles)
    if len(rows) <= READABLE:
        return None
    datasets = rows["dataset"].unique(maintain_order=True).to_list()
    blocks = -(-len(datasets) // COLUMNS)
    columns = -(-len(datasets) // blocks)
    parts = [datasets[place : place + columns] for place in range(0, len(datasets), columns)]
    names = {
        pair: wrapped(" − ".join(pair), 25)
        for pair in rows.select("model", "baseline_model").unique(maintain_order=True).rows()
    }
    heads = {dataset: wrapped(dataset, 8) for dataset in datasets}
    top = max(head.count("\n") + 1 for head in heads.values())
    lines = top + sum(name.count("\n") + 1.4 for name in names.values())
    drawing, panels = stack({", ".join(part): LINE * lines for part in parts}, characters=52)
    for axes, part in zip(panels, parts, strict=True):
        axes.set(xlim=(0, 1), ylim=(lines, 0))
        axes.set_axis_off()
        _draw_matrix(axes, rows, names, {dataset: heads[dataset] for dataset in part}, top + 0.4)
    caption = (
        f"LLM minus encoder in points of strict F1: all {len(rows)} exploratory comparisons of an"
        f" LLM with an encoder overall. {MARKS} Verdicts are adjusted over all pairs of a corpus"
        " (max-T); the intervals are in significance.csv. An empty place is the pair of the primary"
        " family, or one that was not compared."
    )
    return finished(
        drawing, "all-pairs", "All LLMs against all encoders", caption, _describe("All", rows)
    )


def _draw_matrix(
    axes: Axes,
    rows: pl.DataFrame,
    names: Mapping[tuple[str, str], str],
    heads: Mapping[str, str],
    line: float,
) -> None:
    """Draw a column per dataset and a row per pair: the mark of the verdict and the difference.

    `names` are of pairs and `heads` of datasets, wrapped; the first pair is at `line`.
    """
    x = {dataset: 0.45 + 0.55 * place / len(heads) for place, dataset in enumerate(heads)}
    for dataset, head in heads.items():
        axes.text(x[dataset], 0, head, va="top")
    for (model, baseline), name in names.items():
        height = name.count("\n") + 1
        axes.text(0, line, name, va="top")
        for row in rows.filter(model=model, baseline_model=baseline).iter_rows(named=True):
            if row["dataset"] in x:
                place, middle = x[row["dataset"]], line + height / 2
                style, hollow = _style(row["verdict"])
                look = style.look(6, hollow=hollow)
                axes.plot(place + 0.015, middle, **look, gid=f"{MARK}point", clip_on=False)
                axes.text(place + 0.04, middle, _signed(row["difference"]), va="center")
        line += height + 0.4


def _style(verdict: str | None) -> tuple[SeriesStyle, bool]:
    """Return how a verdict is drawn, and whether hollow."""
    word = word_of(verdict)
    return VERDICTS.get(word, NO_VERDICT), word == "inconclusive"


def _cleaned(significance: pl.DataFrame) -> pl.DataFrame:
    """Select the rows of all entity types with the columns that are drawn."""
    needed = ["family", "dataset", "difference"]
    frame = cleaned(significance, TEXTS, ["difference", "low", "high"], needed)
    return frame.filter(pl.col("label").fill_null("all") == "all")


def _explored(frame: pl.DataFrame, styles: Styles) -> pl.DataFrame:
    """Select exploratory comparisons of LLMs with encoders by strict F1 overall."""
    family = {name: style.family for name, style in styles.items()}
    llm, encoder = (
        pl.col(name).replace_strict(family, default=None, return_dtype=pl.String) == wanted
        for name, wanted in (("model", "llm"), ("baseline_model", "encoder"))
    )
    rows = frame.filter(llm, encoder, family="exploratory", measure="f1", stratum="all")
    return in_one_decoding(rows)


def _with_lines(rows: pl.DataFrame) -> pl.DataFrame:
    """Add the wrapped name of every row and the line of text on which its interval is drawn."""
    names = [wrapped(_named(row, row["decoding_shown"])) for row in rows.iter_rows(named=True)]
    rows = rows.with_columns(name=pl.Series(names))
    return rows.with_columns(line=(pl.col("name").str.count_matches("\n") + 2).cum_sum())


def _draw(axes: Axes, rows: pl.DataFrame) -> None:
    """Draw the name of every row and, below it, the interval with its numbers on the right."""
    for (verdict,), part in rows.group_by("verdict", maintain_order=True):
        style, hollow = _style(verdict)
        axes.hlines(part["line"], part["low"], part["high"], style.colour, gid=f"{MARK}interval")
        look = style.look(6, hollow=hollow)
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
    text = _signed(row["difference"])
    if None not in (row["low"], row["high"]):
        text += f" ({row['low']:.1f} to {row['high']:.1f})"
    return text.replace("-", "−")


def _signed(difference: float) -> str:
    return f"{difference:+z.1f}".replace("-", "−")


def _describe(title: str, rows: pl.DataFrame) -> str:
    described = [
        f"{_named(row, row['decoding'])} {_numbers(row)}, {row['verdict'] or 'not tested'}"
        for row in rows.iter_rows(named=True)
    ]
    return f"{title}: {'; '.join(described)}."
