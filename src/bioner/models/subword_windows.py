"""Sentences as windows of subwords that fit a model, and back to words without losing any."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Literal

from transformers import PreTrainedTokenizerBase

from bioner.data.raw_outputs import Tagged
from bioner.models import IGNORED

Deciding = Literal["all", "first", "last"]


@dataclass(frozen=True, slots=True)
class SubwordWindow:
    """Part of a sentence that fits the model.

    `words` holds the word index of each subword that decides its word's tag: None for special
    tokens, subwords that another window decides, and with `first` or `last` the other subwords.
    """

    input_ids: list[int]
    words: list[int | None]

    @property
    def deciding(self) -> list[bool]:
        """Which subwords decide their word's tag."""
        return [word is not None for word in self.words]


@dataclass(frozen=True, slots=True)
class Cut:
    """The windows of each sentence; every subword is decided in exactly one of them."""

    windows: list[list[SubwordWindow]]
    sentences_cut: int
    words_merged: int  # sharing a subword with a neighbour
    words_unknown: int  # of nothing but the unknown subword
    words_lost: int  # without any subword

    def counts(self) -> dict[str, int]:
        return {
            "windows": sum(map(len, self.windows)),
            "sentences_cut": self.sentences_cut,
            "words_merged": self.words_merged,
            "words_unknown": self.words_unknown,
            "words_lost": self.words_lost,
        }


def cut(
    tokenizer: PreTrainedTokenizerBase,
    sentences: Sequence[Sequence[str]],
    max_length: int,
    deciding: Deciding = "all",
    copies: int = 1,
) -> Cut:
    """Cut sentences into windows of at most `max_length` subwords, special tokens included.

    Words have the subwords that they have in text, joined by blanks, as in pretraining. A blank
    belongs to the word behind it, and a subword of several words to the last of them. A word that
    the tokenizer maps to nothing (control characters) becomes the unknown subword; a word that
    looks like a special token is text.

    Longer sentences, and words longer than a window, become windows that overlap by a quarter; in
    the overlap each window decides its half.

    Args:
        deciding: which subwords of a word decide its tag.
        copies: how often a window repeats its subwords, with a line end between; those of the last
            copy decide.
    """
    if not sentences:
        return Cut([], 0, 0, 0, 0)
    before, line_end, after = _special(tokenizer)
    room = (max_length - len(before) - len(after) - len(line_end) * (copies - 1)) // copies
    found: list[list[SubwordWindow]] = []
    merged = unknown = lost = 0
    for words, (ids, covered) in zip(sentences, _in_text(tokenizer, sentences), strict=True):
        of_word = [last for _, last in covered]
        merged += len(
            {word for first, last in covered if first < last for word in range(first, last + 1)}
        )
        if missing := set(range(len(words))) - set(of_word):
            ids, of_word = _with_unknown(ids, of_word, missing, tokenizer.unk_token_id)
            lost += len(missing) if tokenizer.unk_token_id is None else 0
        known = {
            word for word, id_ in zip(of_word, ids, strict=True) if id_ != tokenizer.unk_token_id
        }
        unknown += len(words) - len(known)
        windows = [
            SubwordWindow(
                [*ahead, *ids[start:end], *after],
                [None] * len(ahead)
                + _deciders(of_word, start, end, own, deciding)
                + [None] * len(after),
            )
            for start, end, own in _spans(of_word, room)
            for ahead in [before + (ids[start:end] + line_end) * (copies - 1)]
        ]
        # The middle of a word of hundreds of subwords decides nothing if the first one does.
        found.append(
            [window for window in windows if any(word is not None for word in window.words)]
        )
    return Cut(found, sum(len(windows) > 1 for windows in found), merged, unknown, lost)


