"""The jobs of a run, as the workflow's rules make them, and what each waits for.

The rules themselves stand in workflow/; tests compare the counts with those of Snakemake's dry-run.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from bioner.catalogue import BEST, HEADLINE, LEXICAL, TRAINED, decodings_of, from_hub, seeds_of, trials_of
from bioner.config import Tree

RULES = (  # in the order of the stages
    *("fetch", "normalize", "snapshot", "trial", "search", "adopt", "train", "predict", "time", "realign"),
    *("ensemble", "score", "gather", "select", "compare", "report"),
)


@dataclass(frozen=True, slots=True)
class Job:
    """A rule and its wildcards; `part` is `dev/` for predictions on dev, the seed -1 where there is none."""

    rule: str
    dataset: str = ""
    model: str = ""
    seed: int = -1
    decoding: str = ""
    part: str = ""
    trial: str = ""


Graph = Mapping[Job, Sequence[Job]]


@dataclass(frozen=True, slots=True)
class Matrix:
    """What is run: the configuration, checked and completed, and both catalogues."""

    settings: Tree
    datasets: Mapping[str, Tree]
    models: Mapping[str, Tree]

    @property
    def timed_seeds(self) -> list[int]:
        """Seeds whose weights are timed."""
        seeds: list[int] = self.settings["seeds"][: self.settings["timing"]["seeds"]]
        return seeds

    def trained(self, model: str) -> bool:
        """Whether a model has weights."""
        return self.models[model]["family"] in TRAINED

    def searched(self, model: str) -> bool:
        """Whether a model's hyper-parameters are searched for."""
        return bool(self.settings["search"] and trials_of(self.models[model]))

    def seeds(self, model: str) -> list[int]:
        """Seeds a model runs under."""
        return seeds_of(self.models[model], self.settings["seeds"])

    def decodings(self, model: str) -> list[str]:
        """Decodings a model is run with."""
        return decodings_of(self.models[model], self.settings["decodings"])

    def headline(self, model: str) -> str:
        """The decoding a model is compared by."""
        return max(self.decodings(model), key=HEADLINE.index)

    def compared(self) -> list[str]:
        """The systems worth comparing."""
        return [name for name in self.settings["models"] if self.models[name]["control"] not in ("oracle", "all-o")]

    def candidates(self) -> list[str]:
        """Models of which dev scores choose the best of a family."""
        return [name for name in self.settings["models"] if self.models[name]["family"] in BEST.values()]


def jobs_of(matrix: Matrix, datasets: Sequence[str]) -> Graph:
    """Every job behind the reports on these corpora, with the jobs each waits for; a job comes after those."""
    graph: dict[Job, list[Job]] = {}
    waiting = [Job("report")]
    while waiting:
        job = waiting[-1]
        needs = list(dict.fromkeys(_needs(matrix, job, datasets)))
        if new := [other for other in needs if other not in graph]:
            waiting += new
        else:
            graph[job] = needs
            waiting.pop()
    return graph


def to_come(graph: Graph, there: Callable[[str], bool]) -> set[Job]:
    """The jobs that a run would still do: whose outputs are lacking and asked for, and all that is made of theirs.

    `there` tells whether a path under the output folder exists. What was made of a file counts, the file itself may be
    gone; only predictions are made again, as the rule `score` has it. Settings are not looked at.
    """
    lacking = {job for job in graph if not all(map(there, outputs_of(job)))}
    made_of: dict[Job, list[Job]] = {job: [] for job in graph}
    for job, needs in graph.items():
        for other in needs:
            made_of[other].append(job)
    report = Job("report")
    asked = [job for job in (report, *graph[report]) if job in lacking]
    scored = [job for job in graph if job.rule == "score" and job not in lacking]
    asked += [job for job in scored if not there(_file(job, "predictions.jsonl"))]
    found: set[Job] = set()
    while asked:
        job = asked.pop()
        if job not in found:
            found.add(job)
            asked += [other for other in graph[job] if other in lacking]
            asked += made_of[job]
    return found


def outputs_of(job: Job) -> list[str]:
    """The paths, under the output folder, that tell a job is done; of the reports the page."""
    data, cell = f"data/{job.dataset}", f"results/{job.dataset}/{job.model}"
    match job.rule:
        case "fetch":
            return [f"{data}/raw", f"{data}/raw.json"]
        case "normalize":
            return [f"{data}/{name}" for name in ("train.jsonl", "dev.jsonl", "test.jsonl", "stats.csv", "changes.csv")]
        case "snapshot":
            return [f"models/{job.model}.json"]
        case "trial":
            return [f"{cell}/trials/{job.trial}/{name}" for name in ("history.csv", "run.json")]
        case "search":
            return [f"{cell}/winner.json", f"{cell}/search.csv"]
        case "adopt" | "train":
            return [f"{cell}/seed{job.seed}/{name}" for name in ("model", "history.csv", "run.json")]
        case "time":
            return [f"{cell}/timing.csv"]
        case "gather":
            return [f"{cell}/scores.csv"]
        case "select":
            return [f"results/{job.dataset}/selection.csv"]
        case "compare":
            return [f"results/{job.dataset}/comparisons.csv"]
        case "report":
            return ["reports/report.html"]
    names = {
        "predict": ("raw.jsonl.gz", "run.json"),
        "realign": ("predictions.jsonl", "alignment.csv"),
        "ensemble": ("predictions.jsonl",),
        "score": ("scores.csv",),
    }[job.rule]
    return [_file(job, name) for name in names]


