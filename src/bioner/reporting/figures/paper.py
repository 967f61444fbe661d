"""Our F1 against the paper's: systems that differ are numbered and named."""

import math
from collections.abc import Sequence

import polars as pl
from matplotlib.axes import Axes

from bioner.reporting.figures.panels import add_key, draw_scores, stack, wrapped
from bioner.reporting.figures.plot_data import cleaned, counted, in_one_decoding
from bioner.reporting.figures.styles import Styles
from bioner.reporting.figures.svg import INK, MARK, finished, settings
from bioner.reporting.page import PageFigure

SQUARE = 355  # panels are as wide
NAMED = 8  # per panel
NEAREST = ("constrained", "free", "free-paper", "direct")  # to the paper's decoding, ascending


@settings()
def against_paper(strict: pl.DataFrame, relaxed: pl.DataFrame, styles: Styles) -> PageFigure | None:
    """Draw our overall F1 against the paper's (Tables III and V), if both are of the same data.

    LLMs are shown in the decoding nearest to the paper's. Of the systems whose interval excludes
    the paper's number, the furthest off are numbered, and named below the panel.
    """
    texts = ["dataset", "model", "decoding", "length"]
    numbers = ["f1", "f1_ci_low", "f1_ci_high", "paper_f1", "f1_difference"]
    needed = ["dataset", "model", "decoding", "f1", "paper_f1", "f1_difference"]
    overall = pl.col("length").fill_null("all") == "all"  # Table V has no lengths
    tables = {
        title: in_one_decoding(cleaned(table, texts, numbers, needed).filter(overall), NEAREST)
        for title, table in (("Strict F1 (Table III)", strict), ("Relaxed F1 (Table V)", relaxed))
    }
    tables = {title: rows for title, rows in tables.items() if len(rows)}
    if not tables:
        return None
    drawing, panels = stack(dict.fromkeys(tables, SQUARE))
    add_key(drawing, pl.concat(tables.values()), styles)
    described = []
    for axes, (title, rows) in zip(panels, tables.items(), strict=True):
        for (model,), scores in rows.group_by("model", maintain_order=True):
            draw_scores(axes, scores, "paper_f1", styles[model].look())
        off = rows.filter(~pl.col("paper_f1").is_between("f1_ci_low", "f1_ci_high")).sort(
            pl.col("f1_difference").abs(), descending=True, maintain_order=True
        )
        names = [
            f"{row['dataset']}, {row['model']}: {row['paper_f1']:.1f} → {row['f1']:.1f}"
            for row in off.head(NAMED).iter_rows(named=True)
        ]
        _compare(axes, rows, off.head(NAMED))
        lines = [wrapped(f"{number}  {name}") for number, name in enumerate(names, 1)]
        axes.set_xlabel("\n".join(["the paper's F1", *lines]), loc="left")
        outside = f"{len(off)} with the paper's number outside our interval"
        listed = f"{outside}: {'; '.join(names)}" if names else outside
        described.append(f"{title}: {counted(len(rows), 'cell')}, {listed}.")
    caption = (
        "Our F1 overall (mean over seeds, 95 % interval) against the paper's; on the line both"
        " are equal. LLMs in the decoding nearest to the paper's. Numbered: the paper's number"
        f" is outside our interval (the {NAMED} furthest off). Cells whose data differ from the"
        " paper's are left out (docs/reproduction.md)."
    )
    return finished(
        drawing,
        "against-paper",
        "Ours against the paper's numbers",
        caption,
        " ".join(described),
    )


def _compare(axes: Axes, rows: pl.DataFrame, off: pl.DataFrame) -> None:
    """Give both axes one scale, draw the line of equal values, and number the systems in `off`."""
    low, high = min(axes.dataLim.min), max(axes.dataLim.max)
    low, high = max(low - 4, -2), min(high + 4, 102)
    axes.axline((low, low), slope=1, color=INK, alpha=0.5, linewidth=1, gid=f"{MARK}identity")
    axes.set(ylabel="our F1", xlim=(low, high), ylim=(low, high))
    marks, step = rows.select("paper_f1", "f1").rows(), (high - low) / SQUARE
    places = _beside(off.select("paper_f1", "f1").rows(), marks, step)
    for number, place in enumerate(places, 1):
        axes.text(*place, str(number), weight="bold", ha="center", va="center", gid=f"{MARK}number")


def _beside(
    wanted: Sequence[tuple[float, float]], marks: Sequence[tuple[float, float]], step: float
) -> list[tuple[float, float]]:
    """Return a place near each wanted mark, away from all marks and from earlier places.

    Args:
        step: a unit of the SVG in points of F1.
    """
    taken = list(marks)
    for x, y in wanted:
        side = -step if y > x else step  # away from the line of equal values
        near = [
            (x + side * distance * math.cos(angle), y - side * distance * math.sin(angle))
            for distance in (11, 16, 22, 29)
            for angle in (0.0, 0.6, -0.6, 1.2, -1.2, 2.0, -2.0)
        ]
        free = (
            spot for spot in near if all(math.dist(spot, other) >= 10 * step for other in taken)
        )
        taken.append(next(free, near[0]))
    return taken[len(marks) :]
