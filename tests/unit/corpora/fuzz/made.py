"""Small sound corpora with known gold, and hooks that spoil what is written of them."""

import random
from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import NamedTuple

TYPES = ("Disease", "Chemical", "Cell-line", "DNA")
# Also Greek, emoji, a combining accent, µ and μ, what formats use as marks, digits, tags as words.
WORDS = (
    *("gout", "renal", "failure", "of", "the", "and", "after", "chronic", "aspirin", "severe"),
    *("was", "treated", "in", "two", "men", "with"),
    *("TNF-α", "β", "🧬", "😀x", "cafe\u0301", "naïve", "5µg", "5μg", "IL-2", "Ångström", "5-HT"),
    *("#", "#3", "12:30", "C18:1", "p|q", "10", "mg", "%", "0.5", "<", "&", '"', "'", "\\", ","),
    *("O", "B-Disease", "T1", ".", ";", "null", "α-β", "e.g.", "[", "]"),
)
MARKER = r"\d{4}x"  # the token that is in one document alone


class Entity(NamedTuple):
    """Tokens `start` up to `end` of a sentence."""

    start: int
    end: int
    type: str


class Sentence(NamedTuple):
    tokens: list[str]
    entities: list[Entity]

    @property
    def tags(self) -> list[str]:
        """IOB2."""
        tags = ["O"] * len(self.tokens)
        for start, end, type_ in self.entities:
            tags[start:end] = [f"B-{type_}", *[f"I-{type_}"] * (end - start - 1)]
        return tags


class Document(NamedTuple):
    """Passages of sentences; one of the tokens is its id with an x (MARKER)."""

    id: str
    passages: list[list[Sentence]]

    @property
    def sentences(self) -> list[Sentence]:
        return [sentence for passage in self.passages for sentence in passage]


class Mark(NamedTuple):
    """An annotation: its parts by character, and the passage it is of, by number."""

    pieces: list[tuple[int, int]]
    type: str
    text: str
    passage: int


class Gold(NamedTuple):
    """Text without white space, and the entities in it: the same however it is tokenized."""

    text: str
    entities: list[Entity]


class Spoil(NamedTuple):
    """What is written in place of the sound tags, tokens and annotations."""

    tags: Callable[[list[str]], list[str]] = lambda tags: tags
    tokens: Callable[[list[str]], list[str]] = lambda tokens: tokens
    marks: Callable[[list[Mark], list[tuple[int, str]]], list[Mark]] = lambda marks, passages: marks


def make_corpus(rng: random.Random, first: int = 1, without: str = "") -> list[Document]:
    """Return two or three documents of two passages; some but the first have no entity.

    No token or type has a character of `without`. No word is twice in a document: a shifted
    annotation never finds its text by chance.
    """
    words, types = ([w for w in known if not set(w) & set(without)] for known in (WORDS, TYPES))

    def document(name: str) -> Document:
        shuffled = rng.sample(words, len(words))
        counts = (1, rng.choice((1, 1, 2)))
        bare = rng.random() < 0.2 and name != str(first)
        sentences = [
            [_sentence(rng, shuffled, () if bare else types) for _ in range(count)]
            for count in counts
        ]
        sentences[0][0].tokens[rng.randrange(1, 4)] = f"{name}x"
        return Document(name, sentences)

    return [document(str(first + n)) for n in range(rng.choice((2, 3)))]


def _sentence(rng: random.Random, words: list[str], types: Sequence[str]) -> Sentence:
    tokens = [words.pop() for _ in range(rng.randint(4, 11))]
    entities, at = [], rng.randint(0, 2)
    while types and at < len(tokens) - 1:
        end = min(at + rng.choice((1, 1, 2, 3)), len(tokens))
        entities.append(Entity(at, end, rng.choice(types)))
        at = end + rng.choice((0, 1, 2, 4))
    return Sentence(tokens, entities)


def laid_out(document: Document, gap: int, between: str = " ") -> tuple[list, list[Mark]]:
    """Return the passages as (offset, text), `gap` characters apart, and the annotations."""
    passages, marks, offset = [], [], 0
    for number, passage in enumerate(document.passages):
        texts = [" ".join(sentence.tokens) for sentence in passage]
        start = offset
        for sentence, text in zip(passage, texts, strict=True):
            edges = [0, *accumulate(len(token) + 1 for token in sentence.tokens)]
            for first, end, type_ in sentence.entities:
                span = (start + edges[first], start + edges[end] - 1)
                mention = " ".join(sentence.tokens[first:end])
                marks.append(Mark([span], type_, mention, number))
            start += len(text) + len(between)
        passages.append((offset, between.join(texts)))
        offset = start - len(between) + gap
    return passages, marks


def gold_of(sentences: Sequence[tuple[Sequence[str], Sequence[Entity]]]) -> Gold:
    """Return the gold of sentences, given as tokens and entities."""
    text, entities = "", []
    for tokens, found in sentences:
        bare = ["".join(token.split()) for token in tokens]
        edges = [len(text), *(len(text) + n for n in accumulate(map(len, bare)))]
        placed = [Entity(edges[start], edges[end], type_) for start, end, type_ in found]
        entities += [entity for entity in placed if entity.start < entity.end]
        text += "".join(bare)
    return Gold(text, entities)
