"""The report folder: every table as CSV, a README of their columns, and one self-contained page."""

import datetime
import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path

import polars as pl

from bioner.comparison.corpora_mean import PRIMARY
from bioner.errors import InputError
from bioner.io.files import atomic_text
from bioner.io.run_record import provenance
from bioner.io.tables import write_table
from bioner.reporting.calibration import calibration_table
from bioner.reporting.caveats import note_known_mentions, note_merging, note_possible_readers
from bioner.reporting.columns import readme
from bioner.reporting.conclusions import write_conclusions
from bioner.reporting.corpora_mean import corpora_mean_table
from bioner.reporting.efficiency import cost_table, time_table
from bioner.reporting.error_analysis import ErrorReport, headline_systems, read_disagreements
from bioner.reporting.page import Content, PageFigure, page
from bioner.reporting.prices import price_table
from bioner.reporting.searches import note_on_selection, searches_table
from bioner.reporting.significance import CLAIMS, IS_OVERALL, significance_table, stability_table
from bioner.reporting.tables import (
    CONTROLS,
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
from bioner.results.load import ReportContext, Results, Tables, load_results

log = logging.getLogger(__name__)


def report(
    results: Path,
    data: Path,
    out: Path,
    datasets: Sequence[str] = (),
    models: Sequence[str] = (),
    notices: Mapping[str, str] | None = None,
    context: ReportContext | None = None,
    may_show: Callable[[str], bool] = lambda dataset: False,
) -> Tables:
    """Build every report; without names, of every cell found under `results`.

    Files that are broken, or belong to other data or another configuration, are left out and named.

    Args:
        notices: How to read the scores on a corpus, by corpus; others are ignored.
        may_show: Whether the page may hold sentences of a dataset.

    Returns:
        The tables by the names of their files.

    Raises:
        InputError: No cell is sound.
    """
    context = context or ReportContext()
    _check_folders(results, data, out)
    datasets = list(dict.fromkeys(datasets)) or sorted(
        path.name for path in results.iterdir() if path.is_dir()
    )
    models = list(dict.fromkeys(models)) or sorted(
        {
            path.parent.name
            for dataset in datasets
            for path in (results / dataset).glob("*/scores.csv")
        }
    )
    loaded = load_results(results, data, datasets, models, context)
    lacking = loaded.cells.filter(pl.col("state") != "done")
    _tell(results, loaded, lacking)
    systems = headline_systems(loaded.scores)
    examined = read_disagreements(results, data, systems, may_show, loaded.scores)
    tables = _tables(loaded, context, examined)
    notes = [(corpus, note) for corpus, note in (notices or {}).items() if corpus in datasets]
    notes += context.left_out.items()
    notes += note_possible_readers(tables["corpora"])
    if luck := note_on_selection(loaded.selection):
        notes.append(("chosen on dev", luck))
    for corpus, note in notes:
        log.info("report: %s: %s", corpus, note)
    for corpus, note in (*note_known_mentions(tables["corpora"]), *note_merging(loaded.runs)):
        log.warning("report: %s: %s", corpus, note)
        notes.append((corpus, note))
    content = Content(
        tables=shown_on_page(tables),
        missing=_grouped(lacking),
        notes=[*notes, *(("left out", fault) for fault in loaded.faults.values())],
        failed=context.failed,
        provenance=provenance(),
        made=datetime.datetime.now(datetime.UTC),
        answers=write_conclusions(
            [name for name in datasets if name in set(loaded.scores["dataset"])],
            tables,
            _controls(context),
        ),
        figures=_figures(loaded, tables, context),
        disagreements=examined,
    )
    for name, table in tables.items():
        write_table(out / f"{name}.csv", table)
    if "cross" not in tables:
        (out / "cross.csv").unlink(missing_ok=True)  # of another configuration
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
        raise InputError(
            data, "no such folder", "a data folder with DATASET/stats.csv", "Check the path."
        )


def _tell(folder: Path, results: Results, lacking: pl.DataFrame) -> None:
    """Warn about what is left out; raise InputError if nothing remains."""
    # Absent corpora are logged once each, with the notes.
    unsound = lacking.filter(~pl.col("state").is_in(["not run", "absent"]))
    if results.scores.is_empty():
        first = next(unsound.iter_rows(named=True), None)
        found = (
            f"no sound cell; {first['dataset']} × {first['model']}: {first['reason']}"
            if first
            else "no score file"
        )
        raise InputError(
            folder, f"{found} of these cells", "DATASET/MODEL/scores.csv", "Run the pipeline first."
        )
    for dataset, model, state, reason, where in unsound.iter_rows():
        log.warning(
            "report: %s × %s %s: %s%s",
            dataset,
            model,
            state,
            reason,
            f" ({where})" if where else "",
        )
    for fault in results.faults.values():
        log.warning("report: left out: %s", fault)


def _tables(results: Results, context: ReportContext, examined: ErrorReport) -> Tables:
    compared = results.comparisons, results.selection, context.margins
    return {
        "table1_instances": instances_table(results),
        "table2_test_entities": entities_table(results),
        "corpora": corpora_table(results, context),
        "table3_strict": strict_table(results),
        "table4_inference_time": time_table(results),
        "table5_relaxed": relaxed_table(results),
        "price": price_table(results),
        "alignment": alignment_table(results),
        "conventions": conventions_table(results),
        "subsets": subsets_table(results),
        "calibration": calibration_table(results),
        "paper_scoring": paper_scoring_table(results),
        "significance": significance_table(*compared),
        "corpora_mean": corpora_mean_table(results.corpora_mean, context.margins),
        "stability": stability_table(*compared),
        **({"cross": results.cross} if context.cross or len(results.cross) else {}),
        "errors": examined.counts,
        "search": searches_table(results.trials),
        "cost": cost_table(results, context.prices),
        "cells": results.cells,
        "provenance": results.provenance,
        "scores": results.scores,
    }


def _controls(context: ReportContext) -> Collection[str]:
    """Return the names of the controls, by the catalogue if it is known."""
    known = [name for name, entry in context.models.items() if entry.family == "control"]
    return known or CONTROLS


def _grouped(lacking: pl.DataFrame) -> pl.DataFrame:
    """Join the cells of one dataset that have the same reason."""
    together = lacking.group_by("dataset", "state", "reason", "log", maintain_order=True)
    return together.agg(pl.col("model").str.join(", ")).select(lacking.columns)


def shown_on_page(tables: Tables) -> Tables:
    """Return the tables of the page, without what only the CSVs have: cells, single scores, …"""
    how_judged = "equivalence_level|standard_error|df.*|variance_.*|cluster.*|gold_entities"
    only_in_csv = {
        "significance": f"^({how_judged})$",
        "corpora_mean": f"^({how_judged})$",
        "conventions": "^.*_(low|high)$",
        "cross": "^(home_)?(precision|recall|f1_ci_low|f1_ci_high|relaxed_f1|seeds)$|^clusters$",
    }
    shown = {
        name: table.select(pl.exclude(only_in_csv.get(name, "^$")))
        for name, table in tables.items()
        if name not in ("scores", "cells")
        and (name not in ("search", "corpora_mean") or len(table))
    }
    if "significance" in shown:
        claims = pl.col("family").is_in(CLAIMS)
        rest = IS_OVERALL & (pl.col("measure") == "f1")
        shown["significance"] = shown["significance"].filter(claims | rest)
    if "corpora_mean" in shown:
        claims = (pl.col("family") == PRIMARY) | (pl.col("measure") == "f1")
        shown["corpora_mean"] = shown["corpora_mean"].filter(claims)
    if "cross" in shown:  # `all` repeats the row of a single type
        types = pl.col("label").n_unique().over("train", "test") - 1
        shown["cross"] = shown["cross"].filter((types > 1) | (pl.col("label") != "all"))
    return shown


def _figures(results: Results, tables: Tables, context: ReportContext) -> Sequence[PageFigure]:
    from bioner.reporting.figures import figures  # matplotlib takes a second to load

    families = {name: entry.family for name, entry in context.models.items()}
    families |= dict(results.timing.select("model", "family").iter_rows())
    return figures(
        tables["table3_strict"],
        tables["paper_scoring"],
        tables["table4_inference_time"],
        tables["significance"],
        results.curves,
        results.reliability,
        families,
    )
