"""Encoders: words to subwords and back, without losing a word."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from bioner.models import IGNORED
from bioner.raw import Tagged


@dataclass(frozen=True, slots=True)
class Piece:
    """A run of whole words that fits the window; `words` holds each subword's word index, None for special tokens."""

    input_ids: list[int]
    words: list[int | None]


def pieces(tokenizer: PreTrainedTokenizerBase, tokens: Sequence[str], max_length: int) -> Iterator[Piece]:
    """Subwords of a sentence, in as many pieces of whole words as the window of `max_length` subwords asks for.

    No word is lost: a sentence too long is cut between words; one word longer than the window alone keeps its first
    subwords. Words that the tokenizer maps to nothing simply have no subword.
    """
    yield from _pieces(tokenizer, tokens, 0, max_length)


def _pieces(tokenizer: PreTrainedTokenizerBase, tokens: Sequence[str], first: int, limit: int) -> Iterator[Piece]:
    encoded = tokenizer(list(tokens), is_split_into_words=True)
    ids, words = encoded["input_ids"], encoded.word_ids()
    if len(ids) > limit and len(tokens) > 1:
        half = len(tokens) // 2
        yield from _pieces(tokenizer, tokens[:half], first, limit)
        yield from _pieces(tokenizer, tokens[half:], first + half, limit)
        return
    if len(ids) > limit:
        encoded = tokenizer(list(tokens), is_split_into_words=True, truncation=True, max_length=limit)
        ids, words = encoded["input_ids"], encoded.word_ids()
    yield Piece(ids, [None if word is None else word + first for word in words])


def labelled(piece: Piece, tags: Sequence[str], label2id: dict[str, int]) -> dict[str, list[int]]:
    """A training example: every subword carries its word's label (the paper's code), special tokens none."""
    labels = [IGNORED if word is None else label2id[tags[word]] for word in piece.words]
    return {"input_ids": piece.input_ids, "attention_mask": [1] * len(labels), "labels": labels}


@torch.inference_mode()
def tag(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    ids: Sequence[str],
    sentences: Sequence[Sequence[str]],
    batch_size: int,
    max_length: int,
    bf16: bool = False,
) -> list[Tagged]:
    """Subword tags of every sentence, in order; batches hold pieces of similar length.

    `bf16` runs under autocast, as the Trainer evaluates on dev: the weights stay as they were trained.
    """
    cut = [(index, piece) for index, words in enumerate(sentences) for piece in pieces(tokenizer, words, max_length)]
    order = sorted(range(len(cut)), key=lambda position: -len(cut[position][1].input_ids))
    labels = model.config.id2label
    found: dict[int, list[str]] = {}
    for start in range(0, len(order), batch_size):
        positions = order[start : start + batch_size]
        batch = tokenizer.pad(
            {"input_ids": [cut[position][1].input_ids for position in positions]}, return_tensors="pt"
        )
        with torch.autocast(model.device.type, torch.bfloat16, enabled=bf16):
            best = model(**batch.to(model.device)).logits.argmax(-1).tolist()
        for position, row in zip(positions, best, strict=True):
            found[position] = [labels[label] for label in row]
    outputs = [Tagged(id_, [], []) for id_ in ids]
    for position, (index, piece) in enumerate(cut):
        for word, label in zip(piece.words, found[position], strict=False):
            if word is not None:
                outputs[index].words.append(word)
                outputs[index].tags.append(label)
    return outputs
