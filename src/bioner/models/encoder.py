"""Token classifiers: tags of sentences, in batches of windows."""

from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from bioner.data.instances import Instance
from bioner.data.raw_outputs import Tagged
from bioner.io.progress_bars import ignore
from bioner.models.requirements import check_ids
from bioner.models.subword_windows import cut, gathered
from bioner.settings.model_entry import ModelEntry


@torch.inference_mode()
def tag(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    instances: Sequence[Instance],
    entry: ModelEntry,
    batch_size: int,
    padded: bool = False,
    on_progress: Callable[[int], None] = ignore,
) -> list[Tagged]:
    """Tag the deciding subwords of every sentence, in order.

    A batch holds windows of similar length. A model that was trained in bf16 runs under autocast,
    as the Trainer evaluates it on dev; its weights stay as trained.

    Args:
        entry: What the model was trained with: windows, precision, which subwords decide.
        batch_size: Windows per batch, at most.
        padded: Run in fp32 with all windows padded to `max_length`, as the paper did.
        on_progress: Called with the number of sentences tagged since the last call.
    """
    bf16 = entry.train.precision == "bf16" and not padded
    sentences = [instance.tokens for instance in instances]
    made = cut(tokenizer, sentences, entry.max_length, entry.label_subwords, entry.repeat).windows
    windows = [window for of_sentence in made for window in of_sentence]
    check_ids(model, (id_ for window in windows for id_ in window.input_ids))
    ends = {number - 1 for number in accumulate(map(len, made))}  # last windows of sentences
    best: list[list[int]] = [[] for _ in windows]
    lengths = [len(window.input_ids) for window in windows]
    for batch in batches(lengths, batch_size, entry.predict.batch_tokens):
        encoded = tokenizer.pad(
            {"input_ids": [windows[number].input_ids for number in batch]},
            padding="max_length" if padded else "longest",
            max_length=entry.max_length if padded else None,
            padding_side="right",
            return_attention_mask=True,
            return_tensors="pt",
        )
        with torch.autocast(model.device.type, torch.bfloat16, enabled=bf16):
            logits = model(**encoded.to(model.device)).logits
        for number, row in zip(batch, logits.argmax(-1).tolist(), strict=True):
            best[number] = row
        on_progress(sum(number in ends for number in batch))
    labels = model.config.id2label
    rows = iter(best)
    return [
        gathered(
            instance.id, of_sentence, [[labels[label] for label in next(rows)] for _ in of_sentence]
        )
        for instance, of_sentence in zip(instances, made, strict=True)
    ]


def batches(lengths: Sequence[int], most: int, tokens: int) -> Iterator[list[int]]:
    """Yield numbers of sequences in batches, longest first.

    A batch has at most `most` sequences and, padded, at most `tokens` subwords. A longer sequence
    is a batch of its own.
    """
    order = sorted(range(len(lengths)), key=lambda number: -lengths[number])
    start = 0
    while start < len(order):
        size = max(1, min(most, tokens // lengths[order[start]]))
        yield order[start : start + size]
        start += size
