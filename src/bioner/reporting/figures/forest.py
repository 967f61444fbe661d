"""Differences with intervals (forest): is what one system is ahead of another more than chance?"""

from collections.abc import Collection, Mapping, Sequence

import polars as pl

from bioner.reporting.figures.canvas import AXIS, WIDTH, Canvas, points, whisker, width_of
from bioner.reporting.figures.plot_data import cleaned, counted, headlines, names_in
from bioner.reporting.figures.styles import SeriesStyle
from bioner.reporting.figures.svg import INK, MARK, Figure, finished, settings

READABLE = 20  # exploratory comparisons
TOP, HEADING, ROW, MARGIN = 24.0, 26.0, 31.0, 6.0
TEXTS = (
    *("family", "dataset", "model", "decoding", "baseline_model", "baseline_decoding"),
    *("measure", "stratum", "verdict"),
)
NUMBERS = ("difference", "ci_low", "ci_high")
# Which side a difference speaks for is to be seen from where it lies; colour says it again.
FOR_LLM = SeriesStyle("llm", "#cc3d0a", "D", "-")
FOR_ENCODER = SeriesStyle("encoder", "#1f6fc4", "o", "-")
NOT_SHOWN = SeriesStyle("", "#808080", "o", "-")
NO_VERDICT = SeriesStyle("", "#808080", "x", "-")
VERDICTS = {"higher": FOR_LLM, "lower": FOR_ENCODER, "not shown": NOT_SHOWN}

Section = tuple[str, pl.DataFrame]


def differences(significance: pl.DataFrame, styles: Mapping[str, SeriesStyle]) -> Figure | None:
    """Differences LLM minus encoder with 95 % intervals, a row each (significance.csv).

    All of the primary family and of the length claim; of the exploratory comparisons those of LLMs
    in their headline decoding with encoders by strict F1 overall, as many as can be read: the first
    of every dataset, whatever they say.
    """
    frame = cleaned(significance, TEXTS, NUMBERS, ["family", "dataset", "difference"])
    claims = [
        (f"{title}: {_measured(measure, stratum)}", rows)
        for family, title in (
            ("primary", "Best LLM against best encoder"),
            ("length claim", "Length claim"),
        )
        for (measure, stratum), rows in frame.filter(family=family).group_by(
            "measure", "stratum", maintain_order=True
        )
    ]
    explored = _explored(frame, styles)
    few = _first_of_each(explored)
    sections = [*claims, ("Exploratory: LLM against encoder, strict F1 overall", few)]
    sections = [(title, rows) for title, rows in sections if len(rows)]
    if not sections:
        return None
    caption = (
        "LLM minus encoder in points of strict F1 or recall with 95 % intervals; right of 0 the LLM"
        " is higher. Filled: higher or lower once p-values are adjusted (Holm, within the family);"
        " hollow: not shown; cross: no verdict (too few entities). LLMs decode as they are"
        " compared: constrained where they were run with it. "
    )
    others = len(frame.filter(family="exploratory")) - len(few)
    if len(few):
        caption += (
            f"Of {len(explored)} exploratory comparisons of an LLM with an encoder overall,"
            f" {len(few)} are here. "
        )
    if others:
        caption += (
            f"Another {counted(others, 'exploratory comparison')} of any kind: in significance.csv"
            " alone."
        )
    with settings():
        drawing = _draw(sections).drawing
        return finished(
            drawing, "differences", "Differences with intervals", caption.strip(), _alt(sections)
        )


def _explored(frame: pl.DataFrame, styles: Mapping[str, SeriesStyle]) -> pl.DataFrame:
    """Exploratory comparisons of an LLM with an encoder by strict F1 overall; the LLM first."""
    family = {name: style.family for name, style in styles.items()}
    sides = [
        pl.col(name).replace_strict(family, default=None, return_dtype=pl.String)
        for name in ("model", "baseline_model")
    ]
    rows = frame.filter(family="exploratory", measure="f1", stratum="all")
    ours = rows.filter(sides[0] == "llm", sides[1] == "encoder")
    theirs = rows.filter(sides[0] == "encoder", sides[1] == "llm").select(
        *("family", "dataset"),
        pl.col("baseline_model").alias("model"),
        pl.col("baseline_decoding").alias("decoding"),
        pl.col("model").alias("baseline_model"),
        pl.col("decoding").alias("baseline_decoding"),
        *("measure", "stratum"),
        pl.col("verdict").replace({"higher": "lower", "lower": "higher"}),
        -pl.col("difference"),
        (-pl.col("ci_high")).alias("ci_low"),
        (-pl.col("ci_low")).alias("ci_high"),
    )
    return headlines(pl.concat([ours, theirs]))


