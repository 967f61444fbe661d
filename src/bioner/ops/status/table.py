"""The status of a run as text: a table of cells, details, and sums."""

from collections.abc import Iterator, Sequence
from typing import Any

import polars as pl

from bioner.io.progress_bars import duration
from bioner.io.tables import Schema, as_markdown
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


def shown(cells: Sequence[CellStatus], material: Sequence[StatusRow]) -> str:
    """Return the status for a terminal: models by corpora, then details, then sums."""
    datasets = list(dict.fromkeys(cell.dataset for cell in cells))
    models = list(dict.fromkeys(cell.model for cell in cells))
    words = {(cell.dataset, cell.model): in_short(cell) for cell in cells}
    columns = {dataset: [words[dataset, model] for model in models] for dataset in datasets}
    parts = [as_markdown(pl.DataFrame({"model": models} | columns))]
    details = _details(status_table(cells, material))
    if len(details):
        parts.append(as_markdown(details))
    return "\n\n".join([*parts, "\n".join(_sums(cells))])


def in_short(cell: CellStatus) -> str:
    """Return a cell in a few words: `running 3/20 84.2 ~40 min, 1 of 3 seeds`.

    The stage is named unless it is training.
    """
    at = min(cell.rows, key=lambda row: STRENGTH.index(row.state))
    is_open = cell.state not in ("done", "left out")
    is_named = cell.state in ("running", "failed") and at.stage != "train"
    words = [
        cell.state,
        at.stage if is_named else "",
        at.job_state.progress if is_open else "",
        "" if cell.dev_f1 is None else f"{cell.dev_f1:.1f}",
        _about(cell.left) if is_open and cell.left is not None else "",
    ]
    seeds = [row.state for row in cell.rows if row.seed is not None]
    done = seeds.count("done")
    several = f", {done} of {len(seeds)} seeds" if 0 < done < len(seeds) else ""
    return " ".join(filter(None, words)) + several


def status_table(cells: Sequence[CellStatus], material: Sequence[StatusRow]) -> pl.DataFrame:
    """Return a line per row of the cells, and of what they wait for (`--csv`)."""
    rows = [_record(row) for row in (*material, *(row for cell in cells for row in cell.rows))]
    return pl.DataFrame(rows, schema=STATUS)


def _details(table: pl.DataFrame) -> pl.DataFrame:
    """Return the rows that are running, failed, or waiting with a note, as text."""
    has_note = (pl.col("state") == "waiting") & pl.col("note").is_not_null()
    told = table.filter(pl.col("state").is_in(["running", "failed"]) | has_note)
    return (
        told.sort(pl.col("state").cast(pl.Enum(STRENGTH)), maintain_order=True)
        .with_columns(
            pl.col("dev_strict_f1").map_elements("{:.2f}".format, pl.String),
            pl.col("seconds_left").map_elements(_about, pl.String),
        )
        .cast(pl.String)
        .fill_null("")
        .rename({"dev_strict_f1": "dev F1", "seconds_left": "time left", "note": "remarks"})
    )


def _about(seconds: float) -> str:
    return f"~{duration(seconds)}"


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
    yield from (f"{dataset} is left out: {' '.join(note.split())}" for dataset, note in why.items())
    open_cells = [cell for cell in cells if cell.state not in ("done", "left out")]
    known = [cell.left for cell in open_cells if cell.left is not None]
    if known:
        yield (
            f"Time left, as far as known: {duration(sum(known))} one after the other, for"
            f" {len(known)} of {len(open_cells)} cells that are not done, the longest"
            f" {duration(max(known))}; less where one stops early."
        )
