"""The input of a training job; imports no torch, so that bad input is refused at once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from typing import Any

from bioner.data.instances import Instance, entity_types
from bioner.errors import InputError
from bioner.io.checksums import listing
from bioner.settings.model_entry import ModelEntry


@dataclass(frozen=True, slots=True)
class TrainingJob:
    """What to train: a catalogue entry on data, under a seed, in one of `processes` processes.

    `data` has the corpus's name, if known, and the SHA-256 of both files. A job with `searched` is
    a trial of a search over these settings; `winner` is the trial whose values the settings have.
    `base_weights` has the SHA-256 of each file of weights that lies in a local folder, once the
    main process has read them.
    """

    name: str
    entry: ModelEntry
    train: Sequence[Instance]
    dev: Sequence[Instance]
    seed: int
    processes: int = 1
    data: Mapping[str, str | None] = field(default_factory=dict)
    searched: Sequence[str] = ()
    winner: str | None = None
    base_weights: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Raise InputError if there is nothing to train, or nothing to train it on."""
        if not self.entry.is_trained:
            raise InputError(
                self.name,
                f"the family {self.entry.family!r}",
                "an encoder or an LLM",
                "It needs no training; go on with `bioner predict` or `bioner ensemble`.",
            )
        for split, instances in (("train", self.train), ("dev", self.dev)):
            if not instances:
                raise InputError(
                    f"{self.name}: {split} split",
                    "no instance",
                    "at least one",
                    "Remake it with `bioner normalize`.",
                )
        if not entity_types(self.train):
            raise InputError(
                f"{self.name}: train split",
                f"no entity in {len(self.train)} sentences",
                "at least one",
                "Check the corpus's `tag_column`, or raise train.sentences.",
            )

    def batches(self) -> tuple[int, int]:
        """Return sentences per forward pass and passes per optimiser step, in each process.

        With `auto` it is one pass until the GPU's memory has been tried.

        Raises:
            InputError: If the batch cannot be divided that way.
        """
        train = self.entry.train
        given, share = train.micro_batch_size, max(1, train.batch_size // self.processes)
        micro = given if isinstance(given, int) else share
        accumulation, rest = divmod(train.batch_size, micro * self.processes)
        if rest or not accumulation:
            raise InputError(
                "train settings",
                f"batch_size {train.batch_size} with micro_batch_size {micro} on"
                f" {self.processes} processes",
                "a whole number of accumulation steps",
                "Change one of the three.",
            )
        return micro, accumulation

    def micro_batches(self) -> list[int]:
        """Return `batches()[0]` and the smaller sizes to try if memory is short, down to 1.

        Each is half of the one before or, if that does not divide the batch, the next smaller that
        does.
        """
        micro, accumulation = self.batches()
        sizes = [micro]
        while (last := sizes[-1]) > 1:
            smaller = range(last // 2, 0, -1)
            sizes.append(next(size for size in smaller if micro * accumulation % size == 0))
        return sizes

    def with_micro_batch(self, size: int) -> "TrainingJob":
        """Return the job with so many sentences per forward pass, and the same batch."""
        return replace(self, entry=self.entry.changed(train={"micro_batch_size": size}))

    def identity(self) -> dict[str, Any]:
        """Return all that a checkpoint of this job depends on."""
        # Checkpoints of older heads, in peft's form, cannot be resumed from.
        heads = {"checkpoints": "trained weights"} if self.entry.family == "llm-head" else {}
        return heads | {
            "model": self.name,
            "settings": self.entry.training_settings(),
            "seed": self.seed,
            "data": dict(self.data),
            "sentences": [len(self.train), len(self.dev)],
            "processes": self.processes,
            "versions": {name: version(name) for name in ("torch", "transformers", "peft")},
            "source": listing(self.entry.source.hub),
        }
