"""Token classifiers: tags of sentences, in batches of windows."""

from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from bioner.data.raw_outputs import Tagged
from bioner.io.progress_bars import ignore
from bioner.models.subword_windows import Deciding, cut, gathered


@torch.inference_mode()
def tag(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    ids: Sequence[str],
    sentences: Sequence[Sequence[str]],
    max_length: int,
    deciding: Deciding = "all",
    *,
    batch_size: int,
    batch_tokens: int,
    bf16: bool = False,
    in_text: bool = False,
    pad_to: int = 0,
    on_progress: Callable[[int], None] = ignore,
) -> list[Tagged]:
    """Tag the deciding subwords of every sentence, in order.

    A batch holds windows of similar length.

    Args:
        max_length: subwords per window, special tokens included.
        deciding: which subwords of a word decide its tag.
        batch_size: windows per batch, at most.
        batch_tokens: subwords per batch, with the padding, at most.
        bf16: run under autocast, as the Trainer evaluates on dev; the weights stay as trained.
        in_text: tokenize the words joined by blanks.
        pad_to: pad all windows to this length, which only takes time (the paper did it); 0: do not.
        on_progress: called with the number of sentences tagged since the last call.
    """
    made = cut(tokenizer, sentences, max_length, deciding, in_text=in_text).windows
    windows = [window for of_sentence in made for window in of_sentence]
    ends = {number - 1 for number in accumulate(map(len, made))}  # last windows of sentences
    best: list[list[int]] = [[] for _ in windows]
    for batch in batches([len(window.input_ids) for window in windows], batch_size, batch_tokens):
        padded = tokenizer.pad(
            {"input_ids": [windows[number].input_ids for number in batch]},
            padding="max_length" if pad_to else "longest",
            max_length=pad_to or None,
            padding_side="right",
            return_attention_mask=True,
            return_tensors="pt",
        )
        with torch.autocast(model.device.type, torch.bfloat16, enabled=bf16):
            logits = model(**padded.to(model.device)).logits
        for number, row in zip(batch, logits.argmax(-1).tolist(), strict=True):
            best[number] = row
        on_progress(sum(number in ends for number in batch))
    labels = model.config.id2label
    rows = iter(best)
    return [
        gathered(id_, of_sentence, [[labels[label] for label in next(rows)] for _ in of_sentence])
        for id_, of_sentence in zip(ids, made, strict=True)
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
