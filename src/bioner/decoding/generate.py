"""Batched greedy generation, free or with the words of the input forced; both through `generate`."""

import logging
import time
from collections.abc import Callable, Sequence

import torch
from transformers import GenerationConfig, PreTrainedModel, PreTrainedTokenizerBase

from bioner.decoding.forced import LineConstraint
from bioner.instances import Instance
from bioner.models.prompt import prompt_ids
from bioner.raw import Generated
from bioner.tags import tag_set

log = logging.getLogger(__name__)


@torch.inference_mode()
def generate(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    instances: Sequence[Instance],
    types: Sequence[str],
    decoding: str,
    batch_size: int,
    tokens_per_word: int,
) -> list[Generated]:
    """What the model writes for every instance, in order; batches hold prompts of similar length.

    `free` lets the model write until it ends or has used `tokens_per_word` new tokens a word of the batch's longest
    instance; `forced` allows it only lines of the input's words with a legal tag each. Greedy in both: the model's own
    sampling settings are set aside (Llama-3.1-Instruct ships with temperature 0.6).
    """
    prompts = [prompt_ids(tokenizer, instance.tokens, types) for instance in instances]
    order = sorted(range(len(instances)), key=lambda index: -len(prompts[index]))
    written: dict[int, Generated] = {}
    spoke = time.monotonic()
    for start in range(0, len(order), batch_size):
        chosen = order[start : start + batch_size]
        batch = [instances[index] for index in chosen]
        constraint = LineConstraint(tokenizer, batch, tag_set(types)) if decoding == "forced" else None
        budget = constraint.longest if constraint else tokens_per_word * max(len(item.tokens) for item in batch)
        rows = _generate(model, tokenizer, [prompts[index] for index in chosen], budget, constraint)
        for index, ids in zip(chosen, rows, strict=True):
            stopped = tokenizer.eos_token_id in ids
            ids = ids[: ids.index(tokenizer.eos_token_id)] if stopped else ids
            text = tokenizer.decode(ids, skip_special_tokens=True)
            written[index] = Generated(instances[index].id, text, len(ids), stopped)
        if time.monotonic() - spoke > 10:
            spoke = time.monotonic()
            log.info("predict: %d of %d sentences", len(written), len(instances))
    return [written[index] for index in range(len(instances))]


def _generate(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prompts: Sequence[Sequence[int]],
    budget: int,
    constraint: Callable[[int, torch.Tensor], list[int]] | None,
) -> list[list[int]]:
    tokenizer.padding_side = "left"
    batch = tokenizer.pad({"input_ids": [list(prompt) for prompt in prompts]}, return_tensors="pt").to(model.device)
    width = batch["input_ids"].shape[1]
    settings = GenerationConfig(
        do_sample=False,
        num_beams=1,
        repetition_penalty=1.0,
        max_new_tokens=budget,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    allowed = (lambda row, ids: constraint(row, ids[width:])) if constraint else None
    output = model.generate(**batch, generation_config=settings, prefix_allowed_tokens_fn=allowed)
    rows: list[list[int]] = output[:, width:].tolist()
    return rows
