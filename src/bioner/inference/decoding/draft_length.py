"""How many words to draft per pass: few mean many passes, many are wasted after a wrong one."""

from functools import lru_cache

import numpy as np
from transformers import PreTrainedModel

CPU_OVERHEAD = 96.0  # ids, for small models on two cores (benchmarks/decoding.py)
# Estimates for data-centre GPUs; nothing has been measured on one.
LAYER_SECONDS = 4.2e-4  # 30 kernels (benchmarks/parts/kernels.py) of 14 microseconds
FLOPS = 5e14  # per second: half an H100's peak in bf16
# Ids: what fits into the time of reading the weights; enough for whole sentences.
GPU_OVERHEADS = (300.0, 4096.0)
DRAFT_LENGTHS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 256, 512)


class DraftLength:
    """The number of words per pass: `fixed`, or that with the least expected cost.

    For a sentence of `length` words a pass costs `overhead` ids, shared by the rows, and
    `ids_per_word` for each drafted word. A draft is right with the probability observed so far;
    words after the first wrong one are read again.
    """

    def __init__(
        self, fixed: int | None, overhead: float, length: float, ids_per_word: float
    ) -> None:
        self._fixed, self._overhead = fixed, overhead
        self._length, self._ids = max(1, round(length)), ids_per_word
        self._right, self._tried = 19.0, 20.0  # before anything is counted

    def learn(self, right: int, tried: int) -> None:
        """Count how many drafts a pass has checked, and how many of them were right."""
        self._right += right
        self._tried += tried

    def words(self, rows: int) -> int:
        """Return the number of words to draft in each of `rows` rows."""
        if self._fixed:
            return self._fixed
        return cheapest(
            self._length, self._ids, self._overhead / rows, round(self._right / self._tried, 2)
        )


@lru_cache(maxsize=1000)
def cheapest(length: int, ids: float, overhead: float, right: float) -> int:
    """Return the draft length with the least expected cost per sentence."""
    return min(
        DRAFT_LENGTHS, key=lambda window: expected_cost(window, length, ids, overhead, right)
    )


def expected_cost(window: int, length: int, ids: float, overhead: float, right: float) -> float:
    """Return the expected cost of a sentence in ids, passes' overhead included.

    Args:
        window: words drafted per pass.
        length: words of the sentence.
        ids: ids per word.
        overhead: what a pass costs besides its ids.
        right: probability that a draft is right, independently of the others.
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
    """Return the cost of a pass besides its ids, in ids.

    A constant on the CPU. On a GPU it is the time to launch the kernels of all layers over the
    arithmetic of one id (two FLOPs per parameter), within bounds. It is computed, not measured: the
    words drafted per pass decide its shape, and shapes decide how bf16 rounds, so a timing would
    make predictions differ between runs.
    """
    if model.device.type != "cuda":
        return CPU_OVERHEAD
    layers: int = model.config.get_text_config().num_hidden_layers
    seconds_per_id = 2 * int(model.num_parameters()) / FLOPS
    lowest, highest = GPU_OVERHEADS
    return min(max(layers * LAYER_SECONDS / seconds_per_id, lowest), highest)
