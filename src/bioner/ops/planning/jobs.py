"""The jobs of a run, as the workflow's rules make them, and what each waits for.

The rules themselves stand in workflow/; tests compare the counts with those of Snakemake's dry-run.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from bioner.results import layout
from bioner.settings.catalogue import from_hub, trials_of
from bioner.settings.matrix import Matrix

RULES = (  # in the order of the stages
    *(
        "fetch",
        "normalize",
        "download_model",
        "trial",
        "search",
        "use_winner",
        "train",
        "predict",
        "time",
        "realign",
    ),
    *("ensemble", "score", "merge_scores", "select_best", "compare", "report"),
)


@dataclass(frozen=True, slots=True)
class PlannedJob:
    """A rule and its wildcards; `part` is `dev/` for predictions on dev, the seed -1 where there is
    none.
    """

    rule: str
    dataset: str = ""
    model: str = ""
    seed: int = -1
    decoding: str = ""
    part: str = ""
    trial: str = ""


Graph = Mapping[PlannedJob, Sequence[PlannedJob]]
RUN_FILES: dict[str, tuple[str, ...]] = {
    "predict": (layout.RAW, layout.RECORD),
    "realign": (layout.PREDICTIONS, layout.ALIGNMENT),
    "ensemble": (layout.PREDICTIONS,),
    "score": (layout.SCORES,),
}


def jobs_of(matrix: Matrix, datasets: Sequence[str]) -> Graph:
    """Every job behind the reports on these corpora, with the jobs each waits for; a job comes
    after those.
    """
    graph: dict[PlannedJob, list[PlannedJob]] = {}
    waiting = [PlannedJob("report")]
    while waiting:
        job = waiting[-1]
        needs = list(dict.fromkeys(_needs(matrix, job, datasets)))
        if new := [other for other in needs if other not in graph]:
            waiting += new
        else:
            graph[job] = needs
            waiting.pop()
    return graph


def to_come(graph: Graph, there: Callable[[str], bool]) -> set[PlannedJob]:
    """The jobs that a run would still do: the report if it is missing, what that lacks, and all
    that is made of theirs.

    `there` tells whether a path under the output folder exists. As Snakemake has it, a file may be
    gone if what was made from it is there. Settings are not compared.
    """
    lacking = {job for job in graph if not all(map(there, outputs_of(job)))}
    made_of: dict[PlannedJob, list[PlannedJob]] = {job: [] for job in graph}
    for job, needs in graph.items():
        for other in needs:
            made_of[other].append(job)
    asked = [job for job in (PlannedJob("report"),) if job in lacking]
    found: set[PlannedJob] = set()
    while asked:
        job = asked.pop()
        if job not in found:
            found.add(job)
            asked += [other for other in graph[job] if other in lacking]
            asked += made_of[job]
    return found


def outputs_of(job: PlannedJob) -> list[str]:
    """The paths, under the output folder, that tell a job is done; of the reports the page."""
    data, cell = f"data/{job.dataset}", (job.dataset, job.model)
    match job.rule:
        case "fetch":
            return [f"{data}/raw", f"{data}/raw.json"]
        case "normalize":
            return [
                f"{data}/{name}"
                for name in ("train.jsonl", "dev.jsonl", "test.jsonl", "stats.csv", "changes.csv")
            ]
        case "download_model":
            return [f"models/{job.model}.json"]
        case "report":
            return ["reports/report.html"]
        case "trial":
            paths = [
                layout.trial_path(name, *cell, job.trial)
                for name in (layout.HISTORY, layout.RECORD)
            ]
        case "search":
            paths = [layout.cell_path(name, *cell) for name in (layout.WINNER, layout.SEARCH)]
        case "use_winner" | "train":
            files = (layout.WEIGHTS, layout.HISTORY, layout.RECORD)
            paths = [layout.seed_path(name, *cell, job.seed) for name in files]
        case "time":
            paths = [layout.cell_path(layout.TIMING, *cell)]
        case "merge_scores":
            paths = [layout.cell_path(layout.SCORES, *cell)]
        case "select_best":
            paths = [layout.dataset_path(layout.SELECTION, job.dataset)]
        case "compare":
            paths = [layout.dataset_path(layout.COMPARISONS, job.dataset)]
        case _:
            names = RUN_FILES[job.rule]
            paths = [
                layout.run_path(name, *cell, job.seed, job.decoding, job.part) for name in names
            ]
    return [f"results/{path}" for path in paths]


def _needs(matrix: Matrix, job: PlannedJob, datasets: Sequence[str]) -> Iterator[PlannedJob]:
    """The jobs whose outputs a job takes."""
    dataset, model, first = job.dataset, job.model, matrix.first_seed
    match job.rule:
        case "report":
            for name in datasets:
                yield from _reported(matrix, name)
        case "normalize":
            yield PlannedJob("fetch", dataset)
        case "trial" | "train":
            yield PlannedJob("normalize", dataset)
            if from_hub(matrix.models[model]):
                yield PlannedJob("download_model", model=model)
            if job.rule == "train" and matrix.is_searched(model):
                yield PlannedJob("search", dataset, model)
        case "search":
            yield from (
                PlannedJob("trial", dataset, model, trial=name)
                for name in trials_of(matrix.models[model])
            )
        case "use_winner":
            yield PlannedJob("search", dataset, model)
        case "predict" | "time":
            yield PlannedJob("normalize", dataset)
            timing = job.rule == "time"
            if matrix.is_trained(model):
                for seed in matrix.timed_seeds if timing else [job.seed]:
                    yield _training(matrix, dataset, model, seed)
            if "constrained" in (matrix.settings["decodings"] if timing else [job.decoding]):
                yield from _draft(matrix, dataset, model, first if timing else job.seed, job.part)
        case "realign":
            yield PlannedJob("normalize", dataset)
            yield replace(job, rule="predict")
        case "ensemble":
            yield PlannedJob("normalize", dataset)
            yield from _members(matrix, job)
        case "score":
            yield PlannedJob("normalize", dataset)
            yield _predicted(matrix, dataset, model, job.seed, job.part, job.decoding)
        case "merge_scores":
            for seed in matrix.seeds(model):
                yield from (
                    PlannedJob("score", dataset, model, seed, decoding)
                    for decoding in matrix.decodings(model)
                )
        case "select_best":
            for name in matrix.candidates:
                for seed in matrix.seeds(name):
                    yield PlannedJob("score", dataset, name, seed, matrix.headline(name), "dev/")
        case "compare":
            yield PlannedJob("normalize", dataset)
            for name in matrix.compared:
                yield from (_predicted(matrix, dataset, name, seed) for seed in matrix.seeds(name))


def _reported(matrix: Matrix, dataset: str) -> Iterator[PlannedJob]:
    """What a report takes of one corpus."""
    yield PlannedJob("normalize", dataset)
    for model in matrix.settings["models"]:
        yield PlannedJob("merge_scores", dataset, model)
        if matrix.is_trained(model):
            yield PlannedJob("time", dataset, model)
        if matrix.is_searched(model):
            yield PlannedJob("search", dataset, model)
    if matrix.has_comparisons:
        yield PlannedJob("compare", dataset)
    if matrix.has_selection:
        yield PlannedJob("select_best", dataset)


def _training(matrix: Matrix, dataset: str, model: str, seed: int) -> PlannedJob:
    """The job a model's weights come from: under the first seed of a search they are the
    winner's.
    """
    adopted = matrix.is_searched(model) and seed == matrix.first_seed
    return PlannedJob("use_winner" if adopted else "train", dataset, model, seed)


def _predicted(
    matrix: Matrix, dataset: str, model: str, seed: int, part: str = "", decoding: str | None = None
) -> PlannedJob:
    """The job that makes predictions; without a decoding those a model is compared by."""
    rule = "ensemble" if matrix.is_ensemble(model) else "realign"
    return PlannedJob(rule, dataset, model, seed, decoding or matrix.headline(model), part)


def _draft(matrix: Matrix, dataset: str, model: str, seed: int, part: str) -> Iterator[PlannedJob]:
    """The predictions of another model that an LLM drafts from, if it does."""
    if source := matrix.draft(model):
        yield _predicted(matrix, dataset, source, matrix.seed_beside(source, seed), part)


def _members(matrix: Matrix, job: PlannedJob) -> Iterator[PlannedJob]:
    """The predictions an ensemble is made of, and the choice on dev if it takes the best of a
    family.
    """
    for name, _ in matrix.members(job.model):
        yield _predicted(matrix, job.dataset, name, matrix.seed_beside(name, job.seed), job.part)
    if matrix.chooses_members(job.model):
        yield PlannedJob("select_best", job.dataset)
