"""Free decoding: the model writes what it likes, as the paper's did; realignment comes later."""

import math
from collections.abc import Sequence
from typing import Any

import torch
from peft import PeftModel
from transformers import (
    GenerationConfig,
    LogitsProcessor,
    LogitsProcessorList,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from bioner.data.instances import Instance
from bioner.data.raw_outputs import Generated
from bioner.data.tags import OUTSIDE
from bioner.inference.decoding.requests import (
    beyond_positions,
    group_by_length,
    make_requests,
    split_readable,
)
from bioner.models.positions import readable_ids
from bioner.models.requirements import check_ids, check_logits
from bioner.models.verbalizer import Verbalizer


class FreeDecoder:
    """A model that writes an answer through `generate`, until it ends or reaches its token budget.

    Answers name tags as the data does, however the model spells them.

    Greedy answers do not depend on the batch: rows are padded on the left and positions skip the
    padding. (On a GPU sums may be rounded differently in another batch, and near ties fall another
    way.)

    Args:
        tokens_per_word: new tokens per word of an instance, at most.
        inherit: use the generation settings that the model came with, as in the paper's code;
            otherwise decoding is greedy (Llama-3.1-Instruct ships with sampling at temperature
            0.6).
        seed: for tokens that are drawn.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        types: Sequence[str],
        tokens_per_word: int,
        *,
        inherit: bool = False,
        seed: int = 0,
        verbalizer: Verbalizer | None = None,
    ) -> None:
        self._spelling = verbalizer or Verbalizer(types)
        self._model, self._tokenizer, self._types = model, tokenizer, types
        self._readable = readable_ids(model)
        self._tokens_per_word, self._inherit, self._seed = tokens_per_word, inherit, seed
        own = model.generation_config
        ends = own.eos_token_id if isinstance(own.eos_token_id, list) else [own.eos_token_id]
        self._ends = sorted({tokenizer.eos_token_id, *(end for end in ends if end is not None)})
        self._own = own
        self._settings = (
            GenerationConfig.from_dict(own.to_dict())
            if inherit
            else GenerationConfig(do_sample=False)
        )
        self._settings.update(
            max_length=None,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=self._ends,
            pad_token_id=tokenizer.pad_token_id,
        )
        self.took: dict[str, float] = {}

    @property
    def settings(self) -> dict[str, Any]:
        """How tokens are chosen, for the run record: settings unlike transformers' defaults."""
        chosen = {
            name: value
            for name, value in self._settings.to_diff_dict().items()
            if not name.startswith("_")
        }
        return {
            "generation": chosen,
            "generation_seed": self._seed if self._settings.do_sample else None,
        }

    @torch.inference_mode()
    def __call__(
        self, instances: Sequence[Instance], batch_size: int, part: int = 0
    ) -> list[Generated]:
        """Return what the model writes for every instance, in order.

        Tokens are drawn by the seed and `part`, the number of a shard.

        Raises:
            InputError: A logit is NaN or infinite; the answer would be the first id, repeated.
        """
        torch.manual_seed(self._seed * 1_000_003 + part)
        requests = make_requests(self._tokenizer, instances, self._types, self._spelling[OUTSIDE])
        beyond = beyond_positions(self._model, requests, self._readable)
        requests, written = split_readable(requests, self._readable)
        check_ids(self._model, set[int]().union(*(request.prompt for request in requests)))
        self.took = {"new_tokens": 0, "truncated": 0, "beyond_positions": beyond}
        self.took["undecodable"] = len(written)
        for group, count in group_by_length(requests, batch_size):
            for start in range(0, len(group), count):
                together = group[start : start + count]
                room = [self._readable - len(item.prompt) for item in together]
                budgets = [
                    min(self._tokens_per_word * len(item.instance.tokens), left)
                    for item, left in zip(together, room, strict=True)
                ]
                prompts = [item.prompt for item in together]
                rows = self._generate(prompts, min(max(budgets), *room))
                for item, ids, budget in zip(together, rows, budgets, strict=True):
                    if len(ids) < budget and not set(self._ends) & set(ids):
                        # Cut short where a longer prompt's positions ended.
                        ids = self._generate([item.prompt], budget)[0]
                    written[item.index] = self._answer(item.instance.id, ids[:budget])
        return [written[index] for index in range(len(instances))]

    def _answer(self, id_: str, ids: list[int]) -> Generated:
        """Return the text before the first end, or all of it."""
        end = next((place for place, token in enumerate(ids) if token in self._ends), None)
        ids = ids[:end]
        self.took["new_tokens"] += len(ids)
        self.took["truncated"] += end is None
        text = self._spelling.read(self._tokenizer.decode(ids, skip_special_tokens=True))
        return Generated(id_, text, len(ids), end is not None)

    def _generate(self, prompts: Sequence[Sequence[int]], budget: int) -> list[list[int]]:
        batch = self._tokenizer.pad(
            {"input_ids": prompts}, padding_side="left", return_tensors="pt"
        ).to(self._model.device)
        self._settings.max_new_tokens = budget
        finite = FiniteLogits(self._tokenizer, draws=bool(self._settings.do_sample))
        # `generate` fills in from the model's own settings what a configuration leaves open.
        self._model.generation_config = self._own if self._inherit else GenerationConfig()
        try:
            output = self._model.generate(
                **batch,
                generation_config=self._settings,
                logits_processor=LogitsProcessorList([finite]),
            )
        finally:
            self._model.generation_config = self._own
            if isinstance(self._model, PeftModel):  # it hands its own settings to its base
                self._model.get_base_model().generation_config = self._own
        finite.check()
        rows: list[list[int]] = output[:, batch["input_ids"].shape[1] :].tolist()
        return rows


class FiniteLogits(LogitsProcessor):  # type: ignore[misc]
    """Sums each row's largest logit over all steps, so that NaN and infinity stay in the sum.

    Args:
        draws: tokens are drawn: look in every step, since drawing from NaN is an assertion on a GPU
            that ends the process. Otherwise the device is not asked before `check`.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase, *, draws: bool) -> None:
        self._tokenizer, self._draws = tokenizer, draws
        self._sum: torch.Tensor | float = 0.0

    def __call__(self, input_ids: torch.LongTensor, scores: torch.FloatTensor) -> torch.FloatTensor:
        self._sum = self._sum + scores.amax(-1).sum()
        if self._draws:
            self.check()
        return scores

    def check(self) -> None:
        """Raise InputError if a logit so far was NaN or infinite."""
        check_logits(self._tokenizer, math.isfinite(float(self._sum)))
