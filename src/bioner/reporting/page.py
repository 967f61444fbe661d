"""The report as one HTML page: self-contained, without requests, every value escaped."""

import base64
import datetime
import hashlib
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
from jinja2 import Environment, PackageLoader, select_autoescape
from markupsafe import Markup

from bioner.reporting.browser import browser_data, embedded
from bioner.reporting.columns import TITLES, meaning
from bioner.reporting.error_analysis import ErrorReport
from bioner.scoring.calibration import CALIBRATION

TEMPLATES = Path(__file__).parent / "templates"
FOUR_DIGITS = (
    *("p", "p_adjusted", "level", "gpu_hours", "search_gpu_hours", "energy_kwh"),
    *(name for name, kind in CALIBRATION.items() if kind == pl.Float64 and name != "temperature"),
)
PLAIN_INTEGERS = ("seed",)  # without a comma after the thousands


@dataclass(frozen=True, slots=True)
class PageFigure:
    """A plot: `svg` goes into the page as it is; the rest is plain text, which the page escapes.

    `name` (letters, digits, `-`, `_`) is the link target and the prefix of all ids in the SVG;
    `alt` describes the plot for those who do not see it.
    """

    name: str
    title: str
    caption: str
    svg: str
    alt: str


@dataclass(frozen=True, slots=True)
class Content:
    """Everything on the page.

    `tables` have the names of their CSV files; the first part of a title, up to `:` or `;`, is the
    heading. `missing` (columns CELLS) are cells without results; `notes` belong to datasets;
    `failed` has logs by job. `answers` are the sentences of each dataset.
    """

    tables: Mapping[str, pl.DataFrame]
    missing: pl.DataFrame
    notes: Sequence[tuple[str, str]]
    failed: Mapping[str, str]
    provenance: Mapping[str, Any]
    made: datetime.datetime
    answers: Sequence[tuple[str, Sequence[str]]] = ()
    figures: Sequence[PageFigure] = ()
    disagreements: ErrorReport | None = None


@dataclass(frozen=True, slots=True)
class _Table:
    """A table as text; `columns` are names, whether they hold numbers, and what they mean."""

    name: str
    heading: str
    note: str
    columns: Sequence[tuple[str, bool, str]]
    rows: Sequence[Sequence[str]]


def page(content: Content) -> str:
    """Render the page; columns without any value are left out."""
    style, *scripts = (
        (TEMPLATES / name).read_text(encoding="utf-8")
        for name in ("report.css", "tables.js", "errors.js")
    )
    script = "\n".join(scripts)
    script_hash = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    environment = Environment(
        loader=PackageLoader("bioner.reporting"),
        autoescape=select_autoescape(default=True),
        trim_blocks=True,
        lstrip_blocks=True,
    )
    examined = content.disagreements
    tables = {**content.tables, **({"errors": examined.counts} if examined else {})}
    context = {
        "style": Markup(style),
        "script": Markup(script),
        "script_hash": f"sha256-{script_hash}",  # the page's policy lets only this script run
        "answers": content.answers,
        "missing": content.missing.rows(named=True),
        "failed": content.failed,
        "notes": content.notes,
        "figures": [(figure, Markup(figure.svg)) for figure in content.figures],
        "tables": [_as_text(name, table) for name, table in tables.items()],
        "browser": Markup(embedded(browser_data(examined.datasets))) if examined else None,
        "skipped": examined.skipped if examined else (),
        "made": content.made.strftime("%Y-%m-%d %H:%M UTC"),
        "provenance": content.provenance,
    }
    return environment.get_template("report.html.j2").render(context)


def _as_text(name: str, table: pl.DataFrame) -> _Table:
    heading, *rest = re.split("[:;] *", TITLES[name], maxsplit=1)
    note = "".join(rest)
    filled = table.select(column for column in table if column.null_count() < len(table))
    columns = [
        (column.name.replace("_", " "), column.dtype.is_numeric(), meaning(name, column.name) or "")
        for column in filled
    ]
    texts = [[_cell(column.name, value) for value in column] for column in filled]
    return _Table(
        name, heading, note[:1].upper() + note[1:], columns, list(zip(*texts, strict=True))
    )


def _number(value: float, digits: int) -> str:
    """A number with so many decimals; if these would be all zeros, two significant digits."""
    return f"{value:.2g}" if 1e-9 < abs(value) < 10 ** (1 - digits) else f"{value:.{digits}f}"


def _cell(column: str, value: object) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return _number(value, 4 if column in FOUR_DIGITS or "seconds" in column else 2)
    return f"{value:,}" if isinstance(value, int) and column not in PLAIN_INTEGERS else str(value)
