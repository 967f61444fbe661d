"""The report folder: Tables I to V, costs and scores as CSV, and one self-contained page."""

import datetime
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

import polars as pl
from jinja2 import Environment, PackageLoader, select_autoescape

from bioner.errors import InputError
from bioner.files import atomic_text
from bioner.provenance import provenance
from bioner.reporting.kept import Kept, read_kept
from bioner.reporting.significance import significance_table
from bioner.reporting.tables import (
    alignment_table,
    conventions_table,
    corpora_table,
    cost_table,
    entities_table,
    instances_table,
    paper_scoring_table,
    relaxed_table,
    strict_table,
    subsets_table,
    time_table,
)
from bioner.tables import write_table

log = logging.getLogger(__name__)

TITLES = {
    "table1_instances": "Table I. Instances a split",
    "table2_test_entities": "Table II. Test entities by length as the paper counts; scored: as evaluators see them",
    "corpora": "Test sets: documents, tokens an instance, and what they share with train",
    "table3_strict": "Table III. Strict precision, recall and F1, overall and by entity length",
    "table4_inference_time": "Table IV. Inference seconds a sample",
    "table5_relaxed": "Table V. Relaxed precision, recall and F1",
    "alignment": "How outputs fitted the gold tokens; reachable recall is what no better tag could have raised",
    "conventions": "F1 of the same predictions under other conventions (docs/scores.md)",
    "subsets": "Recall of mentions seen in train, unseen and repeated; F1 on sentences that train does not have",
    "paper_scoring": "Tables III and V by the paper's own evaluator and length windows: for comparison only",
    "significance": "Differences between systems in strict F1 and recall, with 95 % intervals and p-values",
    "cost": "Cost of training",
}


FOUR_DIGITS = ("p", "p_holm", "gpu_hours", "search_gpu_hours", "energy_kwh")


def report(
    results: Path,
    data: Path,
    out: Path,
    datasets: Sequence[str] = (),
    models: Sequence[str] = (),
    notices: Mapping[str, str] | None = None,
    left_out: Mapping[str, str] | None = None,
    failed: Mapping[str, str] | None = None,
) -> dict[str, pl.DataFrame]:
    """Build every report from kept files; without names, of every cell found under `results`.

    `notices` say what scores on a corpus mean, for those that are in the report; `left_out`, why others are not;
    `failed`, which jobs failed, and where their logs are.
    """
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
    kept = read_kept(results, data, datasets, models)
    if kept.scores.is_empty():
        raise InputError(results, "no score file of these cells", "DATASET/MODEL/scores.csv", "Run the pipeline first.")
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
        "cost": cost_table(kept),
    }
    for name, table in {**tables, "scores": kept.scores}.items():
        write_table(out / f"{name}.csv", table)
    missing = missing_cells(kept, datasets, models)
    notes = [(corpus, note) for corpus, note in (notices or {}).items() if corpus in datasets]
    notes += (left_out or {}).items()
    for corpus, note in notes:
        log.info("report: %s: %s", corpus, note)
    with atomic_text(out / "report.html") as stream:
        stream.write(page(tables, missing, notes, failed or {}))
    return tables


def missing_cells(kept: Kept, datasets: Sequence[str], models: Sequence[str]) -> list[str]:
    """Cells asked for that have no scores."""
    there = set(kept.scores.select("dataset", "model").unique().iter_rows())
    return [f"{dataset} × {model}" for dataset in datasets for model in models if (dataset, model) not in there]


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
