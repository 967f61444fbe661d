"""The report folder: every table as CSV, a README of their columns, and one self-contained page."""

import datetime
import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from bioner.errors import InputError
from bioner.files import atomic_text
from bioner.provenance import provenance
from bioner.reporting.answers import answers
from bioner.reporting.columns import TITLES, readme
from bioner.reporting.confidences import read_confidences
from bioner.reporting.efficiency import cost_table, time_table
from bioner.reporting.kept import Kept, Told, read_kept
from bioner.reporting.page import Content, page
from bioner.reporting.predicted import Examined, headline_systems, length_cuts, read_disagreements
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

Tables = dict[str, pl.DataFrame]


def report(
    results: Path,
    data: Path,
    out: Path,
    datasets: Sequence[str] = (),
    models: Sequence[str] = (),
    notices: Mapping[str, str] | None = None,
    told: Told | None = None,
    prices: Mapping[str, Any] | None = None,
    may_show: Callable[[str], bool] = lambda dataset: False,
) -> Tables:
    """Build every report from kept files; without names, of every cell found under `results`.

    What is broken, or belongs to other data or another configuration, is left out and named. `notices` say what scores
    on a corpus mean, for those that are in the report; `prices` are `gpu_hour`, `cpu_hour` and `currency`; `may_show`
    says of which datasets the page may hold sentences. Raises InputError where nothing is sound.
    """
    told = told or Told()
    _check_folders(results, data, out)
    datasets = list(dict.fromkeys(datasets)) or sorted(path.name for path in results.iterdir() if path.is_dir())
    models = list(dict.fromkeys(models)) or sorted(
        {path.parent.name for dataset in datasets for path in (results / dataset).glob("*/scores.csv")}
    )
    kept = read_kept(results, data, datasets, models, told)
    lacking = kept.cells.filter(pl.col("state") != "done")
    _tell(results, kept, lacking)
    systems = headline_systems(kept.scores)
    examined = read_disagreements(results, data, systems, may_show, length_cuts(kept.scores), kept.scores)
    tables = _tables(kept, prices or {}, examined)
    notes = [(corpus, note) for corpus, note in (notices or {}).items() if corpus in datasets]
    notes += told.left_out.items()
    for corpus, note in notes:
        log.info("report: %s: %s", corpus, note)
    content = Content(
        tables=_shown(tables),
        titles=TITLES,
        missing=_grouped(lacking),
        notes=[*notes, *(("left out", fault) for fault in kept.faults)],
        failed=told.failed,
        provenance=provenance(),
        made=datetime.datetime.now(datetime.UTC),
        answers=[(answer.about, answer.sentences) for answer in _answers(datasets, tables)],
        figures=_figures(kept, tables, told, read_confidences(results, data, systems)),
        disagreements=examined,
    )
    for name, table in tables.items():
        write_table(out / f"{name}.csv", table)
    for name, text in (("README.md", readme(tables)), ("report.html", page(content))):
        with atomic_text(out / name) as stream:
            stream.write(text)
    return tables


def _check_folders(results: Path, data: Path, out: Path) -> None:
    for kept_folder in (results, data):
        if out.resolve().is_relative_to(kept_folder.resolve()):
            remedy = "Reports would overwrite what they are made from: choose another --out."
            raise InputError(out, f"a folder inside {kept_folder}", "one beside it", remedy)
    if not results.is_dir():
        raise InputError(results, "no such folder", "a results folder", "Run the pipeline first.")
    if not data.is_dir():
        raise InputError(data, "no such folder", "a data folder with DATASET/stats.csv", "Check the path.")


def _tell(results: Path, kept: Kept, lacking: pl.DataFrame) -> None:
    """Warn of what is left out; InputError where nothing is left."""
    unsound = lacking.filter(~pl.col("state").is_in(["not run", "absent"]))  # corpora have been told, each once
    if kept.scores.is_empty():
        first = next(unsound.iter_rows(named=True), None)
        found = f"no sound cell; {first['dataset']} × {first['model']}: {first['reason']}" if first else "no score file"
        raise InputError(results, f"{found} of these cells", "DATASET/MODEL/scores.csv", "Run the pipeline first.")
    for dataset, model, state, reason, where in unsound.iter_rows():
        log.warning("report: %s × %s %s: %s%s", dataset, model, state, reason, f" ({where})" if where else "")
    for fault in kept.faults:
        log.warning("report: left out: %s", fault)


def _tables(kept: Kept, prices: Mapping[str, Any], examined: Examined) -> Tables:
    return {
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
        "errors": examined.counts,
        "cost": cost_table(kept, prices),
        "cells": kept.cells,
        "provenance": kept.origins,
        "scores": kept.scores,
    }


def _grouped(lacking: pl.DataFrame) -> pl.DataFrame:
    """Cells of one dataset with one reason as one."""
    together = lacking.group_by("dataset", "state", "reason", "log", maintain_order=True)
    return together.agg(pl.col("model").str.join(", ")).select(lacking.columns)


def _shown(tables: Tables) -> Tables:
    """What the page shows: its own parts tell of cells, every score is too much, and so are forty columns."""
    narrow = tables["conventions"].select(pl.exclude("^.*_(low|high)$"))
    return {name: table for name, table in tables.items() if name not in ("scores", "cells")} | {"conventions": narrow}


def _answers(datasets: Sequence[str], tables: Tables) -> Sequence[Any]:
    there = set(tables["scores"]["dataset"])
    names = [name for name in datasets if name in there]
    return answers(names, tables["significance"], tables["table3_strict"], tables["table4_inference_time"])


def _figures(kept: Kept, tables: Tables, told: Told, bins: pl.DataFrame) -> Sequence[Any]:
    from bioner.reporting.figures import figures  # matplotlib takes a second to load

    families = {name: expected.settings["family"] for name, expected in told.expected.items()}
    families |= dict(kept.timing.select("model", "family").iter_rows())
    return figures(
        tables["table3_strict"],
        tables["table5_relaxed"],
        tables["table4_inference_time"],
        tables["significance"],
        kept.curves,
        bins,
        families,
    )