def _first_of_each(rows: pl.DataFrame) -> pl.DataFrame:
    """As many rows as can be read, as even as can be over the datasets; a choice that does not look
    at results.
    """
    order = {name: number for number, name in enumerate(names_in(rows, "dataset"))}
    place = pl.int_range(pl.len()).over("dataset")
    dataset = pl.col("dataset").replace_strict(order, default=0, return_dtype=pl.Int64)
    return (
        rows.sort(place, dataset, maintain_order=True)
        .head(READABLE)
        .sort(dataset, maintain_order=True)
    )


def _draw(sections: Sequence[Section]) -> Canvas:
    lines = sum(HEADING + ROW * len(rows) for _, rows in sections)
    canvas = Canvas(TOP + lines + AXIS + 6)
    axes = canvas.panel(TOP, lines, left=MARGIN, width=WIDTH - 2 * MARGIN)
    axes.set_ylim(lines, 0)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    axes.tick_params(axis="x", labeltop=True, labelbottom=True)
    y, plain = 0.0, _of_one_decoding([rows for _, rows in sections])
    for title, rows in sections:
        canvas.text(0, TOP + y + 18, title, bold=True, most=WIDTH)
        y += HEADING
        for row in rows.iter_rows(named=True):
            found = _numbers(row["difference"], row["ci_low"], row["ci_high"])
            canvas.text(WIDTH, TOP + y + 12, found, right=True)
            canvas.text(0, TOP + y + 12, _named(row, plain), most=WIDTH - width_of(found) - 10)
            style = VERDICTS.get(row["verdict"], NO_VERDICT)
            whisker(axes, y + 21, row["ci_low"], row["ci_high"], style.colour, across=True)
            points(axes, [row["difference"]], [y + 21], style, hollow=row["verdict"] == "not shown")
            axes.plot(
                [0, 0], [y + 16, y + 26], color=INK, linewidth=1.0, alpha=0.7, gid=f"{MARK}zero"
            )
            y += ROW
    low, high = axes.get_xlim()
    axes.set_xlim(low, high)
    y = canvas.height - 6
    canvas.text(0, y, "← encoder higher")
    canvas.text((WIDTH - width_of(middle := "difference in points")) / 2, y, middle)
    canvas.text(WIDTH, y, "LLM higher →", right=True)
    return canvas


def _of_one_decoding(tables: Sequence[pl.DataFrame]) -> list[str]:
    """Models that stand in one decoding in all rows."""
    rows = pl.concat([table.select("model", "decoding") for table in tables])
    alone = rows.group_by("model", maintain_order=True).agg(pl.col("decoding").n_unique())
    return alone.filter(decoding=1)["model"].to_list()


def _measured(measure: str | None, stratum: str | None) -> str:
    name = "strict F1" if measure == "f1" else f"strict {measure}"
    if stratum == "all":
        return f"{name} overall"
    first, minus, last = (stratum or "").partition(" - ")
    return f"{name}, lengths {first} minus {last}" if minus else f"{name}, length {stratum}"


def _named(row: Mapping[str, str | None], plain: Collection[str | None] = ()) -> str:
    """What a row compares; the decoding of models in `plain` goes without saying."""
    sides = []
    for side in ("", "baseline_"):
        model, decoding = row[f"{side}model"], row[f"{side}decoding"]
        sides.append(
            f"{model}"
            if model in plain or decoding in (None, "direct")
            else f"{model} ({decoding})"
        )
    return f"{row['dataset']}: {' − '.join(sides)}"


def _numbers(difference: float, low: float | None, high: float | None) -> str:
    values = [f"{difference:+.1f}"] + [f"{value:.1f}" for value in (low, high) if value is not None]
    values = [value.replace("-", "−") for value in values]
    return f"{values[0]} ({values[1]} to {values[2]})" if len(values) == 3 else values[0]


def _alt(sections: Sequence[Section]) -> str:
    told = []
    for title, rows in sections:
        found = [
            f"{_named(row)} {_numbers(row['difference'], row['ci_low'], row['ci_high'])},"
            f" {row['verdict'] or 'no verdict'}"
            for row in rows.iter_rows(named=True)
        ]
        told.append(f"{title}: {'; '.join(found)}.")
    return " ".join(told)
