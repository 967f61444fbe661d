"""Token classifiers: words to subwords and back, without losing a word."""

from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Literal

import torch
from torch.nn.functional import pad
from torch.nn.utils.rnn import pad_sequence
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from bioner.data.raw_outputs import Tagged
from bioner.io.progress_bars import ignore
from bioner.models import IGNORED

Subwords = tuple[list[int], list[int]]
Deciding = Literal["all", "first", "last"]


@dataclass(frozen=True, slots=True)
class SubwordWindow:
    """Part of a sentence that fits the model.

    `words` holds the word index of each subword that decides about its word's tag: None for special tokens, for
    subwords that another window decides about, and with `first` or `last` for all but that of a word.
    """

    input_ids: list[int]
    words: list[int | None]


@dataclass(frozen=True, slots=True)
class Cut:
    """Sentences as windows, and what it took; every subword is decided about in exactly one of them."""

    windows: list[list[SubwordWindow]]
    sentences_cut: int
    words_unknown: int  # without a subword of their own, given the unknown one
    words_lost: int  # without any

    def counts(self) -> dict[str, int]:
        """Windows and words, for run.json."""
        return {
            "windows": sum(map(len, self.windows)),
            "sentences_cut": self.sentences_cut,
            "words_unknown": self.words_unknown,
            "words_lost": self.words_lost,
        }


def cut(
    tokenizer: PreTrainedTokenizerBase,
    sentences: Sequence[Sequence[str]],
    max_length: int,
    deciding: Deciding = "all",
    *,
    in_text: bool = False,
) -> Cut:
    """Sentences as windows of at most `max_length` subwords, special tokens among them.

    Longer sentences, and words longer than a window, become windows that overlap by a quarter; in the overlap each
    window decides about its half. A word that the tokenizer maps to nothing (control characters) becomes the unknown
    subword; a word that looks like a special token is text. With `in_text` subwords are those of the words joined by
    blanks, as LLMs have read them in pretraining.
    """
    if not sentences:
        return Cut([], 0, 0, 0)
    subwords = _in_text(tokenizer, sentences) if in_text else _alone(tokenizer, sentences)
    before, after = _special(tokenizer)
    room = max_length - len(before) - len(after)
    found: list[list[SubwordWindow]] = []
    unknown = lost = 0
    for words, (ids, of_word) in zip(sentences, subwords, strict=True):
        if missing := set(range(len(words))) - set(of_word):
            ids, of_word = _with_unknown(ids, of_word, missing, tokenizer.unk_token_id)
            unknown += len(missing)
            lost += len(missing) if tokenizer.unk_token_id is None else 0
        windows = [
            SubwordWindow(
                [*before, *ids[start:end], *after],
                [None] * len(before) + _deciders(of_word, start, end, own, deciding) + [None] * len(after),
            )
            for start, end, own in _spans(of_word, room)
        ]
        # The middle of a word of hundreds of subwords decides about nothing where the first one does.
        found.append([window for window in windows if any(word is not None for word in window.words)])
    return Cut(found, sum(len(windows) > 1 for windows in found), unknown, lost)


def _alone(tokenizer: PreTrainedTokenizerBase, sentences: Sequence[Sequence[str]]) -> Iterator[Subwords]:
    """Subwords of words that stand alone, and the word of each."""
    # A tokenizer drops what it has no subword for, and would take a word "[SEP]" for the end of the text.
    encoded = tokenizer(
        [list(words) for words in sentences],
        is_split_into_words=True,
        add_special_tokens=False,
        split_special_tokens=True,
    )
    for number, ids in enumerate(encoded["input_ids"]):
        yield ids, encoded.word_ids(number)


def _in_text(tokenizer: PreTrainedTokenizerBase, sentences: Sequence[Sequence[str]]) -> Iterator[Subwords]:
    """Subwords of a text, and the word of each: that of its last character, since blanks go with the word behind."""
    encoded = tokenizer(
        [" ".join(words) for words in sentences],
        add_special_tokens=False,
        split_special_tokens=True,
        return_offsets_mapping=True,
    )
    for words, ids, offsets in zip(sentences, encoded["input_ids"], encoded["offset_mapping"], strict=True):
        ends = [end - 1 for end in accumulate(len(word) + 1 for word in words)]  # the blank behind belongs to the next
        yield ids, [min(bisect_right(ends, max(end - 1, 0)), len(words) - 1) for _, end in offsets]


