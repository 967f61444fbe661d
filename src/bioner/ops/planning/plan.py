"""The plan of a run: jobs, hours, space and files of what is still to be done."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import polars as pl

from bioner.errors import InputError
from bioner.io.tables import Schema
from bioner.ops.planning.hours import Hours, Measurements, gpus_of, hours_of, works
from bioner.ops.planning.jobs import OUTPUTS, PlannedJob, jobs_of, to_come
from bioner.ops.planning.sizes import Size
from bioner.ops.planning.space import Space, files_of, space_of
from bioner.settings.matrix import Matrix

BOUNDS = {"low": "low", "expected": "expected", "high": "high", "at_most": "most"}  # of Hours
PLAN: Schema = {
    "dataset": pl.String,
    "model": pl.String,
    "rule": pl.String,
    "jobs": pl.Int64,
    "done": pl.Int64,
    "not_stated": pl.Int64,
    "gpus": pl.Int64,
    "basis": pl.String,
    **{
        f"{measure}_{bound}": pl.Float64
        for measure in ("hours", "gpu_hours", "cpu_hours")
        for bound in BOUNDS
    },
}
GROUP = ("dataset", "model", "rule")
HOURS = [name for name, kind in PLAN.items() if kind == pl.Float64]
# Rules that wait for each other, within one corpus and model.
CHAINS = (
    ("trial", "search", "train", "predict", "realign", "score", "merge_scores"),
    ("trial", "search", "train", "time"),
)


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run takes: hours, space and files of the jobs to come.

    Attributes:
        table: A row per corpus, model and rule (`plan.csv`).
        gpu_hours: Summed over GPUs.
        cpu_hours: Of jobs without a GPU, summed over cores.
        machine_hours: Of jobs without a GPU, not multiplied by their cores.
        wall: A lower bound with so many GPUs and jobs `at_once`.
        not_stated: Models whose hours are not known.
        devices: The devices that the stated hours refer to.
        measured_by: The number of finished runs that hours are scaled from, by model.
    """

    table: pl.DataFrame
    gpu_hours: Hours
    cpu_hours: Hours
    machine_hours: Hours
    wall: Hours
    gpus: int
    at_once: int
    space: Space
    files: dict[str, int]
    not_stated: tuple[str, ...]
    devices: tuple[str, ...]
    measured_by: Mapping[str, int]


def plan(
    matrix: Matrix,
    sizes: Mapping[str, Size | None],
    there: Callable[[str], bool],
    gpus: int | None = None,
    at_once: int | None = None,
    measured: Measurements = MappingProxyType({}),
) -> Plan:
    """Return what a run on the corpora of `sizes` takes.

    Args:
        matrix: What to run.
        sizes: The size of each corpus; None if it is unknown.
        there: Whether a path under the output folder exists.
        gpus: GPUs that are busy at once; by default as many as one job asks for.
        at_once: Jobs that run at once; by default one per GPU, and at least one.
        measured: Measurements of finished runs, by model.

    Raises:
        InputError: A job asks for more GPUs than there are.
    """
    jobs = jobs_of(matrix, list(sizes))
    coming = to_come(jobs, there)
    hours = {job: hours_of(matrix, job, sizes, measured) for job in coming}
    most, model = max(((gpus_of(matrix, job), job.model) for job in coming), default=(0, ""))
    if gpus is not None and gpus < most:
        remedy = "Give more, or change its `resources`."
        raise InputError(
            "--gpus", str(gpus), f"at least {most}, which a job of {model} asks for", remedy
        )
    gpus = most if gpus is None else gpus
    at_once = max(gpus, 1) if at_once is None else at_once
    rows = pl.DataFrame([_row(matrix, job, hours) for job in jobs], schema=PLAN)
    devices = set()
    measured_by: dict[str, set[Path]] = {}
    for job, known in hours.items():
        if known and known.measured_by:
            measured_by.setdefault(job.model, set()).update(known.measured_by)
        elif known and works(matrix, job) and (costs := matrix.models[job.model].cost_estimates):
            devices.add(costs.device)
    return Plan(
        table=_table(rows),
        gpu_hours=_sum_of(rows, "gpu_hours"),
        cpu_hours=_sum_of(rows, "cpu_hours"),
        machine_hours=_sum_of(rows.filter(gpus=0), "hours"),
        wall=_wall_time(rows, gpus, at_once),
        gpus=gpus,
        at_once=at_once,
        space=space_of(matrix, coming, sizes, gpus, at_once),
        files=files_of(matrix, coming),
        not_stated=tuple(sorted({job.model for job in coming if hours[job] is None})),
        devices=tuple(sorted(devices)),
        measured_by={model: len(paths) for model, paths in measured_by.items()},
    )


