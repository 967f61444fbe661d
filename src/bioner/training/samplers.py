"""The order of training examples: from seed and epoch only, however many processes share a step.

transformers' own samplers draw from the global generator: after resuming inside an epoch, a
training would see other batches.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import torch
from torch.utils.data import Sampler

from bioner.models import IGNORED

Example = Mapping[str, Sequence[int]]
Order = Callable[..., Iterable[int]]
"""Takes lengths, examples per step and, by name, a `generator`; returns numbers of examples."""


class EpochSampler(Sampler[int]):
    """Numbers of the examples of these lengths in the order of an epoch.

    Args:
        lengths: Ids of each example.
        step: Examples per optimiser step.
        seed: The training's seed.
        order: Arranges the examples: `random_steps`, or transformers' `get_length_grouped_indices`,
            which makes steps of one length each. They need no padding even if a step is one pass.
            Classifiers learn as well from them; for a small LLM it is another training
            (docs/training.md).
        fillers: Numbers after those of the examples, which come last.
    """

    def __init__(
        self,
        lengths: list[int],
        step: int,
        seed: int,
        order: Order,
        fillers: int = 0,
    ) -> None:
        self.lengths, self.step, self.seed, self.fillers = lengths, step, seed, fillers
        self.order = order
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch that is iterated next (accelerate calls this)."""
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self.lengths) + self.fillers

    def __iter__(self) -> Iterator[int]:
        generator = torch.Generator().manual_seed((self.seed << 16) + self.epoch)
        yield from self.order(self.lengths, self.step, generator=generator)
        yield from range(len(self.lengths), len(self))


def random_steps(lengths: list[int], step: int, *, generator: torch.Generator) -> Iterator[int]:
    """Draw random steps, the examples of each sorted by length.

    A pass over a part of a step then has little padding, and processes get parts of one length. The
    order within a step does not change what is learned: the loss is a mean over the step.
    """
    order = torch.randperm(len(lengths), generator=generator).tolist()
    for start in range(0, len(order), step):
        yield from sorted(order[start : start + step], key=lambda number: -lengths[number])


def pad_to_full_batches(
    examples: Sequence[Example], batch_size: int, processes: int
) -> list[Example]:
    """Add unlabelled examples of one or two ids until several processes have full batches.

    accelerate would repeat examples instead: several processes would train, or be scored, on other
    data than one.
    """
    lacking = -len(examples) % (batch_size * processes) if processes > 1 else 0
    return [*examples, *(_without_label(examples[0]) for _ in range(lacking))]


def _without_label(example: Example) -> Example:
    short = {name: list(values[:2]) for name, values in example.items()}
    return short | {"labels": [IGNORED] * len(short["labels"])}
