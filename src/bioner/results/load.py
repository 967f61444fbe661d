"""Read the files that reports are made of; name what is broken or does not belong, and why."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import polars as pl

from bioner.comparison.compare import COMPARISON, read_comparisons
from bioner.comparison.corpora_mean import CORPORA_MEAN, read_corpora_mean
from bioner.comparison.cross import DROP
from bioner.corpora.statistics import STATISTICS, read_statistics
from bioner.errors import InputError
from bioner.inference.timing import TIMING, read_timing
from bioner.io.tables import Schema, read_table
from bioner.realignment.realign import ALIGNMENT
from bioner.results import layout
from bioner.results.cells import SOUND, CellOutcome, cells_table, failure_of, missing
from bioner.results.consistency import (
    buckets_of,
    checksums_of,
    find_mismatches,
    find_outdated,
    find_outdated_mean,
    read_records,
)
from bioner.results.crosses import find_pairs, read_cross
from bioner.results.provenance import PROVENANCE, read_provenance
from bioner.results.runs import CURVES, RUNS, TRIALS, read_runs, read_trials
from bioner.scoring.calibration import (
    BINNED,
    CALIBRATION,
    read_calibration,
    read_reliability,
)
from bioner.scoring.score import concat_scores, read_scores
from bioner.scoring.selection import SELECTION, read_selection
from bioner.scoring.table import SCORE_SCHEMA
from bioner.settings.catalogue import BEST, REPRODUCTION
from bioner.settings.config import MARGINS, Margins, Prices
from bioner.settings.dataset_entry import Agreement
from bioner.settings.model_entry import ModelEntry

ALIGNED: Schema = {
    "dataset": pl.String,
    "model": pl.String,
    "seed": pl.Int64,
    "decoding": pl.String,
    "sentences": pl.Int64,
    **dict.fromkeys(
        (
            *("gold_tokens", "output_tokens", "exact", "substituted", "dropped", "added"),
            *("illegal_tags", "orphan_tags", "truncated", "gold_entities", "reachable_entities"),
        ),
        pl.Int64,
    ),
}
SCHEMAS = {
    "scores": SCORE_SCHEMA,
    "statistics": STATISTICS,
    "timing": TIMING,
    "calibration": CALIBRATION,
    "reliability": BINNED,
    "runs": RUNS,
    "curves": CURVES,
    "trials": TRIALS,
    "comparisons": COMPARISON,
    "corpora_mean": CORPORA_MEAN,
    "selection": SELECTION,
    "alignments": ALIGNED,
    "provenance": PROVENANCE,
    "cross": DROP,
}


@dataclass(frozen=True, slots=True)
class Results:
    """Everything reports are made of, read from results and data folders.

    `cells` says which cells are in the other tables (results/cells). `faults` says why other files
    were left out, by kind, dataset and model (empty for files about a whole dataset).
    """

    scores: pl.DataFrame
    statistics: pl.DataFrame
    timing: pl.DataFrame
    calibration: pl.DataFrame
    reliability: pl.DataFrame
    runs: pl.DataFrame
    curves: pl.DataFrame
    trials: pl.DataFrame
    comparisons: pl.DataFrame
    corpora_mean: pl.DataFrame
    selection: pl.DataFrame
    alignments: pl.DataFrame
    provenance: pl.DataFrame
    cross: pl.DataFrame
    cells: pl.DataFrame
    faults: Mapping[tuple[str, str, str], str] = field(default_factory=dict)

    def fault(self, kind: str, dataset: str, model: str = "") -> str | None:
        """Return why a file was left out; None if it was not, or does not exist."""
        unsound = self.cells.filter(
            pl.col("state").is_in(["refused", "broken"]), dataset=dataset, model=model
        )
        return next(iter(unsound["reason"]), None) or self.faults.get((kind, dataset, model))


@dataclass(frozen=True, slots=True)
class ReportContext:
    """What a report needs to know besides its files.

    `left_out` has reasons by corpus, `failed` logs by job, `models` catalogue entries, `agreement`
    what is published by corpus, `published` the year of each corpus. Without the entry of a model,
    a cell of another configuration is only found if its seeds differ. `margins` are differences
    too small to matter, by measure. `cross` has the pairs of corpora trained on and tested on; None
    stands for those that are there.
    """

    left_out: Mapping[str, str] = field(default_factory=dict)
    failed: Mapping[str, str] = field(default_factory=dict)
    models: Mapping[str, ModelEntry] = field(default_factory=dict)
    prices: Prices = field(default_factory=Prices)
    margins: Margins = field(default_factory=lambda: dict(MARGINS))
    agreement: Mapping[str, Agreement] = field(default_factory=dict)
    cross: Sequence[tuple[str, str]] | None = None
    published: Mapping[str, int] = field(default_factory=dict)


Tables = dict[str, pl.DataFrame]


def load_results(
    results: Path,
    data: Path,
    datasets: Sequence[str],
    models: Sequence[str],
    context: ReportContext,
) -> Results:
    """Read the files of these cells, in this order, as far as they are sound."""
    found: dict[str, list[pl.DataFrame]] = {
        name: [pl.DataFrame(schema=schema)] for name, schema in SCHEMAS.items()
    }
    cells: list[CellOutcome] = []
    unread: dict[tuple[str, str, str], str] = {}
    buckets: tuple[str, tuple[str, ...]] | None = None  # the first cell and its length buckets

    def add(
        kind: str,
        path: Path,
        read: Callable[[Path], pl.DataFrame],
        models: Sequence[str],
        model: str = "",
    ) -> None:
        if path.is_file():
            try:
                found[kind].append(_of(dataset, models, path, read(path)))
            except InputError as error:
                unread[kind, dataset, model] = str(error)

    for dataset in datasets:
        checksums, sound = checksums_of(data / dataset), []
        for model in models:
            folder = results / dataset / model
            cell, tables = _cell(folder, dataset, model, checksums, context)
            if tables:
                mine = f"{dataset} × {model}", buckets_of(tables["scores"])
                buckets = buckets or mine
                if mine[1] != buckets[1]:
                    reason = (
                        f"scored in lengths {', '.join(mine[1])}, not {', '.join(buckets[1])} as"
                        f" {buckets[0]}"
                    )
                    cell, tables = CellOutcome(dataset, model, "refused", reason), {}
            cells.append(cell)
            for name, table in tables.items():
                found[name].append(table)
            if cell.state in SOUND:
                sound.append(model)
                add("timing", folder / layout.TIMING, read_timing, [model], model)
                calibrated = partial(_calibration, tables["scores"])
                add("calibration", folder / layout.CALIBRATION, calibrated, [model], model)
                if ("calibration", dataset, model) not in unread:
                    add(
                        "reliability", folder / layout.RELIABILITY, read_reliability, [model], model
                    )
        add("statistics", data / dataset / "stats.csv", read_statistics, sound)
        folder, scores = results / dataset, pl.concat(found["scores"]).filter(dataset=dataset)
        compared = partial(_comparisons, scores)
        add("comparisons", folder / layout.COMPARISONS, compared, sound)
        add("selection", folder / layout.SELECTION, read_selection, sound)
    scores, selection = pl.concat(found["scores"]), pl.concat(found["selection"])
    path = results / layout.CORPORA_MEAN
    if path.is_file() and len({*scores["dataset"]} - {REPRODUCTION}) > 1:
        try:
            found["corpora_mean"].append(_corpora_mean(path, scores, selection, models))
        except InputError as error:
            unread["corpora_mean", "", ""] = str(error)
    for train, test in find_pairs(results, datasets) if context.cross is None else context.cross:
        if {train, test} & set(context.left_out):
            continue
        try:
            table, faults = read_cross(results, data, (train, test), scores, models)
            found["cross"].append(table)
            unread |= {("cross", train, f"{test} {model}"): why for model, why in faults.items()}
        except InputError as error:
            unread["cross", train, test] = str(error)
    return Results(
        **{name: pl.concat(tables) for name, tables in found.items()},
        cells=cells_table(cells),
        faults=unread,
    )


def _cell(
    folder: Path, dataset: str, model: str, checksums: Mapping[str, str], context: ReportContext
) -> tuple[CellOutcome, Tables]:
    """Return the outcome of a cell, and its tables if they are sound."""
    path = folder / layout.SCORES
    if not path.is_file():
        return missing(dataset, model, context.left_out, context.failed), {}
    try:
        scores = _scores_of(dataset, model, path)
        runs = scores.select("seed", "decoding").unique().sort(pl.all()).rows()
        records = read_records(folder, runs)
        entry = context.models.get(model)
        trials = read_trials(folder, dataset, model, records, entry)
        winner = next(trials.iter_rows(named=True), None)
        if reasons := list(find_mismatches(folder, records, checksums, entry, winner)):
            return CellOutcome(dataset, model, "refused", "; ".join(reasons)), {}
        trained, curves = read_runs(folder, dataset, model, records)
        provenance = read_provenance(folder, dataset, model, records)
        alignments = pl.concat([pl.DataFrame(schema=ALIGNED), *_alignments(folder, scores)])
    except InputError as error:
        return CellOutcome(dataset, model, "broken", str(error)), {}
    failure = failure_of(dataset, model, context.failed)
    outcome = CellOutcome(dataset, model, "incomplete" if failure else "done", *(failure or ()))
    return outcome, {
        "scores": scores,
        "runs": trained,
        "curves": curves,
        "trials": trials,
        "alignments": alignments,
        "provenance": provenance,
    }


def _comparisons(scores: pl.DataFrame, path: Path) -> pl.DataFrame:
    """Read comparisons, which must be of the scored predictions."""
    table = read_comparisons(path)
    if found := find_outdated(table, scores):
        raise InputError(
            path,
            found,
            "comparisons of what is scored now",
            "Compare again with `bioner compare-all`.",
        )
    return table


def _calibration(scores: pl.DataFrame, path: Path) -> pl.DataFrame:
    """Read the calibration of a cell, which must be of the scored predictions."""
    table = read_calibration(path)
    strict = scores.filter(scorer="semeval", scheme="strict", stratum="all", label="all").select(
        "seed", "decoding", scored="correct", scored_of="actual"
    )
    counted = table.filter(pl.col("correct").is_not_null())
    both = counted.join(strict, on=["seed", "decoding"], how="left", nulls_equal=True)
    same = (pl.col("correct") == pl.col("scored")) & (
        pl.col("predicted_entities") == pl.col("scored_of")
    )
    for row in both.filter(same.fill_null(False).not_()).iter_rows(named=True):
        raise InputError(
            path,
            f"{row['correct']} of {row['predicted_entities']} predicted entities right, seed"
            f" {row['seed']}",
            "what is scored now",
            "Calibrate again with `bioner calibrate`.",
        )
    return table


def _corpora_mean(
    path: Path, scores: pl.DataFrame, selection: pl.DataFrame, models: Sequence[str]
) -> pl.DataFrame:
    """Read the mean differences between these models, which must be of the scored predictions."""
    datasets = set(scores["dataset"]) - {REPRODUCTION}
    chosen = selection.filter("chosen", pl.col("dataset").is_in(datasets))
    known = [*models, *(BEST if len(chosen) == len(BEST) * len(datasets) else ())]
    sides = (pl.col(f"{side}model").is_in(known) for side in ("", "baseline_"))
    table = read_corpora_mean(path).filter(*sides)
    if found := find_outdated_mean(table, scores, selection):
        remedy = "Average again with `bioner compare-corpora`."
        raise InputError(path, found, "means of what is scored now", remedy)
    return table


def _scores_of(dataset: str, model: str, path: Path) -> pl.DataFrame:
    """Read the scores of a cell, which must hold nothing else and a strict F1 of every run."""
    table = concat_scores([read_scores(path)])
    for found in set(table.select("dataset", "model").iter_rows()) - {(dataset, model)}:
        remedy = "Score the cell again, with --dataset and --model."
        raise InputError(
            path, f"scores of {found[0]} by {found[1]}", f"{dataset} by {model}", remedy
        )
    strict = table.filter(scorer="semeval", scheme="strict", stratum="all", label="all")
    lacking = table.join(strict, on=["seed", "decoding"], how="anti", nulls_equal=True)
    for seed, decoding in lacking.select("seed", "decoding").iter_rows():
        remedy = "The file was cut short, perhaps: score the cell again."
        raise InputError(
            path, f"no strict F1 of seed {seed}, {decoding}", "every score of every run", remedy
        )
    return table


def _alignments(cell: Path, scores: pl.DataFrame) -> Iterator[pl.DataFrame]:
    """Yield one row per scored prediction file that was realigned."""
    runs = scores.select("dataset", "model", "seed", "decoding").unique(maintain_order=True)
    for run in runs.iter_rows(named=True):
        path = cell / f"seed{run['seed']}" / run["decoding"] / layout.ALIGNMENT
        if path.is_file():
            names = [name for name in ALIGNED if name in ALIGNMENT]
            lines = read_table(path, ALIGNMENT, ["id"])
            sums = lines.select(pl.len().alias("sentences"), pl.col(names).sum())
            yield pl.DataFrame([run | sums.row(0, named=True)], schema=ALIGNED)


def _of(dataset: str, models: Sequence[str], path: Path, table: pl.DataFrame) -> pl.DataFrame:
    """Check that a table is about this dataset, and return its rows about these models."""
    for found in set(table["dataset"]) - {dataset}:
        raise InputError(
            path,
            f"rows of {found}",
            f"of {dataset} alone",
            "Remake it with --dataset, or move it.",
        )
    columns = [name for name in ("model", "baseline_model") if name in table.columns]
    return table.filter(*(pl.col(name).is_in(models) for name in columns))
