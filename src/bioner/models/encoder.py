"""Token classifiers: tags of sentences, in batches of windows."""

from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate

import torch
from torch.nn.functional import pad
from torch.nn.utils.rnn import pad_sequence
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
    """Tags of every sentence's deciding subwords, in order; `on_progress` hears how many more
    sentences are tagged.

    A batch holds windows of similar length: at most `batch_size` of them, and `batch_tokens`
    subwords with the padding. `bf16` runs under autocast, as the Trainer evaluates on dev: the
    weights stay as they were trained. Shorter windows are filled up to `pad_to`, which only takes
    time (the paper did it).
    """
    made = cut(tokenizer, sentences, max_length, deciding, in_text=in_text).windows
    windows = [window for of_sentence in made for window in of_sentence]
    ends = {number - 1 for number in accumulate(map(len, made))}  # last windows of sentences
    best: list[list[int]] = [[] for _ in windows]
    for batch in batches([len(window.input_ids) for window in windows], batch_size, batch_tokens):
        ids_of = [torch.tensor(windows[number].input_ids) for number in batch]
        padded = pad_sequence(ids_of, batch_first=True, padding_value=tokenizer.pad_token_id)
        mask = pad_sequence([torch.ones_like(row) for row in ids_of], batch_first=True)
        if lacking := max(0, pad_to - padded.shape[1]):
            padded, mask = (
                pad(padded, (0, lacking), value=tokenizer.pad_token_id),
                pad(mask, (0, lacking)),
            )
        with torch.autocast(model.device.type, torch.bfloat16, enabled=bf16):
            logits = model(
                input_ids=padded.to(model.device), attention_mask=mask.to(model.device)
            ).logits
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
    """Numbers of sequences, longest first, in batches of at most `most` and, padded, at most
    `tokens` subwords.

    A sequence longer than `tokens` is a batch of its own.
    """
    order = sorted(range(len(lengths)), key=lambda number: -lengths[number])
    start = 0
    while start < len(order):
        size = max(1, min(most, tokens // lengths[order[start]]))
        yield order[start : start + size]
        start += size
