"""The jobs of a run, listed from its matrix, with the paths of their outputs and logs.

Which job waits for which is defined in workflow/. Tests compare the counts with Snakemake's.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace

from bioner.reporting.columns import TITLES
from bioner.results import layout
from bioner.settings.matrix import CrossPair, Matrix

INSTANCES = ("train.jsonl", "dev.jsonl", "test.jsonl", "stats.csv", "changes.csv")

# `cross` is only there if it is configured, together with the jobs that it is made from.
TABLES = [f"reports/{name}.csv" for name in TITLES if name != "cross"]


def _run_paths(*names: str) -> list[str]:
    return [f"results/{layout.run_path(name, part='{part}')}" for name in names]


# Rules in the order of the stages; a job is done if these paths, under the output folder, exist.
OUTPUTS = {
    "fetch": ["data/{dataset}/raw", "data/{dataset}/raw.json"],
    "normalize": [f"data/{{dataset}}/{name}" for name in INSTANCES],
    "download_model": ["models/{model}.json"],
    "trial": [f"results/{layout.trial_path(name)}" for name in (layout.HISTORY, layout.RECORD)],
    "search": [f"results/{layout.cell_path(name)}" for name in (layout.WINNER, layout.SEARCH)],
    "train": [
        f"results/{layout.seed_path(name)}"
        for name in (layout.WEIGHTS, layout.HISTORY, layout.RECORD)
    ],
    "predict": _run_paths(layout.RAW, layout.RECORD),
    "time": [f"results/{layout.cell_path(layout.TIMING)}"],
    "realign": _run_paths(layout.PREDICTIONS, layout.ALIGNMENT),
    "ensemble": _run_paths(layout.PREDICTIONS),
    "score": _run_paths(layout.SCORES),
    "calibrate": [
        f"results/{layout.cell_path(name)}" for name in (layout.CALIBRATION, layout.RELIABILITY)
    ],
    "merge_scores": [f"results/{layout.cell_path(layout.SCORES)}"],
    "select_best": [f"results/{layout.dataset_path(layout.SELECTION)}"],
    "compare": [f"results/{layout.dataset_path(layout.COMPARISONS)}"],
    "compare_corpora": [f"results/{layout.CORPORA_MEAN}"],
    "cross": [f"results/{layout.cross_path(name)}" for name in (layout.DROP, layout.RECORD)],
    "report": ["reports/report.html", "reports/README.md", *TABLES],
}


@dataclass(frozen=True, slots=True)
class PlannedJob:
    """A rule and its wildcards: `seed` is -1 if there is none.

    `part` is `dev/` for the dev set; `test` is another corpus whose test set is predicted.
    """

    rule: str
    dataset: str = ""
    model: str = ""
    seed: int = -1
    decoding: str = ""
    part: str = ""
    trial: str = ""
    test: str = ""

    @property
    def corpus(self) -> str:
        """The corpus whose sentences the job works on."""
        return self.test or self.dataset

    @property
    def folder(self) -> str:
        """The folder of a prediction below its decoding's, Snakemake's wildcard `part`."""
        return layout.cross_part(self.test) if self.test else self.part


def jobs_of(matrix: Matrix, corpora: Sequence[str]) -> list[PlannedJob]:
    """Return all jobs behind the report, sorted by model, corpus and rule.

    Args:
        corpora: The corpora that are there, of those that the run reads.
    """
    datasets = [name for name in corpora if name in matrix.settings.datasets]
    named = matrix.settings.models
    chooses = matrix.has_selection or any(map(matrix.chooses_members, named))
    jobs = [PlannedJob("report")]
    jobs += [PlannedJob("download_model", model=model) for model in matrix.downloaded()]
    if matrix.averaged(datasets):
        jobs.append(PlannedJob("compare_corpora"))
    for dataset in datasets:
        jobs += [PlannedJob("fetch", dataset), PlannedJob("normalize", dataset)]
        if chooses:
            jobs.append(PlannedJob("select_best", dataset))
        if matrix.has_comparisons:
            jobs.append(PlannedJob("compare", dataset))
        for model in named:
            jobs.append(PlannedJob("merge_scores", dataset, model))
            if matrix.is_trained(model):
                jobs.append(PlannedJob("time", dataset, model))
            if matrix.has_confidences(model):
                jobs.append(PlannedJob("calibrate", dataset, model))
            for seed in matrix.seeds(model):
                scored = [
                    PlannedJob("score", dataset, model, seed, decoding)
                    for decoding in matrix.decodings(model)
                ]
                if chooses and _is_scored_on_dev(matrix, model):
                    decoding = matrix.headline(model)
                    scored.append(PlannedJob("score", dataset, model, seed, decoding, "dev/"))
                for job in scored:
                    jobs += [job, *_predicted(matrix, job)]
                if matrix.has_confidences(model):  # dev, for the temperature
                    decoding = matrix.headline(model)
                    on_dev = PlannedJob("score", dataset, model, seed, decoding, "dev/")
                    jobs += _predicted(matrix, on_dev)
    for pair in matrix.cross_pairs:
        if {pair.train, pair.test} <= set(corpora):
            jobs += _crossed(matrix, pair)
    unnamed = {job.model for job in jobs} - {"", *named}  # members of ensembles, and drafts
    models = ["", *named, *sorted(unnamed)]
    places = ["", *corpora]
    rules = list(OUTPUTS)
    return sorted(
        dict.fromkeys(jobs),
        key=lambda job: (
            models.index(job.model),
            places.index(job.dataset),
            rules.index(job.rule),
        ),
    )


def outputs_of(job: PlannedJob) -> list[str]:
    """Return the paths of a job's outputs, under the output folder."""
    wildcards = asdict(job) | {"part": job.folder}
    return [path.format(**wildcards) for path in OUTPUTS[job.rule]]


