"""How many words to draft a pass: few are many passes, many are thrown away behind the first that
is wrong.
"""

import time
from functools import lru_cache

import numpy as np
import torch
from transformers import PreTrainedModel

CPU_OVERHEAD = 96.0  # ids: of small models on two cores (benchmarks/decoding.py)
DRAFT_LENGTHS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 256, 512)


class DraftLength:
    """The number of words a pass, `fixed` or chosen.

    Chosen is the one with the least expected cost of a sentence of `length` words: a pass costs
    `overhead` ids, shared by the rows, and `ids_a_word` for each drafted word; a draft is right
    with a probability that is counted as decoding goes, and what stands behind the first wrong one
    is read again.
    """

    def __init__(
        self, fixed: int | None, overhead: float, length: float, ids_a_word: float
    ) -> None:
        self._fixed, self._overhead = fixed, overhead
        self._length, self._ids = max(1, round(length)), ids_a_word
        self._right, self._tried = 19.0, 20.0  # before anything is counted

    def learn(self, right: int, tried: int) -> None:
        """Count the outcome of a pass: how many drafts were looked at, and how many of them were
        right.
        """
        self._right += right
        self._tried += tried

    def words(self, rows: int) -> int:
        """Words to draft in each of `rows` rows."""
        if self._fixed:
            return self._fixed
        return cheapest(
            self._length, self._ids, self._overhead / rows, round(self._right / self._tried, 2)
        )


@lru_cache(maxsize=1000)
def cheapest(length: int, ids: float, overhead: float, right: float) -> int:
    """The window with the least expected cost of a sentence, in ids read."""
    return min(
        DRAFT_LENGTHS, key=lambda window: expected_cost(window, length, ids, overhead, right)
    )


def expected_cost(window: int, length: int, ids: float, overhead: float, right: float) -> float:
    """Ids that a sentence of so many words costs, passes' overhead among them, where drafts are
    right independently.
    """
    # first[k]: the first wrong draft is number k of the window; costs[n]: of the last n words.
    first = right ** np.arange(window) * (1 - right)
    costs = np.zeros(length + 1)
    for left in range(1, length + 1):
        drafted = min(window, left)
        again = first[:drafted] @ costs[left - drafted : left][::-1]
        costs[left] = overhead + drafted * ids + again + right**drafted * costs[left - drafted]
    return float(costs[length])


def overhead_of(model: PreTrainedModel) -> float:
    """What a pass costs beside its ids, in ids: measured on a GPU; fixed on the CPU, so that runs
    are equal.
    """
    if model.device.type != "cuda":
        return CPU_OVERHEAD
    few, many = (_seconds(model, ids) for ids in (8, 520))
    each = max(many - few, 1e-9) / 512
    return max(few / each - 8, 0.0)


def _seconds(model: PreTrainedModel, ids: int) -> float:
    """The fastest of some passes over that many ids."""
    batch = torch.full((1, ids), 5, device=model.device)
    taken = []
    with torch.inference_mode():
        for _ in range(4):
            torch.cuda.synchronize()
            start = time.perf_counter()
            model(input_ids=batch, use_cache=False, logits_to_keep=1)
            torch.cuda.synchronize()
            taken.append(time.perf_counter() - start)
    return min(taken)
