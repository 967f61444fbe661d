"""What a training job is given and what it leaves."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from typing import Any

import torch

from bioner.catalogue import training_settings
from bioner.checksums import listing
from bioner.config import Tree, merged
from bioner.errors import InputError
from bioner.instances import Instance
from bioner.training.progress import Progress


@dataclass(frozen=True, slots=True)
class Job:
    """What to train: a catalogue entry on data, under a seed, in one of `processes` processes.

    `data` says which data: the corpus's name where it is known, and the SHA-256 of both files.
    A job with `searched` is a trial of a search over these settings.
    """

    name: str
    entry: Tree
    train: Sequence[Instance]
    dev: Sequence[Instance]
    seed: int
    processes: int = 1
    data: Mapping[str, str | None] = field(default_factory=dict)
    searched: Sequence[str] = ()

    def batches(self) -> tuple[int, int]:
        """Sentences a forward pass and passes an optimiser step, in each process; InputError where they do not fit."""
        train = self.entry["train"]
        micro = train["micro_batch_size"] or max(1, train["batch_size"] // self.processes)
        accumulation, rest = divmod(train["batch_size"], micro * self.processes)
        if rest or not accumulation:
            found = f"batch_size {train['batch_size']} with micro_batch_size {micro} on {self.processes} processes"
            raise InputError(
                "train settings", found, "a whole number of accumulation steps", "Change one of the three."
            )
        return micro, accumulation

    def halved(self) -> "Job | None":
        """The same job with half as many sentences a forward pass, the batch as it is; None where that cannot be."""
        micro, _ = self.batches()
        if micro % 2:
            return None
        return replace(self, entry=merged(self.entry, {"train": {"micro_batch_size": micro // 2}}))

    def identity(self) -> dict[str, Any]:
        """Everything that a checkpoint of this job depends on; that of another job is no use to it."""
        return {
            "model": self.name,
            "settings": training_settings(self.entry),
            "seed": self.seed,
            "data": dict(self.data),
            "sentences": [len(self.train), len(self.dev)],
            "processes": self.processes,
            "versions": {name: version(name) for name in ("torch", "transformers", "peft")},
            "source": listing(self.entry["source"]["hub"]),
        }


@dataclass(frozen=True, slots=True)
class Trained:
    """What training leaves besides weights.

    `kept` is the row of the history whose weights are kept, None for a trial that diverged; `facts` go into run.json as
    they are.
    """

    progress: Progress
    kept: dict[str, Any] | None
    facts: dict[str, Any]
    parameters: int


def weights_format(entry: Tree) -> torch.dtype:
    """The number format of an LLM's weights in training.

    Weights that stay as they are may be held in the precision of the passes; of those that are trained, steps would get
    lost in it. Adapters are fp32 beside them.
    """
    held = entry["train"]["precision"] if entry["lora"] else entry["train"]["weights"]
    return {"bf16": torch.bfloat16, "fp32": torch.float32}[held]
