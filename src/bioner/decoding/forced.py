"""Forced words: which ids may come next when only the tags are the model's to choose."""

from collections.abc import Sequence

import torch
from transformers import PreTrainedTokenizerBase

from bioner.instances import Instance
from bioner.models.prompt import line_ids

Line = tuple[int, ...]


class LineConstraint:
    """The ids allowed next in each row of a batch: one whole `token:TAG` line a token, then end-of-sequence.

    Branches on whole lines, since tokenizers merge across the border of word and tag (`:B`, `(:`). Called by
    `generate` with a row and the ids generated in it so far.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase, instances: Sequence[Instance], tags: Sequence[str]) -> None:
        self._end = [tokenizer.eos_token_id]
        self._lines: list[list[list[Line]]] = [
            [[tuple(line_ids(tokenizer, token, tag)) for tag in tags] for token in instance.tokens]
            for instance in instances
        ]
        self._word = [0] * len(instances)
        self._start = [0] * len(instances)
        self.longest = 1 + max(sum(max(map(len, lines)) for lines in words) for words in self._lines)

    def __call__(self, row: int, generated: torch.Tensor) -> list[int]:
        words = self._lines[row]
        if self._word[row] < len(words):
            written = tuple(generated[self._start[row] :].tolist())
            if written in words[self._word[row]]:
                self._word[row] += 1
                self._start[row] += len(written)
                written = ()
        if self._word[row] == len(words):
            return self._end
        depth = len(written)
        return sorted({line[depth] for line in words[self._word[row]] if line[:depth] == written})
