"""The report folder: Tables I to V, costs and scores as CSV, and one self-contained page."""

import datetime
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl
from jinja2 import Environment, PackageLoader, select_autoescape

from bioner.errors import InputError
from bioner.files import atomic_text
from bioner.provenance import provenance
from bioner.reporting.columns import TITLES, readme
from bioner.reporting.efficiency import cost_table, time_table
from bioner.reporting.kept import Told, read_kept
from bioner.reporting.significance import significance_table
from bioner.reporting.tables import (
    alignment_table,
    conventions_table,
    corpora_table,
    entities_table,
    instances_table,
    paper_scoring_table,
    relaxed_table,
    strict_table,
    subsets_table,
)
from bioner.tables import write_table

log = logging.getLogger(__name__)

FOUR_DIGITS = ("p", "p_holm", "gpu_hours", "search_gpu_hours", "energy_kwh")


def report(
    results: Path,
    data: Path,
    out: Path,
    datasets: Sequence[str] = (),
    models: Sequence[str] = (),
    notices: Mapping[str, str] | None = None,
    told: Told | None = None,
    prices: Mapping[str, Any] | None = None,
) -> dict[str, pl.DataFrame]:
    """Build every report from kept files; without names, of every cell found under `results`.

    What is broken, or belongs to other data or another configuration, is left out and named. `notices` say what scores
    on a corpus mean, for those that are in the report; `prices` are `gpu_hour`, `cpu_hour` and `currency`. Raises
    InputError where nothing is sound.
    """
    told = told or Told()
    for kept_folder in (results, data):
        if out.resolve().is_relative_to(kept_folder.resolve()):
            remedy = "Reports would overwrite what they are made from: choose another --out."
            raise InputError(out, f"a folder inside {kept_folder}", "one beside it", remedy)
    if not results.is_dir():
        raise InputError(results, "no such folder", "a results folder", "Run the pipeline first.")
    datasets = list(datasets) or sorted(path.name for path in results.iterdir() if path.is_dir())
    models = list(models) or sorted(
        {path.parent.name for dataset in datasets for path in (results / dataset).glob("*/scores.csv")}
    )
    if not data.is_dir():
        raise InputError(data, "no such folder", "a data folder with DATASET/stats.csv", "Check the path.")
    datasets, models = list(dict.fromkeys(datasets)), list(dict.fromkeys(models))
    kept = read_kept(results, data, datasets, models, told)
    lacking = kept.cells.filter(pl.col("state") != "done")
    if kept.scores.is_empty():
        first = next(lacking.filter(pl.col("state") != "not run").iter_rows(named=True), None)
        found = f"no sound cell; {first['dataset']} × {first['model']}: {first['reason']}" if first else "no score file"
        raise InputError(results, f"{found} of these cells", "DATASET/MODEL/scores.csv", "Run the pipeline first.")
    for dataset, model, state, reason, where in lacking.filter(pl.col("state") != "not run").iter_rows():
        log.warning("report: %s × %s %s: %s%s", dataset, model, state, reason, f" ({where})" if where else "")
    for fault in kept.faults:
        log.warning("report: left out: %s", fault)
    tables = {
        "table1_instances": instances_table(kept),
        "table2_test_entities": entities_table(kept),
        "corpora": corpora_table(kept),
        "table3_strict": strict_table(kept),
        "table4_inference_time": time_table(kept),
        "table5_relaxed": relaxed_table(kept),
        "alignment": alignment_table(kept),
        "conventions": conventions_table(kept),
        "subsets": subsets_table(kept),
        "paper_scoring": paper_scoring_table(kept),
        "significance": significance_table(kept.comparisons, kept.selection),
        "cost": cost_table(kept, prices or {}),
        "cells": kept.cells,
        "provenance": kept.origins,
    }
    for name, table in {**tables, "scores": kept.scores}.items():
        write_table(out / f"{name}.csv", table)
    with atomic_text(out / "README.md") as stream:
        stream.write(readme({**tables, "scores": kept.scores}))
    notes = [(corpus, note) for corpus, note in (notices or {}).items() if corpus in datasets]
    notes += told.left_out.items()
    for corpus, note in notes:
        log.info("report: %s: %s", corpus, note)
    notes += [("left out", fault) for fault in kept.faults]
    missing = [f"{dataset} × {model}" for dataset, model in lacking.select("dataset", "model").iter_rows()]
    with atomic_text(out / "report.html") as stream:
        stream.write(page(tables, missing, notes, told.failed))
    return tables


def page(
    tables: dict[str, pl.DataFrame],
    missing: Sequence[str],
    notes: Sequence[tuple[str, str]],
    failed: Mapping[str, str],
) -> str:
    """The page as one HTML text: no request leaves it, every value is escaped; columns without a value are left out."""
    environment = Environment(loader=PackageLoader("bioner.reporting"), autoescape=select_autoescape(default=True))
    shown = []
    for name, table in tables.items():
        filled = table.select(column for column in table if column.null_count() < len(table))
        columns = [(column.name.replace("_", " "), column.dtype.is_numeric()) for column in filled]
        rows = [[_cell(column, value) for column, value in row.items()] for row in filled.iter_rows(named=True)]
        shown.append((TITLES[name], f"{name}.csv", columns, rows))
    now = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC")
    template = environment.get_template("report.html.j2")
    return template.render(tables=shown, missing=missing, notes=notes, failed=failed, made=now, provenance=provenance())


def _cell(column: str, value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4f}" if column in FOUR_DIGITS or "seconds_per" in column else f"{value:.2f}"
    return f"{value:,}" if isinstance(value, int) and column != "seed" else str(value)


def summary(folder: Path) -> str:
    """Strict and relaxed scores of a report folder as a plain text table, for the end of a run."""
    key = ["dataset", "model", "decoding"]
    measures = ("precision", "recall", "f1")
    strict, relaxed = (_existing_table(folder / f"{name}.csv") for name in ("table3_strict", "table5_relaxed"))
    joined = (
        strict.filter(pl.col("length") == "all")
        .select(*key, *(pl.col(name).alias(f"strict {name}") for name in measures))
        .join(
            relaxed.select(*key, *(pl.col(name).alias(f"relaxed {name}") for name in measures)),
            on=key,
            how="left",
            maintain_order="left",
        )
    )
    with pl.Config(
        tbl_formatting="MARKDOWN",
        tbl_hide_dataframe_shape=True,
        tbl_hide_column_data_types=True,
        tbl_rows=-1,
        tbl_cols=-1,
        tbl_width_chars=200,
        float_precision=2,
        tbl_cell_numeric_alignment="RIGHT",
    ):
        return str(joined)


def _existing_table(path: Path) -> pl.DataFrame:
    try:
        table = pl.read_csv(path)
    except (OSError, pl.exceptions.PolarsError):
        table = pl.DataFrame()
    if not {"dataset", "model", "decoding", "f1"} <= set(table.columns):
        raise InputError(path, "no such table", "a report folder", "Run `bioner report` first.")
    return table