def log_of(job: PlannedJob) -> str:
    """Return the path of a job's log, under the output folder."""
    seed = f"seed{job.seed}" if job.seed >= 0 else ""
    tested = job.folder + job.decoding if job.decoding else job.test
    names = (job.rule, job.dataset, job.model, job.trial, seed, tested)
    return f"logs/{'/'.join(filter(None, names))}.log"


def to_come(jobs: Sequence[PlannedJob], there: Callable[[str], bool]) -> list[PlannedJob]:
    """Return the jobs that a run would still do: those whose files are missing, and the report.

    What scores were made from may be gone. Settings are not compared.

    Args:
        jobs: All jobs of the run.
        there: Whether a path under the output folder exists.
    """
    missing = {job for job in jobs if not all(map(there, outputs_of(job)))}
    scores = {job for job in jobs if job.rule == "score"}
    scored = set(map(_seed_of, scores)) - set(map(_seed_of, scores & missing))
    uncalibrated = {(job.dataset, job.model) for job in missing if job.rule == "calibrate"}
    scored = {seed for seed in scored if seed[:2] not in uncalibrated}
    without_drop = {_pair_of(job) for job in missing if job.rule == "cross"}
    coming = {
        job for job in missing if _seed_of(job) not in scored or _pair_of(job) in without_drop
    }
    pairs = {_pair_of(job) for job in coming if job.test}
    coming |= {job for job in jobs if job.rule == "cross" and _pair_of(job) in pairs}
    return [job for job in jobs if job in coming or (coming and job.rule == "report")]


def _is_scored_on_dev(matrix: Matrix, model: str) -> bool:
    """Whether the dev scores of a model's reported runs choose the best of its family."""
    is_candidate = model in matrix.candidates
    return is_candidate and not matrix.is_chosen_by_search(matrix.models[model].family)


def _seed_of(job: PlannedJob) -> tuple[str, str, int]:
    return job.dataset, job.model, job.seed


def _pair_of(job: PlannedJob) -> tuple[str, str]:
    return job.dataset, job.test


def _crossed(matrix: Matrix, pair: CrossPair) -> Iterator[PlannedJob]:
    """Yield the jobs of a corpus's models on another test set; those of that one are its own."""
    yield PlannedJob("cross", pair.train, test=pair.test)
    for rule in ("fetch", "normalize"):
        yield PlannedJob(rule, pair.test)
    for model in matrix.cross_models:
        for seed in matrix.seeds(model):
            decoding = matrix.headline(model)
            scored = PlannedJob("cross", pair.train, model, seed, decoding, test=pair.test)
            yield from _predicted(matrix, scored)


def _predicted(matrix: Matrix, scored: PlannedJob) -> Iterator[PlannedJob]:
    """Yield the jobs whose outputs a score needs, except for data and snapshots."""
    model = scored.model
    if matrix.is_ensemble(model):
        yield replace(scored, rule="ensemble")
    else:
        yield replace(scored, rule="predict")
        yield replace(scored, rule="realign")
    if matrix.is_trained(model):
        yield from _trained(matrix, scored)
    sources = [name for name, _ in matrix.members(model)]
    if scored.decoding == "constrained" and (draft := matrix.draft(model)):
        sources.append(draft)
    for name in sources:
        seed = matrix.seed_beside(name, scored.seed)
        source = replace(scored, model=name, seed=seed, decoding=matrix.headline(name))
        yield from _predicted(matrix, source)


def _trained(matrix: Matrix, scored: PlannedJob) -> Iterator[PlannedJob]:
    """Yield the training of a model under this seed, and the search before it."""
    training = PlannedJob("train", scored.dataset, scored.model, scored.seed)
    if matrix.is_searched(scored.model):
        for trial in matrix.models[scored.model].trials():
            yield replace(training, rule="trial", seed=-1, trial=trial)
        yield replace(training, rule="search", seed=-1)
    yield training
