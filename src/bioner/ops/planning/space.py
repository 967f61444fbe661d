"""What a run leaves on the disk and how much at most lies there at once: GB (10^9 bytes), and files
by kind.
"""

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from bioner.ops.planning.jobs import PlannedJob, outputs_of
from bioner.ops.planning.sizes import Size
from bioner.settings.config import Tree
from bioner.settings.matrix import Matrix

CHECKPOINTS = 3  # two are kept, and the next is written before one of them goes
WEIGHTS_FILES = 7  # weights, configuration, tokenizer and card of a trained model
REPORT_FILES = 14
# of a model in the hub's cache: some eight files, each with its content and a link, and what it
# notes
HUB_FILES = 24
# kB for a sentence of 26 tokens, as the demo and JNLPBA have them: raw files and instances; raw
# outputs (gzipped); predictions and alignment.
KILOBYTES = {"fetch": 0.3, "normalize": 0.6, "predict": 0.1, "realign": 0.25, "ensemble": 0.2}
SCORES_MB = 0.02  # a file of scores


@dataclass(frozen=True, slots=True)
class Space:
    """GB downloaded, kept of trained models, of trainings that run at once, and of all else.

    `unknown` names models that do not state theirs.
    """

    downloads: float
    models: float
    running: float
    outputs: float
    unknown: tuple[str, ...]

    @property
    def peak(self) -> float:
        """The most that lies on the disk at once."""
        return self.downloads + self.models + self.running + self.outputs


def space_of(
    matrix: Matrix,
    jobs: Collection[PlannedJob],
    sizes: Mapping[str, Size | None],
    gpus: int,
    at_once: int,
) -> Space:
    """What these jobs add to the disk where so many GPUs and so many jobs are busy at once."""
    unknown: set[str] = set()
    downloads: dict[tuple[str, str], float] = {}
    running = []
    models = outputs = 0.0
    for job in jobs:
        outputs += _output_gb(job, sizes.get(job.dataset))
        if job.rule == "download_model":
            source = matrix.models[job.model]["source"]
            size = _stated(matrix, job.model, "download_gb", unknown)
            downloads[source["hub"], source["revision"]] = size
        elif job.rule in ("train", "use_winner", "trial"):
            kept = _stated(matrix, job.model, "model_gb", unknown)
            models += (
                kept if job.rule != "trial" else 0.0
            )  # of a search's trials the best alone has weights: the adopted
            if job.rule != "use_winner":
                held = CHECKPOINTS * _stated(matrix, job.model, "checkpoint_gb", unknown)
                if job.rule == "trial":
                    held += kept  # a training's own weights are counted above
                running.append((held, matrix.models[job.model]["resources"]["gpus"]))
    busiest = _busiest(running, gpus, at_once)
    return Space(sum(downloads.values()), models, busiest, outputs, tuple(sorted(unknown)))


def files_of(matrix: Matrix, jobs: Collection[PlannedJob]) -> dict[str, int]:
    """Files that these jobs leave, by kind; a Snakemake's own records among them."""
    files: Counter[str] = Counter()
    hub: set[tuple[str, str]] = set()  # models made `like` each other share what is fetched
    for job in jobs:
        kind, count = _files(matrix.datasets, job)
        files[kind] += count
        files["logs"] += 1
        files["Snakemake's records"] += (
            REPORT_FILES if job.rule == "report" else len(outputs_of(job))
        )
        if job.rule in ("train", "use_winner"):
            files["weights"] += WEIGHTS_FILES
        if job.rule == "download_model":
            source = matrix.models[job.model]["source"]
            hub.add((source["hub"], source["revision"]))
    files["hub cache"] = HUB_FILES * len(hub)
    order = ("data", "weights", "training", "predictions", "scores", "reports", "logs", "hub cache")
    return {kind: files[kind] for kind in (*order, "Snakemake's records") if files[kind]}


def _files(datasets: Mapping[str, Tree], job: PlannedJob) -> tuple[str, int]:
    match job.rule:
        case "fetch":
            return "data", len(datasets[job.dataset]["files"]) + 1
        case "normalize":
            return "data", len(outputs_of(job))
        case "train" | "use_winner":
            return "training", len(outputs_of(job)) - 1  # the folder's files are weights
        case "download_model" | "trial" | "search":
            return "training", len(outputs_of(job))
        case "predict" | "realign" | "ensemble":
            return "predictions", len(outputs_of(job))
        case "report":
            return "reports", REPORT_FILES
    return "scores", len(outputs_of(job))


def _stated(matrix: Matrix, model: str, key: str, unknown: set[str]) -> float:
    costs = matrix.models[model]["cost_estimates"] or {}
    size: float | None = costs.get(key)
    if size is None:
        unknown.add(model)
        return 0.0
    return size


def _busiest(running: Collection[tuple[float, int]], gpus: int, at_once: int) -> float:
    """The most that trainings hold while they run, each given as GB and GPUs: the largest, as many
    as have room.
    """
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
    count = size.sentences["dev" if job.part else "test"]
    if job.rule in ("fetch", "normalize"):
        count = sum(size.sentences.values())
    return KILOBYTES[job.rule] * count * size.length / 1e6
