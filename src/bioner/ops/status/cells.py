"""The matrix of a run: a cell for each corpus and model, in it a row for each seed, and how long it
takes yet.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from bioner.ops.status.job_state import JobState, prediction, product, training, without_output
from bioner.ops.status.records import STRENGTH, CellStatus, RunContext, StatusRow
from bioner.results import layout
from bioner.settings.catalogue import trials_of

Step = tuple[str, JobState]  # a stage, and what it left


def cells_of(run: RunContext) -> list[CellStatus]:
    """All cells of a run, by corpus and then by model, with what is known of the time left."""
    cells = [
        _cell(run, dataset, model)
        for dataset in run.matrix.settings["datasets"]
        for model in run.matrix.settings["models"]
    ]
    return _expected(cells)


def material(run: RunContext) -> list[StatusRow]:
    """What cells wait for and is running or failed: corpora that are fetched and normalized, models
    from the hub.
    """
    rows = []
    for dataset in run.matrix.settings["datasets"]:
        data = run.out / "data" / dataset
        for stage, output in (("fetch", data / "raw.json"), ("normalize", data / "train.jsonl")):
            rows.append(
                StatusRow(
                    dataset, "", None, stage, product(output, run.log(stage, dataset), run.moment)
                )
            )
    for model in run.matrix.settings["models"]:
        snapshot = run.out / "models" / f"{model}.json"
        rows.append(
            StatusRow(
                "",
                model,
                None,
                "download_model",
                product(snapshot, run.log("download_model", model), run.moment),
            )
        )
    return [row for row in rows if row.state in ("running", "failed")]


def _cell(run: RunContext, dataset: str, model: str) -> CellStatus:
    if why := run.absent(dataset):
        return CellStatus(
            dataset, model, (StatusRow(dataset, model, None, "", JobState("left out", note=why)),)
        )
    seeds = run.matrix.seeds(model)
    rows = [_row(run, dataset, model, seed, seed == seeds[0]) for seed in seeds]
    if all(row.state == "done" for row in rows):
        gathered = product(
            run.result(layout.cell_path(layout.SCORES, dataset, model)),
            run.log("merge_scores", dataset, model),
            run.moment,
        )
        if gathered.state != "done":
            rows.append(StatusRow(dataset, model, None, "merge_scores", gathered))
        elif (
            run.matrix.is_trained(model)
            and not run.result(layout.cell_path(layout.TIMING, dataset, model)).is_file()
        ):
            timed = without_output(run.log("time", dataset, model), run.moment)
            if timed.state != "waiting":  # a cell is done when it is scored
                rows.append(StatusRow(dataset, model, None, "time", timed))
    sentences = _sentences(
        run.out / "data" / dataset / "stats.csv", run.matrix.models[model]["train"]["sentences"]
    )
    return CellStatus(dataset, model, tuple(rows), sentences)


def _row(run: RunContext, dataset: str, model: str, seed: int, first: bool) -> StatusRow:
    """A seed at the first of its stages that is running, else at the first that is not done."""
    steps, trainings = _training_steps(run, dataset, model, seed, first)
    trained = steps[0][1] if steps else JobState("done")
    for decoding in run.matrix.decodings(model):
        steps += _scoring_steps(run, dataset, model, seed, decoding)
    if busy := [step for step in steps if step[1].state == "running"]:
        stage, job_state = busy[0]
    elif all(job_state.state == "done" for stage, job_state in steps if stage == "score"):
        # What scores were made of may be gone: Snakemake makes it again only where something asks
        # for it.
        (stage, job_state), trainings = steps[-1], 0
    else:
        stage, job_state = next(step for step in steps if step[1].state != "done")
    whole = replace(
        job_state, dev_f1=trained.dev_f1, took=trained.took, sentences=trained.sentences
    )
    return StatusRow(dataset, model, seed, stage, whole, trainings, job_state.left)


def _training_steps(
    run: RunContext, dataset: str, model: str, seed: int, first: bool
) -> tuple[list[Step], int]:
    """Training, or the search before it, as a step; and how many trainings have not begun."""
    if not run.matrix.is_trained(model):
        return [], 0
    record = run.result(layout.seed_path(layout.RECORD, dataset, model, seed))
    trials = trials_of(run.matrix.models[model]) if run.matrix.is_searched(model) and first else {}
    if not trials or record.is_file():
        job_state = training(
            record.parent, run.log("train", dataset, model, f"seed{seed}"), run.moment
        )
        return [("train", job_state)], int(job_state.state not in ("done", "running"))
    job_states = {
        name: training(
            run.result(layout.trial_path(layout.RECORD, dataset, model, name)).parent,
            run.log("trial", dataset, model, name),
            run.moment,
        )
        for name in trials
    }
    return [("search", _search(job_states))], sum(
        job_state.state not in ("done", "running") for job_state in job_states.values()
    )


def _search(trials: Mapping[str, JobState]) -> JobState:
    """All trials of a search as one: the best F1 of any, the time of those that run, the mean of
    what they took.
    """
    done = sum(job_state.state == "done" for job_state in trials.values())
    name, at = min(trials.items(), key=lambda item: STRENGTH.index(item[1].state))
    scores = [job_state.dev_f1 for job_state in trials.values() if job_state.dev_f1 is not None]
    left = [job_state.left for job_state in trials.values() if job_state.left is not None]
    took = [job_state.took for job_state in trials.values() if job_state.took is not None]
    told = f"{name} {at.progress}".strip() if at.state in ("running", "failed") else ""
    return JobState(
        "waiting" if at.state == "done" else at.state,  # the search itself comes yet
        f"{done}/{len(trials)} trials",
        max(scores, default=None),
        sum(left) if left else None,
        at.where,
        "; ".join(part for part in (told, at.note) if part),
        sum(took) / len(took) if took else None,
        next((job_state.sentences for job_state in trials.values() if job_state.sentences), None),
    )


def _scoring_steps(
    run: RunContext, dataset: str, model: str, seed: int, decoding: str
) -> Iterator[Step]:
    """Prediction, realignment and scoring of one decoding; where there are scores only LLMs are
    looked at further.
    """
    family, names = run.matrix.models[model]["family"], (dataset, model, f"seed{seed}")

    def result(name: str, part: str = "") -> Path:
        return run.result(layout.run_path(name, dataset, model, seed, decoding, part))

    scored = product(result(layout.SCORES), run.log("score", *names, decoding), run.moment)
    predictions = result(layout.PREDICTIONS)
    if family == "ensemble":
        yield "ensemble", product(predictions, run.log("ensemble", *names, decoding), run.moment)
    elif scored.state != "done" or family == "llm":
        for part in ("dev/", ""):
            output, log = result(layout.RAW, part), run.log("predict", *names, f"{part}{decoding}")
            job_state = prediction(output, log, run.moment)
            if not part or job_state.state in (
                "running",
                "failed",
            ):  # not every model predicts on dev
                yield f"predict {part.strip('/')}".strip(), job_state
        yield "realign", product(predictions, run.log("realign", *names, decoding), run.moment)
    yield "score", scored


def _sentences(statistics: Path, most: int | None) -> int | None:
    """Sentences of a training set, of which a model may take a sample; None before it is
    normalized.
    """
    try:
        text = statistics.read_text(encoding="utf-8")
    except (OSError, ValueError):
        return None
    found = re.search(r"^[^\n]+,train,instances,all,(\d+)", text, flags=re.MULTILINE)
    return None if found is None else min(int(found[1]), most or int(found[1]))


def _expected(cells: Sequence[CellStatus]) -> list[CellStatus]:
    """The cells with the time that trainings take which have not begun.

    It is what the same model took a sentence in others, or is about to take; without any, it stays
    unknown.
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
        pace, rows = paces.get(cell.model), cell.rows
        if pace and cell.sentences:
            each = sum(pace) / len(pace) * cell.sentences
            rows = tuple(
                replace(row, left=(row.left or 0.0) + row.trainings * each)
                if row.trainings
                else row
                for row in rows
            )
        expected.append(replace(cell, rows=rows))
    return expected