def _file(job: Job, name: str) -> str:
    return f"results/{job.dataset}/{job.model}/seed{job.seed}/{job.decoding}/{job.part}{name}"


def _needs(matrix: Matrix, job: Job, datasets: Sequence[str]) -> Iterator[Job]:
    """The jobs whose outputs a job takes."""
    dataset, model, first = job.dataset, job.model, matrix.settings["seeds"][0]
    match job.rule:
        case "report":
            for name in datasets:
                yield from _reported(matrix, name)
        case "normalize":
            yield Job("fetch", dataset)
        case "trial" | "train":
            yield Job("normalize", dataset)
            if from_hub(matrix.models[model]):
                yield Job("snapshot", model=model)
            if job.rule == "train" and matrix.searched(model):
                yield Job("search", dataset, model)
        case "search":
            yield from (Job("trial", dataset, model, trial=name) for name in trials_of(matrix.models[model]))
        case "adopt":
            yield Job("search", dataset, model)
        case "predict" | "time":
            yield Job("normalize", dataset)
            timing = job.rule == "time"
            if matrix.trained(model):
                for seed in matrix.timed_seeds if timing else [job.seed]:
                    yield _training(matrix, dataset, model, seed)
            if "forced" in (matrix.settings["decodings"] if timing else [job.decoding]):
                yield from _draft(matrix, dataset, model, first if timing else job.seed, job.part)
        case "realign":
            yield Job("normalize", dataset)
            yield replace(job, rule="predict")
        case "ensemble":
            yield Job("normalize", dataset)
            yield from _members(matrix, job)
        case "score":
            yield Job("normalize", dataset)
            yield _predicted(matrix, dataset, model, job.seed, job.part, job.decoding)
        case "gather":
            for seed in matrix.seeds(model):
                yield from (Job("score", dataset, model, seed, decoding) for decoding in matrix.decodings(model))
        case "select":
            for name in matrix.candidates():
                for seed in matrix.seeds(name):
                    yield Job("score", dataset, name, seed, matrix.headline(name), "dev/")
        case "compare":
            yield Job("normalize", dataset)
            for name in matrix.compared():
                yield from (_predicted(matrix, dataset, name, seed) for seed in matrix.seeds(name))


def _reported(matrix: Matrix, dataset: str) -> Iterator[Job]:
    """What a report takes of one corpus."""
    yield Job("normalize", dataset)
    for model in matrix.settings["models"]:
        yield Job("gather", dataset, model)
        if matrix.trained(model):
            yield Job("time", dataset, model)
        if matrix.searched(model):
            yield Job("search", dataset, model)
    if len(matrix.compared()) > 1:
        yield Job("compare", dataset)
    if {matrix.models[name]["family"] for name in matrix.settings["models"]} >= set(BEST.values()):
        yield Job("select", dataset)


def _training(matrix: Matrix, dataset: str, model: str, seed: int) -> Job:
    """The job a model's weights come from: under the first seed of a search they are the winner's."""
    adopted = matrix.searched(model) and seed == matrix.settings["seeds"][0]
    return Job("adopt" if adopted else "train", dataset, model, seed)


def _predicted(matrix: Matrix, dataset: str, model: str, seed: int, part: str = "", decoding: str | None = None) -> Job:
    """The job that makes predictions; without a decoding those a model is compared by."""
    rule = "ensemble" if matrix.models[model]["family"] == "ensemble" else "realign"
    return Job(rule, dataset, model, seed, decoding or matrix.headline(model), part)


def _draft(matrix: Matrix, dataset: str, model: str, seed: int, part: str) -> Iterator[Job]:
    """The predictions of another model that an LLM drafts from, where it does."""
    entry = matrix.models[model]
    source = entry["predict"]["draft"]
    if entry["family"] == "llm" and source not in LEXICAL:
        yield _predicted(matrix, dataset, source, seed, part)


def _members(matrix: Matrix, job: Job) -> Iterator[Job]:
    """The predictions an ensemble is made of, and the choice on dev where it takes the best of a family."""
    members = matrix.models[job.model]["members"]
    for member in members:
        family = BEST.get(member)
        names = [name for name in matrix.candidates() if matrix.models[name]["family"] == family]
        for name in names if family else [member]:
            seed = job.seed if matrix.trained(name) else matrix.settings["seeds"][0]
            yield _predicted(matrix, job.dataset, name, seed, job.part)
    if BEST.keys() & set(members):
        yield Job("select", job.dataset)