def _in_text(
    tokenizer: PreTrainedTokenizerBase, sentences: Sequence[Sequence[str]]
) -> Iterator[tuple[list[int], list[tuple[int, int]]]]:
    """Yield the subwords of each sentence as text, and each one's first and last word."""
    unknown = tokenizer.unk_token_id
    special = set() if unknown is None else {*tokenizer.all_special_ids} - {unknown}
    texts = [" ".join(words) for words in sentences]
    # It would take a word "[SEP]" for the end of the text.
    encoded = tokenizer(
        texts, add_special_tokens=False, split_special_tokens=True, return_offsets_mapping=True
    )
    for words, text, ids, offsets in zip(
        sentences, texts, encoded["input_ids"], encoded["offset_mapping"], strict=True
    ):
        if not special.isdisjoint(ids):  # SentencePiece has them as pieces, too
            ids = [unknown if id_ in special else id_ for id_ in ids]
        # The blank before a word is the word's.
        word_of = [number for number, word in enumerate(words) for _ in f" {word}"][1:]
        covered = []
        for start, end in offsets:
            first = min(start, len(text) - 1)
            last = max(start + len(text[start:end].rstrip(" ")) - 1, first)
            covered.append((word_of[first], word_of[last]))
        yield ids, covered


def _special(tokenizer: PreTrainedTokenizerBase) -> tuple[list[int], list[int], list[int]]:
    """Return the ids that the tokenizer puts before a text, those of a line end, and those after.

    A tokenizer that drops line ends has none.
    """
    bare, line = tokenizer(["a", "a\n"], add_special_tokens=False)["input_ids"]
    whole = tokenizer("a")["input_ids"]
    start = next(place for place in range(len(whole)) if whole[place : place + len(bare)] == bare)
    return whole[:start], line[len(bare) :], whole[start + len(bare) :]


def _with_unknown(
    ids: list[int], of_word: list[int], missing: set[int], unknown: int | None
) -> tuple[list[int], list[int]]:
    """Insert the unknown subword for each word that has none."""
    if unknown is None:
        return ids, of_word
    pairs = [*zip(of_word, ids, strict=True), *((word, unknown) for word in missing)]
    pairs.sort(key=lambda pair: pair[0])  # stable: the subwords of a word stay in order
    return [subword for _, subword in pairs], [word for word, _ in pairs]


def _spans(of_word: Sequence[int], room: int) -> Iterator[tuple[int, int, range]]:
    """Yield start and end of each window in subwords, and the subwords that it decides."""
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
    """Return the word start nearest to an overlap's middle, from which the next window decides."""
    middle = (start + end) // 2
    begins = [place for place in range(start + 1, end) if of_word[place] != of_word[place - 1]]
    return min(begins, key=lambda place: abs(place - middle), default=middle)


def _deciders(
    of_word: Sequence[int], start: int, end: int, own: range, deciding: Deciding
) -> list[int | None]:
    def decides(place: int) -> bool:
        beside = {"all": -1, "first": place - 1, "last": place + 1}[deciding]
        return place in own and (
            not 0 <= beside < len(of_word) or of_word[place] != of_word[beside]
        )

    return [of_word[place] if decides(place) else None for place in range(start, end)]


def labelled(
    window: SubwordWindow, tags: Sequence[str], label2id: dict[str, int]
) -> dict[str, list[int]]:
    """Return a training example: only deciding subwords carry their word's label."""
    labels = [IGNORED if word is None else label2id[tags[word]] for word in window.words]
    return {"input_ids": window.input_ids, "attention_mask": [1] * len(labels), "labels": labels}


def gathered(id_: str, windows: Sequence[SubwordWindow], tags: Sequence[Sequence[str]]) -> Tagged:
    """Return the raw output of a sentence: the tags of its windows' deciding subwords."""
    pairs = [
        (word, tag)
        for window, row in zip(windows, tags, strict=True)
        for word, tag in zip(window.words, row, strict=False)  # rows are padded
        if word is not None
    ]
    return Tagged(id_, [word for word, _ in pairs], [tag for _, tag in pairs])
