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
from bioner.reporting.published import HALF_UNIT
from bioner.reporting.reproduction import single_run

SQUARE = 355  # panels are as wide
NAMED = 8  # per panel
NEAREST = ("constrained", "free", "free-paper", "direct")  # to the paper's decoding, ascending


@settings()
def against_paper(paper_scoring: pl.DataFrame, styles: Styles) -> PageFigure | None:
    """Draw our overall F1 by the paper's evaluator against the paper's, if the data are the same.

    LLMs are shown in the decoding nearest to the paper's. Intervals are where a single run would
    lie, as the paper's is one. Of the systems whose interval excludes the paper's number, the
    furthest off are numbered, and named below the panel.
    """
    texts = ["dataset", "model", "decoding", "scheme", "length"]
    numbers = ["f1", "f1_std", "seeds", "paper_f1", "f1_difference"]
    needed = ["dataset", "model", "decoding", "scheme", "f1", "paper_f1", "f1_difference"]
    overall = cleaned(paper_scoring, texts, numbers, needed).filter(length="all")
    titles = {"strict": "Strict F1 (Table III)", "relaxed": "Relaxed F1 (Table V)"}
    tables = {
        title: _with_ranges(in_one_decoding(overall.filter(scheme=scheme), NEAREST))
        for scheme, title in titles.items()
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
        outside = f"{len(off)} with the paper's number outside the range of a single run"
        listed = f"{outside}: {'; '.join(names)}" if names else outside
        described.append(f"{title}: {counted(len(rows), 'cell')}, {listed}.")
    caption = (
        "Our F1 overall by the paper's evaluator (mean over seeds) against the paper's; on the"
        " diagonal both are equal. Vertical lines: where 95 % of single runs would lie, since the"
        " paper's is one; with one seed there is none. LLMs in the decoding nearest to the paper's."
        f" Numbered: the paper's number is outside that range (the {NAMED} furthest off), not"
        " corrected for their number. ChemProt's labels differ from the paper's and are left out;"
        " what else is not comparable, `bioner verify-reproduction` says (docs/reproduction.md)."
    )
    return finished(
        drawing,
        "against-paper",
        "Ours against the paper's numbers",
        caption,
        " ".join(described),
    )


def _with_ranges(rows: pl.DataFrame) -> pl.DataFrame:
    """Add the range of a single run as the interval; null for one seed."""
    half = HALF_UNIT["III"]
    ranges = [
        (None, None) if std is None or seeds is None else single_run(f1, std, int(seeds), half)
        for f1, std, seeds in rows.select("f1", "f1_std", "seeds").rows()
    ]
    schema = {"f1_ci_low": pl.Float64, "f1_ci_high": pl.Float64}
    return rows.hstack(pl.DataFrame(ranges, schema=schema, orient="row"))


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
