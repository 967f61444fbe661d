"""In what order examples are trained on: by seed and epoch alone, the same however many processes
share a step.

transformers' own samplers draw from the global generator: resumed inside an epoch, a training would
see other batches.
"""

from collections.abc import Iterator, Mapping, Sequence

import torch
from torch.utils.data import Sampler
from transformers.trainer_pt_utils import get_length_grouped_indices

from bioner.models import IGNORED

Example = Mapping[str, Sequence[int]]


class EpochSampler(Sampler[int]):
    """Numbers of examples of these lengths for an epoch, `step` of them an optimiser step.

    `fillers` come last: numbers behind those of the examples.
    """

    def __init__(self, lengths: Sequence[int], step: int, seed: int, fillers: int = 0) -> None:
        self.lengths, self.step, self.seed, self.fillers = lengths, step, seed, fillers
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Say which epoch is next; accelerate does."""
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self.lengths) + self.fillers

    def __iter__(self) -> Iterator[int]:
        count = len(self.lengths)
        yield from self._order(torch.Generator().manual_seed((self.seed << 16) + self.epoch))
        yield from range(count, count + self.fillers)

    def _order(self, generator: torch.Generator) -> Iterator[int]:
        raise NotImplementedError


class ShuffledSampler(EpochSampler):
    """Random steps, their examples sorted by length.

    So a pass over a part of a step has little padding, and the parts that processes take are of one
    length. What is learned is the same as in any order within the step, for the loss is a mean over
    it.
    """

    def _order(self, generator: torch.Generator) -> Iterator[int]:
        order = torch.randperm(len(self.lengths), generator=generator).tolist()
        for start in range(0, len(order), self.step):
            yield from sorted(
                order[start : start + self.step], key=lambda number: -self.lengths[number]
            )


class LengthGroupedSampler(EpochSampler):
    """Steps of one length each: no padding even where a step is one pass.

    For classifiers, which learn as well from it; for a small LLM it is another training
    (docs/training.md).
    """

    def _order(self, generator: torch.Generator) -> Iterator[int]:
        yield from get_length_grouped_indices(list(self.lengths), self.step, generator=generator)


def pad_to_full_batches(
    examples: Sequence[Example], batch_size: int, processes: int
) -> list[Example]:
    """The examples and, so that batches go round in several processes, some of one or two ids
    without a label.

    accelerate would repeat examples instead: several processes would train, or be scored, on other
    data than one.
    """
    lacking = -len(examples) % (batch_size * processes) if processes > 1 else 0
    return [*examples, *(_without_label(examples[0]) for _ in range(lacking))]


def _without_label(example: Example) -> Example:
    short = {name: list(values[:2]) for name, values in example.items()}
    return short | {"labels": [IGNORED] * len(short["labels"])}