def _special(tokenizer: PreTrainedTokenizerBase) -> tuple[list[int], list[int]]:
    """Ids that the tokenizer puts before and after a text."""
    bare = tokenizer("a", add_special_tokens=False)["input_ids"]
    whole = tokenizer("a")["input_ids"]
    start = next(place for place in range(len(whole)) if whole[place : place + len(bare)] == bare)
    return whole[:start], whole[start + len(bare) :]


def _with_unknown(
    ids: list[int], of_word: list[int], missing: set[int], unknown: int | None
) -> tuple[list[int], list[int]]:
    """The subwords with the unknown one for each word that has none."""
    if unknown is None:
        return ids, of_word
    pairs = [*zip(of_word, ids, strict=True), *((word, unknown) for word in missing)]
    pairs.sort(key=lambda pair: pair[0])  # stable: the subwords of a word stay in order
    return [subword for _, subword in pairs], [word for word, _ in pairs]


def _spans(of_word: Sequence[int], room: int) -> Iterator[tuple[int, int, range]]:
    """Start and end of each window in subwords, and the subwords that it decides about."""
    count = len(of_word)
    if count <= room:
        yield 0, count, range(count)
        return
    step = room - room // 4
    starts = [*range(0, count - room, step), count - room]
    inner = [_border(of_word, following, start + room) for start, following in pairwise(starts)]
    borders = [*accumulate([0, *inner], max), count]
    for number, start in enumerate(starts):
        yield start, start + room, range(borders[number], borders[number + 1])


def _border(of_word: Sequence[int], start: int, end: int) -> int:
    """Where one window's say ends and the next one's begins: at the word's start next to the overlap's middle."""
    middle = (start + end) // 2
    begins = [place for place in range(start + 1, end) if of_word[place] != of_word[place - 1]]
    return min(begins, key=lambda place: abs(place - middle), default=middle)


def _deciders(of_word: Sequence[int], start: int, end: int, own: range, deciding: Deciding) -> list[int | None]:
    def decides(place: int) -> bool:
        beside = {"all": -1, "first": place - 1, "last": place + 1}[deciding]
        return place in own and (not 0 <= beside < len(of_word) or of_word[place] != of_word[beside])

    return [of_word[place] if decides(place) else None for place in range(start, end)]


def labelled(window: SubwordWindow, tags: Sequence[str], label2id: dict[str, int]) -> dict[str, list[int]]:
    """A training example: every deciding subword carries its word's label (the paper's code), the others none."""
    labels = [IGNORED if word is None else label2id[tags[word]] for word in window.words]
    return {"input_ids": window.input_ids, "attention_mask": [1] * len(labels), "labels": labels}


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
    """Tags of every sentence's deciding subwords, in order; `on_progress` hears how many more sentences are tagged.

    A batch holds windows of similar length: at most `batch_size` of them, and `batch_tokens` subwords with the padding.
    `bf16` runs under autocast, as the Trainer evaluates on dev: the weights stay as they were trained. Shorter windows
    are filled up to `pad_to`, which only takes time (the paper did it).
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
            padded, mask = pad(padded, (0, lacking), value=tokenizer.pad_token_id), pad(mask, (0, lacking))
        with torch.autocast(model.device.type, torch.bfloat16, enabled=bf16):
            logits = model(input_ids=padded.to(model.device), attention_mask=mask.to(model.device)).logits
        for number, row in zip(batch, logits.argmax(-1).tolist(), strict=True):
            best[number] = row
        on_progress(sum(number in ends for number in batch))
    labels = model.config.id2label
    rows = iter(best)
    return [
        gathered(id_, of_sentence, [[labels[label] for label in next(rows)] for _ in of_sentence])
        for id_, of_sentence in zip(ids, made, strict=True)
    ]


def gathered(id_: str, windows: Sequence[SubwordWindow], tags: Sequence[Sequence[str]]) -> Tagged:
    """The raw output of a sentence: what its windows' deciding subwords are tagged as."""
    pairs = [
        (word, tag)
        for window, row in zip(windows, tags, strict=True)
        for word, tag in zip(window.words, row, strict=False)  # rows are padded
        if word is not None
    ]
    return Tagged(id_, [word for word, _ in pairs], [tag for _, tag in pairs])


def batches(lengths: Sequence[int], most: int, tokens: int) -> Iterator[list[int]]:
    """Numbers of sequences, longest first, in batches of at most `most` and, padded, at most `tokens` subwords.

    A sequence longer than `tokens` is a batch of its own.
    """
    order = sorted(range(len(lengths)), key=lambda number: -lengths[number])
    start = 0
    while start < len(order):
        size = max(1, min(most, tokens // lengths[order[start]]))
        yield order[start : start + size]
        start += size
