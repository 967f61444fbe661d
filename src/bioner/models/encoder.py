"""Token classifiers: tags of sentences, in batches of windows."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import accumulate

import numpy as np
import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from bioner.data.instances import Instance
from bioner.data.raw_outputs import DECIMALS, Tagged, WordLogProbs
from bioner.io.progress_bars import ignore
from bioner.models.requirements import check_ids
from bioner.models.subword_windows import cut, gathered
from bioner.scoring.tally import Array
from bioner.settings.model_entry import ModelEntry


@torch.inference_mode()
def tag(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    instances: Sequence[Instance],
    entry: ModelEntry,
    batch_size: int,
    padded: bool = False,
    log_probs: bool = False,
    on_progress: Callable[[int], None] = ignore,
) -> list[Tagged]:
    """Tag the deciding subwords of every sentence, in order.

    A batch holds windows of similar length.

    Args:
        entry: The entry the model was trained with: windows, deciding subwords.
        batch_size: Windows per batch, at most.
        padded: Pad all windows to `max_length`, as the paper did.
        log_probs: Also return the log-probabilities of all labels, word by word.
        on_progress: Called with the number of sentences tagged since the last call.
    """
    sentences = [instance.tokens for instance in instances]
    made = cut(tokenizer, sentences, entry.max_length, entry.label_subwords, entry.repeat).windows
    windows = [window for of_sentence in made for window in of_sentence]
    check_ids(model, (id_ for window in windows for id_ in window.input_ids))
    ends = {number - 1 for number in accumulate(map(len, made))}  # last windows of sentences
    best: list[list[int]] = [[] for _ in windows]
    scores: dict[int, Array] = {}  # logits of a window, subwords x labels
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
        logits = model(**encoded.to(model.device)).logits
        for number, row in zip(batch, logits.argmax(-1).tolist(), strict=True):
            best[number] = row
        if log_probs:
            for number, values in zip(batch, logits.float().cpu().numpy(), strict=True):
                scores[number] = values[: lengths[number]]
        on_progress(sum(number in ends for number in batch))
    labels = model.config.id2label
    rows, numbers = iter(best), iter(range(len(windows)))
    outputs = []
    for instance, of_sentence in zip(instances, made, strict=True):
        tags = [[labels[label] for label in next(rows)] for _ in of_sentence]
        output = gathered(instance.id, of_sentence, tags)
        if log_probs:
            pieces = [scores[next(numbers)][window.deciding] for window in of_sentence]
            logits = np.concatenate([np.zeros((0, len(labels))), *pieces])
            likely = word_log_probs(output.words, logits, len(instance.tokens))
            alternatives = [[[labels[label]] for label in sorted(labels)]]
            output = replace(output, alternatives=alternatives, log_probs=likely)
        outputs.append(output)
    return outputs


def word_log_probs(words: Sequence[int], logits: Array, count: int) -> list[WordLogProbs]:
    """Return the log-probabilities of all labels for each of `count` words.

    They are those of the mean of the logits of the word's pieces: a logarithmic opinion pool, which
    temperature scaling leaves one (the mean of scaled logits is the scaled mean).

    Args:
        words: The word of each piece.
        logits: Pieces x labels.
    """
    pieces = np.bincount(words, minlength=count)
    means = np.zeros((count, logits.shape[1]))
    np.add.at(means, words, logits)
    means /= np.maximum(pieces, 1)[:, None]
    log_probs = means - np.logaddexp.reduce(means, axis=1, keepdims=True)
    rows = (np.minimum(log_probs.round(DECIMALS), 0.0) + 0.0).tolist()  # no -0.0
    return [[(0, row)] if any_piece else [] for row, any_piece in zip(rows, pieces, strict=True)]


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
