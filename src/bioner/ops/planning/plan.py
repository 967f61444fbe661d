"""The plan of a run: jobs, hours, space and files as a table and totals, of what is still to be
done.
"""

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass

import polars as pl

from bioner.errors import InputError
from bioner.io.tables import Schema
from bioner.ops.planning.hours import Hours, gpus_of, hours_of, works
from bioner.ops.planning.jobs import RULES, Graph, PlannedJob, jobs_of, to_come
from bioner.ops.planning.sizes import Size
from bioner.ops.planning.space import Space, files_of, space_of
from bioner.settings.matrix import Matrix

PLAN: Schema = {
    "dataset": pl.String,
    "model": pl.String,
    "rule": pl.String,
    "jobs": pl.Int64,
    "done": pl.Int64,
    "not_stated": pl.Int64,
    "gpus": pl.Int64,
    "hours_expected": pl.Float64,
    "hours_at_most": pl.Float64,
    "gpu_hours_expected": pl.Float64,
    "gpu_hours_at_most": pl.Float64,
    "cpu_hours_expected": pl.Float64,
    "cpu_hours_at_most": pl.Float64,
}


@dataclass(frozen=True, slots=True)
class Range:
    """Hours as expected, and at most."""

    expected: float
    most: float

    def __truediv__(self, by: int) -> "Range":
        return Range(self.expected / by, self.most / by)


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run takes. Hours, space and files are of the jobs to come.

    `table` has a row a corpus, model and rule; `gpu_hours` are summed over GPUs, `cpu_hours` over
    the cores of jobs without one, `machine_hours` over these jobs; `wall` is what no schedule on so
    many `gpus` and `at_once` jobs can beat; `not_stated` names models whose hours are not in it,
    `devices` what the seconds behind the others are of.
    """

    table: pl.DataFrame
    gpu_hours: Range
    cpu_hours: Range
    machine_hours: Range
    wall: Range
    gpus: int
    at_once: int
    space: Space
    files: dict[str, int]
    not_stated: tuple[str, ...]
    devices: tuple[str, ...]


def plan(
    matrix: Matrix,
    sizes: Mapping[str, Size | None],
    there: Callable[[str], bool],
    gpus: int | None = None,
    at_once: int | None = None,
) -> Plan:
    """What a run on the corpora of `sizes` takes; `there` tells which paths under the output folder
    exist.

    Without numbers as many GPUs are busy at once as one job asks for, and as many jobs as GPUs, at
    least one. InputError where a job asks for more GPUs than there are.
    """
    graph = jobs_of(matrix, list(sizes))
    coming = to_come(graph, there)
    hours = {job: hours_of(matrix, job, sizes) for job in graph}
    most, model = max(((gpus_of(matrix, job), job.model) for job in coming), default=(0, ""))
    if gpus is not None and gpus < most:
        remedy = "Give more, or change its `resources`."
        raise InputError(
            "--gpus", str(gpus), f"at least {most}, which a job of {model} asks for", remedy
        )
    gpus = most if gpus is None else gpus
    at_once = max(gpus, 1) if at_once is None else at_once
    known = [found for job in coming if (found := hours[job])]
    gpu_hours = _summed(known, lambda one: one.gpus)
    busy = _summed(known, lambda one: 1) / at_once
    chain = _longest(graph, coming, hours)
    shared = gpu_hours / max(gpus, 1)
    return Plan(
        table=_table(matrix, graph, coming, hours),
        gpu_hours=gpu_hours,
        cpu_hours=_summed(known, lambda one: 0 if one.gpus else one.threads),
        machine_hours=_summed(known, lambda one: 0 if one.gpus else 1),
        wall=Range(
            max(busy.expected, chain.expected, shared.expected),
            max(busy.most, chain.most, shared.most),
        ),
        gpus=gpus,
        at_once=at_once,
        space=space_of(matrix, coming, sizes, gpus, at_once),
        files=files_of(matrix, coming),
        not_stated=tuple(sorted({job.model for job in coming if hours[job] is None})),
        devices=tuple(
            sorted(
                {
                    matrix.models[job.model]["cost_estimates"]["device"]
                    for job in coming
                    if works(matrix, job) and hours[job]
                }
            )
        ),
    )


def jobs_by_rule(table: pl.DataFrame) -> dict[str, int]:
    """Jobs to come by rule, in the order of the stages, as Snakemake's `Job stats` count them."""
    counts = table.group_by("rule").agg((pl.col("jobs") - pl.col("done")).sum())
    found = dict(counts.iter_rows())
    return {rule: found[rule] for rule in RULES if found.get(rule)}


def _table(
    matrix: Matrix,
    graph: Graph,
    coming: Collection[PlannedJob],
    hours: Mapping[PlannedJob, Hours | None],
) -> pl.DataFrame:
    """`plan.csv`: a row a corpus, model and rule; hours are empty where none of them is stated."""
    models, datasets = (["", *matrix.settings[key]] for key in ("models", "datasets"))
    models += sorted(
        {job.model for job in graph} - {*models}
    )  # members and drafts that the run does not name

    def place(job: PlannedJob) -> tuple[int, int, int]:
        return models.index(job.model), datasets.index(job.dataset), RULES.index(job.rule)

    groups: dict[tuple[str, str, str], list[PlannedJob]] = {}
    for job in sorted(graph, key=place):
        groups.setdefault((job.dataset, job.model, job.rule), []).append(job)
    rows = []
    for (dataset, model, rule), jobs in groups.items():
        left = [job for job in jobs if job in coming]
        known = [found for job in left if (found := hours[job])]
        row: dict[str, object] = {
            "dataset": dataset or None,
            "model": model or None,
            "rule": rule,
            "jobs": len(jobs),
            "done": len(jobs) - len(left),
            "not_stated": len(left) - len(known),
            "gpus": max(gpus_of(matrix, job) for job in jobs),
        }
        weights: dict[str, Callable[[Hours], int]] = {
            "hours": lambda one: 1,
            "gpu_hours": lambda one: one.gpus,
            "cpu_hours": lambda one: 0 if one.gpus else one.threads,
        }
        for name, weight in weights.items():
            total = _summed(known, weight)
            stated = bool(known) or not left
            row |= {f"{name}_expected": total.expected if stated else None}
            row |= {f"{name}_at_most": total.most if stated else None}
        rows.append(row)
    return pl.DataFrame(rows, schema=PLAN)


def _summed(known: Collection[Hours], weight: Callable[[Hours], int]) -> Range:
    return Range(
        sum(one.expected * weight(one) for one in known),
        sum(one.most * weight(one) for one in known),
    )


def _longest(
    graph: Graph, coming: Collection[PlannedJob], hours: Mapping[PlannedJob, Hours | None]
) -> Range:
    """The longest chain of jobs that wait for each other."""

    def ends(which: Callable[[Hours], float]) -> Iterator[float]:
        end: dict[PlannedJob, float] = {}
        for job, needs in graph.items():
            found = hours[job] if job in coming else None
            end[job] = max((end[other] for other in needs), default=0.0) + (
                which(found) if found else 0.0
            )
            yield end[job]

    return Range(max(ends(lambda one: one.expected)), max(ends(lambda one: one.most)))