def jobs_by_rule(table: pl.DataFrame) -> dict[str, int]:
    """Return the number of jobs to come by rule, in the order of the stages."""
    counts = table.group_by("rule").agg((pl.col("jobs") - pl.col("done")).sum())
    found = dict(counts.iter_rows())
    return {rule: found[rule] for rule in OUTPUTS if found.get(rule)}


def _row(
    matrix: Matrix, job: PlannedJob, hours: Mapping[PlannedJob, Hours | None]
) -> dict[str, object]:
    """Return a row for one job; hours are null if it is done or does not state them."""
    found = hours.get(job)
    gpus = gpus_of(matrix, job)
    row: dict[str, object] = {
        "dataset": job.dataset or None,
        "model": job.model or None,
        "rule": job.rule,
        "jobs": 1,
        "done": int(job not in hours),
        "not_stated": int(job in hours and found is None),
        "gpus": gpus,
    }
    if found:
        if works(matrix, job):
            row["basis"] = "measured" if found.measured_by else "estimated"
        threads = matrix.models[job.model].resources.threads if works(matrix, job) else 1
        cores = 0 if gpus else threads
        for name, weight in (("hours", 1), ("gpu_hours", gpus), ("cpu_hours", cores)):
            for bound, attribute in BOUNDS.items():
                row[f"{name}_{bound}"] = getattr(found, attribute) * weight
    return row


def _table(rows: pl.DataFrame) -> pl.DataFrame:
    """Return `plan.csv`: hours are null if no job of a row states them."""
    table = rows.group_by(*GROUP, maintain_order=True).agg(
        pl.col("jobs", "done", "not_stated").sum(),
        pl.col("gpus").max(),
        pl.col("basis").min(),  # estimated, if any of its jobs is
        pl.col(*HOURS).sum(),
    )
    to_come = pl.col("jobs") - pl.col("done")
    is_known = (pl.col("not_stated") < to_come) | (to_come == 0)
    return table.with_columns(pl.when(is_known).then(pl.col(*HOURS)))


def _wall_time(rows: pl.DataFrame, gpus: int, at_once: int) -> Hours:
    """Return the largest of three bounds: jobs at once, GPUs, and the stages of one cell."""
    longest = rows.group_by(*GROUP).agg(pl.col(*HOURS).max())
    chains = [longest.filter(pl.col("rule").is_in(stages)) for stages in CHAINS]
    cells = pl.concat(
        chain.group_by("dataset", "model").agg(pl.col(*HOURS).sum()) for chain in chains
    )
    total, longest_cell = (frame.row(0, named=True) for frame in (rows.sum(), cells.max()))
    return Hours(
        *(
            max(
                total[f"hours_{which}"] / at_once,
                total[f"gpu_hours_{which}"] / max(gpus, 1),
                longest_cell[f"hours_{which}"] or 0.0,
            )
            for which in BOUNDS
        )
    )


def _sum_of(rows: pl.DataFrame, measure: str) -> Hours:
    total = rows.sum().row(0, named=True)
    return Hours(*(total[f"{measure}_{which}"] for which in BOUNDS))
