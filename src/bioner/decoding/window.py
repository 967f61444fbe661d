"""How many words to draft a pass: few are many passes, many are thrown away behind the first that is wrong."""

import time

import torch
from transformers import PreTrainedModel

MOST = 512  # words; beyond that a sentence is drafted whole anyway
CPU_OVERHEAD = 128.0  # ids: of small models on two cores (benchmarks/decoding.py)


class Window:
    """The number of words a pass, `fixed` or chosen.

    A pass over b rows costs as much as `overhead` + b·w·t ids, t of them a word, and w drafted words, each right with
    probability p, bring (1 - p^w) / (1 - p) answers. The w with the least cost an answer is taken; p is counted as
    decoding goes.
    """

    def __init__(self, fixed: int | None, overhead: float) -> None:
        self._fixed, self._overhead = fixed, overhead
        self._right, self._tried = 19.0, 20.0  # before anything is counted

    def learn(self, right: int, tried: int) -> None:
        """Count the outcome of a pass: how many drafts were looked at, and how many of them were right."""
        self._right += right
        self._tried += tried

    def words(self, rows: int, ids_a_word: float) -> int:
        """Words to draft in each of `rows` rows."""
        if self._fixed:
            return self._fixed
        p = min(self._right / self._tried, 0.999)
        best, least = 1, float("inf")
        for words in range(1, MOST + 1):
            cost = (self._overhead / rows + words * ids_a_word) * (1 - p) / (1 - p**words)
            if cost >= least:
                break
            best, least = words, cost
        return best


def overhead_of(model: PreTrainedModel) -> float:
    """What a pass costs beside its ids, in ids: measured on a GPU; fixed on the CPU, so that runs are equal."""
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
