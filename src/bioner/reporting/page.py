"""The report as one HTML page: everything in one text, no request leaves it, and every value is
escaped.
"""

import base64
import datetime
import hashlib
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Protocol

import polars as pl
from jinja2 import Environment, PackageLoader, select_autoescape
from markupsafe import Markup

from bioner.io.tables import Schema
from bioner.reporting.browser import browser_data, embedded
from bioner.reporting.error_analysis import ErrorReport

TEMPLATES = Path(__file__).parent / "templates"
SCRIPTS = ("tables.js", "errors.js")
FOUR_DIGITS = ("p", "p_holm", "gpu_hours", "search_gpu_hours", "energy_kwh")
PLAIN_INTEGERS = ("seed",)  # without a comma after the thousands
MISSING: Schema = dict.fromkeys(("dataset", "model", "state", "reason", "log"), pl.String)


class PageFigure(Protocol):
    """A plot: `svg` is markup of our own, which goes into the page as it is."""

    @property
    def name(self) -> str:
        """In letters, digits, `-` and `_`: what it is linked by."""

    @property
    def title(self) -> str: ...

    @property
    def caption(self) -> str: ...

    @property
    def svg(self) -> str: ...

    @property
    def alt(self) -> str:
        """What there is to see, for those who do not see it."""


@dataclass(frozen=True, slots=True)
class Content:
    """Everything that stands on the page.

    `tables` by name, which is that of the CSV file; a title's first part, up to `:` or `;`, is the
    heading. `missing` (columns MISSING) are cells without results, and why; `notes` go with
    datasets; `failed` are jobs and their logs. `answers` are a dataset's headline sentences.
    """

    tables: Mapping[str, pl.DataFrame]
    titles: Mapping[str, str]
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
    """A table as text: `columns` are names and whether they hold numbers."""

    name: str
    heading: str
    note: str
    columns: Sequence[tuple[str, bool]]
    rows: Sequence[Sequence[str]]


def page(content: Content) -> str:
    """The page; columns without a value are left out."""
    script = "\n".join(_template(name) for name in SCRIPTS)
    examined = content.disagreements
    tables = {**content.tables, **({"errors": examined.counts} if examined else {})}
    context = {
        "style": Markup(_template("report.css")),
        "script": Markup(script),
        "script_hash": _csp_hash(script),
        "answers": content.answers,
        "missing": content.missing.rows(named=True),
        "failed": content.failed,
        "notes": content.notes,
        "figures": [(figure, Markup(figure.svg)) for figure in content.figures],
        "tables": [_as_text(name, content.titles[name], table) for name, table in tables.items()],
        "browser": Markup(embedded(browser_data(examined.datasets))) if examined else None,
        "skipped": examined.skipped if examined else (),
        "made": content.made.strftime("%Y-%m-%d %H:%M UTC"),
        "provenance": content.provenance,
    }
    return _environment().get_template("report.html.j2").render(context)


@cache
def _environment() -> Environment:
    loader = PackageLoader("bioner.reporting")
    return Environment(
        loader=loader,
        autoescape=select_autoescape(default=True),
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _template(name: str) -> str:
    return (TEMPLATES / name).read_text(encoding="utf-8")


def _csp_hash(script: str) -> str:
    """What the page's Content Security Policy knows the one script by that may run."""
    return "sha256-" + base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()


def _as_text(name: str, title: str, table: pl.DataFrame) -> _Table:
    heading, note = _split_title(title)
    filled = table.select(column for column in table if column.null_count() < len(table))
    columns = [(column.name.replace("_", " "), column.dtype.is_numeric()) for column in filled]
    texts = [_column(column) for column in filled]
    return _Table(name, heading, note, columns, list(zip(*texts, strict=True)))


def _split_title(title: str) -> tuple[str, str]:
    place = min((found for mark in ":;" if (found := title.find(mark)) > 0), default=len(title))
    rest = title[place + 1 :].strip()
    return title[:place], rest[:1].upper() + rest[1:]


def _column(column: pl.Series) -> Iterator[str]:
    return (_cell(column.name, value) for value in column)


def _number(value: float, digits: int) -> str:
    """With so many digits behind the point; where these would be few or none, with two that
    count.
    """
    return f"{value:.2g}" if 1e-9 < abs(value) < 10 ** (1 - digits) else f"{value:.{digits}f}"


def _cell(column: str, value: object) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return _number(value, 4 if column in FOUR_DIGITS or "seconds" in column else 2)
    return f"{value:,}" if isinstance(value, int) and column not in PLAIN_INTEGERS else str(value)
