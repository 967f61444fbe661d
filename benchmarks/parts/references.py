"""Plain ways to decode under the same constraint, to compare with: correct, well known, slow."""

from collections.abc import Iterator, Sequence

import torch
from transformers import DynamicCache, GenerationConfig, PreTrainedModel, PreTrainedTokenizerBase

from bioner.data.instances import Instance
from bioner.data.tags import tag_set
from bioner.models.prompt import line_ids, prompt_ids

Line = tuple[int, ...]


class LineConstraint:
    """The ids allowed next in each row of a batch: one whole `token:TAG` line a token, then
    end-of-sequence.

    Called by `generate` with a row and the ids generated in it so far.
    """

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerBase,
        instances: Sequence[Instance],
        types: Sequence[str],
    ) -> None:
        tags = tag_set(types)
        self._end = [tokenizer.eos_token_id]
        self.lines: list[list[list[Line]]] = [
            [[tuple(line_ids(tokenizer, token, tag)) for tag in tags] for token in instance.tokens]
            for instance in instances
        ]
        self._tags = tags
        self._word = [0] * len(instances)
        self._start = [0] * len(instances)
        self.longest = 1 + max(sum(max(map(len, lines)) for lines in words) for words in self.lines)

    def __call__(self, row: int, generated: Sequence[int]) -> list[int]:
        """Ids that may come next in this row."""
        words = self.lines[row]
        if self._word[row] < len(words):
            written = tuple(generated[self._start[row] :])
            if written in words[self._word[row]]:
                self._word[row] += 1
                self._start[row] += len(written)
                written = ()
        if self._word[row] == len(words):
            return self._end
        depth = len(written)
        return sorted({line[depth] for line in words[self._word[row]] if line[:depth] == written})

    def tags(self, row: int, generated: Sequence[int]) -> list[str]:
        """The tags of a row's finished answer."""
        found, start = [], 0
        for lines in self.lines[row]:
            place = next(
                place
                for place, line in enumerate(lines)
                if tuple(generated[start : start + len(line)]) == line
            )
            found.append(self._tags[place])
            start += len(lines[place])
        return found


def batches(
    tokenizer: PreTrainedTokenizerBase,
    instances: Sequence[Instance],
    types: Sequence[str],
    batch_size: int,
) -> Iterator[tuple[list[int], LineConstraint, list[list[int]]]]:
    """Sentences of similar length: their numbers, what they may be answered with, their prompts."""
    order = sorted(range(len(instances)), key=lambda index: -len(instances[index].tokens))
    for start in range(0, len(order), batch_size):
        numbers = order[start : start + batch_size]
        chosen = [instances[index] for index in numbers]
        prompts = [prompt_ids(tokenizer, instance.tokens, types) for instance in chosen]
        yield numbers, LineConstraint(tokenizer, chosen, types), prompts


@torch.inference_mode()
def by_generate(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    instances: Sequence[Instance],
    types: Sequence[str],
    batch_size: int,
) -> list[list[str]]:
    """Tags by transformers' `generate` with a LogitsProcessor, sentences of similar length in a
    batch.
    """
    found: dict[int, list[str]] = {}
    tokenizer.padding_side = "left"
    for numbers, constraint, prompts in batches(tokenizer, instances, types, batch_size):
        batch = tokenizer.pad({"input_ids": prompts}, return_tensors="pt").to(model.device)
        width = batch["input_ids"].shape[1]
        settings = GenerationConfig(
            do_sample=False,
            max_new_tokens=constraint.longest,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
        output = model.generate(
            **batch,
            generation_config=settings,
            prefix_allowed_tokens_fn=lambda row, ids, width=width, allow=constraint: allow(
                row, ids[width:].tolist()
            ),
        )
        for row, (index, ids) in enumerate(zip(numbers, output.tolist(), strict=True)):
            found[index] = constraint.tags(row, ids[width:])
    return [found[index] for index in range(len(instances))]


@torch.inference_mode()
def one_by_one(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    instances: Sequence[Instance],
    types: Sequence[str],
    batch_size: int,
) -> list[list[str]]:
    """Tags by a bare loop, a pass a token, keys and values kept: `generate` without what it costs
    beside the passes.
    """
    found: dict[int, list[str]] = {}
    for numbers, constraint, prompts in batches(tokenizer, instances, types, batch_size):
        widest = max(map(len, prompts))
        ids = torch.tensor(
            [[tokenizer.pad_token_id] * (widest - len(prompt)) + prompt for prompt in prompts]
        )
        mask = torch.tensor(
            [[0] * (widest - len(prompt)) + [1] * len(prompt) for prompt in prompts]
        )
        written: list[list[int]] = [[] for _ in numbers]
        cache = DynamicCache()
        while not all(row and row[-1] == tokenizer.eos_token_id for row in written):
            positions = (mask.cumsum(1) - 1).clamp(min=0)[:, -ids.shape[1] :]
            logits = model(
                input_ids=ids.to(model.device),
                attention_mask=mask.to(model.device),
                position_ids=positions.to(model.device),
                past_key_values=cache,
                use_cache=True,
                logits_to_keep=1,
            ).logits[:, -1]
            for row, ids_so_far in enumerate(written):
                allowed = constraint(row, ids_so_far)
                ids_so_far.append(allowed[int(logits[row, allowed].argmax())])
            ids = torch.tensor([[row[-1]] for row in written])
            mask = torch.cat([mask, torch.ones(len(numbers), 1, dtype=mask.dtype)], 1)
        for row, index in enumerate(numbers):
            found[index] = constraint.tags(row, written[row])
    return [found[index] for index in range(len(instances))]
