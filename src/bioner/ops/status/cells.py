"""The status of each corpus and model of a run: one row per seed, and the time left."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from bioner.ops.planning.jobs import PlannedJob, jobs_of
from bioner.ops.status.job_state import state_of
from bioner.ops.status.records import STRENGTH, CellStatus, JobState, RunContext, StatusRow


def cells_of(run: RunContext) -> list[CellStatus]:
    """Return all cells of a run, by corpus and model, with the time left where it is known."""
    datasets, models = run.matrix.settings.datasets, run.matrix.settings.models
    jobs: dict[tuple[str, str], list[PlannedJob]] = {}
    for job in jobs_of(run.matrix, run.matrix.corpora):
        jobs.setdefault((job.dataset, job.model), []).append(job)
    return _expected([_cell(run, jobs[dataset, model]) for dataset in datasets for model in models])


def material(run: RunContext) -> list[StatusRow]:
    """Return jobs of no cell that are running or failed: downloads, normalizations, drops."""
    rows = [
        StatusRow(
            job.dataset, job.model, None, f"{job.rule} {job.test}".rstrip(), state_of(run, job)
        )
        for job in jobs_of(run.matrix, run.matrix.corpora)
        if job.rule in ("fetch", "normalize", "download_model", "cross")
    ]
    return [row for row in rows if row.state in ("running", "failed")]


def _cell(run: RunContext, jobs: Sequence[PlannedJob]) -> CellStatus:
    dataset, model = jobs[0].dataset, jobs[0].model
    if why := run.absent(dataset):
        left_out = JobState("left out", note=why)
        return CellStatus(dataset, model, (StatusRow(dataset, model, None, "", left_out),))
    rows = [_row(run, jobs, seed) for seed in run.matrix.seeds(model)]
    if not all(row.state == "done" for row in rows):
        rows = [*_search_row(run, jobs), *rows]
    else:
        for job in jobs:
            # A cell is done when its scores are merged: timing that has not begun is ignored.
            ends = {"merge_scores": ("done",), "time": ("done", "waiting")}.get(job.rule)
            if ends and (job_state := state_of(run, job)).state not in ends:
                rows.append(StatusRow(dataset, model, None, job.rule, job_state))
    sentences = _sentences(
        run.out / "data" / dataset / "stats.csv", run.matrix.models[model].train.sentences
    )
    return CellStatus(dataset, model, tuple(rows), sentences)


def _row(run: RunContext, jobs: Sequence[PlannedJob], seed: int) -> StatusRow:
    """Return a seed with its current stage: one that is running or failed, else the next one."""
    steps: list[tuple[str, JobState]] = []
    trainings: list[JobState] = []
    for job in jobs:
        if job.seed != seed:
            continue
        stage, job_state = f"{job.rule} {job.folder}".rstrip(" /"), state_of(run, job)
        if job.rule == "train":
            trainings = [job_state]
        if not job.folder or job_state.state in ("running", "failed"):
            steps.append((stage, job_state))
    # The inputs of scores may be gone: Snakemake remakes them only if something needs them.
    is_scored = all(job_state.state == "done" for stage, job_state in steps if stage == "score")
    ahead = [
        step
        for step in steps
        if step[1].state == "running" or not (is_scored or step[1].state == "done")
    ]
    stage, job_state = min(ahead, key=lambda step: STRENGTH.index(step[1].state), default=steps[-1])
    if run.matrix.is_trained(jobs[0].model):
        trained = steps[0][1]
        job_state = replace(
            job_state, dev_f1=trained.dev_f1, took=trained.took, sentences=trained.sentences
        )
    not_begun = [one for one in trainings if one.state not in ("done", "running")] if ahead else []
    dataset, model = jobs[0].dataset, jobs[0].model
    return StatusRow(dataset, model, seed, stage, job_state, len(not_begun), job_state.left)


def _search_row(run: RunContext, jobs: Sequence[PlannedJob]) -> Iterator[StatusRow]:
    """Yield a row for the search that the seeds of a cell wait for, if there is one."""
    searches = [job for job in jobs if job.rule == "search"]
    if any(state_of(run, job).state != "done" for job in searches):
        trials = {job.trial: state_of(run, job) for job in jobs if job.rule == "trial"}
        found = _search(trials)
        not_begun = sum(one.state not in ("done", "running") for one in trials.values())
        dataset, model = jobs[0].dataset, jobs[0].model
        yield StatusRow(dataset, model, None, "search", found, not_begun, found.left)


def _search(trials: Mapping[str, JobState]) -> JobState:
    """Return one state for all trials: best F1, time left of those running, mean of time taken."""
    done = sum(job_state.state == "done" for job_state in trials.values())
    name, at = min(trials.items(), key=lambda item: STRENGTH.index(item[1].state))
    scores = [job_state.dev_f1 for job_state in trials.values() if job_state.dev_f1 is not None]
    left = [job_state.left for job_state in trials.values() if job_state.left is not None]
    took = [job_state.took for job_state in trials.values() if job_state.took is not None]
    told = f"{name} {at.progress}".strip() if at.state in ("running", "failed") else ""
    return JobState(
        "waiting" if at.state == "done" else at.state,  # the search itself is still to come
        f"{done}/{len(trials)} trials",
        max(scores, default=None),
        sum(left) if left else None,
        at.where,
        "; ".join(part for part in (told, at.note) if part),
        sum(took) / len(took) if took else None,
        next((job_state.sentences for job_state in trials.values() if job_state.sentences), None),
    )


def _sentences(statistics: Path, most: int | None) -> int | None:
    """Return the sentences a model trains on, at most `most`; None before normalization."""
    try:
        text = statistics.read_text(encoding="utf-8")
    except (OSError, ValueError):
        return None
    found = re.search(r"^[^\n]+,train,instances,all,(\d+)", text, flags=re.MULTILINE)
    return None if found is None else min(int(found[1]), most or int(found[1]))


def _expected(cells: Sequence[CellStatus]) -> list[CellStatus]:
    """Return the cells with the time of trainings that have not begun added.

    It is estimated from the mean seconds per sentence of the same model's other trainings.
    """
    paces: dict[str, list[float]] = {}
    for cell in cells:
        for row in cell.rows:
            if row.job_state.took is not None and (
                size := row.job_state.sentences or cell.sentences
            ):
                paces.setdefault(cell.model, []).append(row.job_state.took / size)
    expected = []
    for cell in cells:
        pace = paces.get(cell.model)
        if pace and cell.sentences:
            each = sum(pace) / len(pace) * cell.sentences
            rows = tuple(
                replace(row, left=(row.left or 0.0) + row.trainings * each)
                if row.trainings
                else row
                for row in cell.rows
            )
            cell = replace(cell, rows=rows)
        expected.append(cell)
    return expected
