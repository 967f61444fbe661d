"""The disk space of a run: GB (10^9 bytes) by purpose and at the peak, and files by kind."""

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from bioner.ops.planning.hours import gpus_of, sentences_of
from bioner.ops.planning.jobs import PlannedJob, outputs_of
from bioner.ops.planning.sizes import Size
from bioner.settings.matrix import Matrix

CHECKPOINTS = 3  # two are kept, and the next is written before one of them is deleted
WEIGHTS_FILES = 7  # weights, configuration, tokenizer and card of a trained model
# Of a model in the hub's cache: some eight files, each with its content, a link and metadata.
HUB_FILES = 24
# kB per sentence of 26 tokens, as the demo and JNLPBA have them: raw files and instances; raw
# outputs (gzipped); predictions and alignment.
KILOBYTES = {"fetch": 0.3, "normalize": 0.6, "predict": 0.1, "realign": 0.25, "ensemble": 0.2}
SCORES_MB = 0.02  # a file of scores
KINDS = {
    "data": ("fetch", "normalize"),
    "weights": (),
    "training": ("download_model", "trial", "search", "train"),
    "predictions": ("predict", "realign", "ensemble"),
    "scores": (
        "time",
        "score",
        "calibrate",
        "merge_scores",
        "select_best",
        "compare",
        "compare_corpora",
        "cross",
    ),
    "reports": ("report",),
    "logs": (),
    "hub cache": (),
    "Snakemake's records": (),
}  # of files, and the rules that leave them


@dataclass(frozen=True, slots=True)
class Space:
    """GB of downloads, trained models, trainings while they run, and everything else.

    `unknown` names the models that do not state their sizes.
    """

    downloads: float
    models: float
    running: float
    outputs: float
    unknown: tuple[str, ...]

    @property
    def peak(self) -> float:
        """The upper bound at any time."""
        return self.downloads + self.models + self.running + self.outputs


def space_of(
    matrix: Matrix,
    jobs: Collection[PlannedJob],
    sizes: Mapping[str, Size | None],
    gpus: int,
    at_once: int,
) -> Space:
    """Return the space that these jobs take, with so many GPUs and jobs `at_once`."""
    unknown: set[str] = set()

    def stated(model: str, key: str) -> float:
        size: float | None = getattr(matrix.models[model].cost_estimates, key, None)
        if size is None:
            unknown.add(model)
        return size or 0.0

    models = 0.0
    running = []
    for job in jobs:
        if job.rule == "train":
            models += stated(job.model, "model_gb")
        if job.rule in ("train", "trial"):
            held = CHECKPOINTS * stated(job.model, "checkpoint_gb")
            if job.rule == "trial":  # its weights are deleted when it ends
                held += stated(job.model, "model_gb")
            running.append((held, gpus_of(matrix, job)))
    downloads = [stated(model, "download_gb") for model in _downloaded(matrix, jobs).values()]
    outputs = sum(_output_gb(job, sizes.get(job.corpus)) for job in jobs)
    busiest = _busiest(running, gpus, at_once)
    return Space(sum(downloads), models, busiest, outputs, tuple(sorted(unknown)))


def files_of(matrix: Matrix, jobs: Collection[PlannedJob]) -> dict[str, int]:
    """Return the number of files that these jobs leave, by kind, with Snakemake's own."""
    files = Counter(dict.fromkeys(KINDS, 0))
    kinds = {rule: kind for kind, rules in KINDS.items() for rule in rules}
    for job in jobs:
        count = len(outputs_of(job))
        files[kinds[job.rule]] += count
        files["logs"] += 1
        files["Snakemake's records"] += count
        if job.rule == "fetch":  # the folder holds the raw files
            files["data"] += len(matrix.datasets[job.dataset].files) - 1
        elif job.rule == "train":  # the folder holds the weights
            files["training"] -= 1
            files["weights"] += WEIGHTS_FILES
    files["hub cache"] = HUB_FILES * len(_downloaded(matrix, jobs))
    return {kind: count for kind, count in files.items() if count}


def _downloaded(matrix: Matrix, jobs: Collection[PlannedJob]) -> dict[tuple[str, str], str]:
    """Return one model per snapshot that these jobs download: models may share a snapshot."""
    sources = {
        job.model: matrix.models[job.model].source for job in jobs if job.rule == "download_model"
    }
    return {(str(source.hub), source.revision): model for model, source in sources.items()}


def _busiest(running: Collection[tuple[float, int]], gpus: int, at_once: int) -> float:
    """Return the GB of the largest trainings, given as GB and GPUs, that can run at once."""
    held = 0.0
    for size, asked in sorted(running, reverse=True):
        if at_once and asked <= gpus:
            held, gpus, at_once = held + size, gpus - asked, at_once - 1
    return held


def _output_gb(job: PlannedJob, size: Size | None) -> float:
    if job.rule in ("score", "merge_scores"):
        return SCORES_MB / 1000
    if size is None or job.rule not in KILOBYTES:
        return 0.0
    return KILOBYTES[job.rule] * sentences_of(job, size) * size.length / 1e6
