"""The state of a run as text: the matrix, what is running or failed in detail, and how much is
left.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import polars as pl

from bioner.io.progress_bars import duration
from bioner.io.tables import Schema
from bioner.ops.status.records import STRENGTH, CellStatus, StatusRow

STATUS: Schema = {
    "dataset": pl.String,
    "model": pl.String,
    "seed": pl.Int64,
    "stage": pl.String,
    "state": pl.String,
    "progress": pl.String,
    "dev_strict_f1": pl.Float64,
    "seconds_left": pl.Float64,
    "where": pl.String,
    "note": pl.String,
}
DETAILS = (
    "dataset",
    "model",
    "seed",
    "stage",
    "state",
    "progress",
    "dev F1",
    "time left",
    "where",
    "remarks",
)


def shown(cells: Sequence[CellStatus], material: Sequence[StatusRow]) -> str:
    """Everything for a terminal: models down, corpora across; then rows in detail, then sums."""
    datasets = list(dict.fromkeys(cell.dataset for cell in cells))
    models = list(dict.fromkeys(cell.model for cell in cells))
    by_name = {(cell.dataset, cell.model): cell for cell in cells}
    matrix = [
        [model, *(in_short(by_name[dataset, model]) for dataset in datasets)] for model in models
    ]
    parts = [markdown(["model", *datasets], matrix)]
    rows = [
        row for row in (*material, *(row for cell in cells for row in cell.rows)) if _tells(row)
    ]
    rows.sort(key=lambda row: STRENGTH.index(row.state))
    if rows:
        parts.append(markdown(DETAILS, [_detail(row) for row in rows]))
    return "\n\n".join([*parts, "\n".join(_sums(cells))])


def in_short(cell: CellStatus) -> str:
    """A cell in a few words: `running 3/20 84.2 ~40 min, 1 of 3 seeds`; stages but training by
    their names.
    """
    at = min(cell.rows, key=lambda row: STRENGTH.index(row.state))
    words: list[str] = [cell.state]
    if cell.state not in ("done", "left out"):
        named = at.stage if cell.state in ("running", "failed") and at.stage != "train" else ""
        words += [named, at.job_state.progress]
    words.append("" if cell.dev_f1 is None else f"{cell.dev_f1:.1f}")
    words.append(
        "" if cell.left is None or cell.state in ("done", "left out") else f"~{duration(cell.left)}"
    )
    seeds = [row.state for row in cell.rows if row.seed is not None]
    done = seeds.count("done")
    several = f", {done} of {len(seeds)} seeds" if 0 < done < len(seeds) else ""
    return " ".join(filter(None, words)) + several


def status_table(cells: Sequence[CellStatus], material: Sequence[StatusRow]) -> pl.DataFrame:
    """One line a row of the cells, and of what they wait for."""
    rows = [_record(row) for row in (*material, *(row for cell in cells for row in cell.rows))]
    return pl.DataFrame(rows, schema=STATUS)


def markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table whose columns stand under each other; what would end a cell or a line is escaped."""
    table = [[_plain(value) for value in row] for row in (head, *rows)]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    lines = [
        "| "
        + " | ".join(value.ljust(width) for value, width in zip(row, widths, strict=True))
        + " |"
        for row in table
    ]
    return "\n".join(
        [lines[0], "|" + "|".join("-" * (width + 2) for width in widths) + "|", *lines[1:]]
    )


def _plain(text: str) -> str:
    return "".join(letter if letter.isprintable() else " " for letter in text).replace("|", "\\|")


def _tells(row: StatusRow) -> bool:
    return row.state in ("running", "failed") or (
        row.state == "waiting" and bool(row.job_state.note)
    )


def _detail(row: StatusRow) -> list[str]:
    job_state = row.job_state
    return [
        *(
            row.dataset,
            row.model,
            "" if row.seed is None else str(row.seed),
            row.stage,
            row.state,
            job_state.progress,
        ),
        "" if job_state.dev_f1 is None else f"{job_state.dev_f1:.2f}",
        "" if row.left is None else f"~{duration(row.left)}",
        *(job_state.where, job_state.note),
    ]


def _record(row: StatusRow) -> dict[str, Any]:
    job_state = row.job_state
    return {
        "dataset": row.dataset or None,
        "model": row.model or None,
        "seed": row.seed,
        "stage": row.stage or None,
        "state": row.state,
        "progress": job_state.progress or None,
        "dev_strict_f1": job_state.dev_f1,
        "seconds_left": row.left,
        "where": job_state.where or None,
        "note": job_state.note or None,
    }


def _sums(cells: Sequence[CellStatus]) -> Iterator[str]:
    counts = {state: sum(cell.state == state for cell in cells) for state in STRENGTH}
    others = [f"{counts[state]} {state}" for state in STRENGTH if state != "done" and counts[state]]
    yield ", ".join([f"{counts['done']} of {len(cells)} cells done", *others]) + "."
    why = {
        cell.dataset: row.job_state.note
        for cell in cells
        for row in cell.rows
        if row.state == "left out"
    }
    yield from (f"{_plain(dataset)} is left out: {_plain(note)}" for dataset, note in why.items())
    open_cells = [cell for cell in cells if cell.state not in ("done", "left out")]
    known = [cell.left for cell in open_cells if cell.left is not None]
    if known:
        of = f"{len(known)} of {len(open_cells)} cells that are not done"
        longest = f"the longest {duration(max(known))}; less where one stops early"
        yield (
            f"Time left, as far as known: {duration(sum(known))} one after the other, for {of},"
            f" {longest}."
        )
