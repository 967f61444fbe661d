"""Tokens that are no words: white space inside a token, empty tokens, sentences without tokens.

Zero-width characters and soft hyphens stay, even as a token: they are no white space, encoders read
an unknown subword for such a token, and its tag is scored as any other.
"""

import unicodedata
from collections.abc import Sequence
from itertools import accumulate

from bioner.corpora.changes import Changes
from bioner.corpora.readers.sentence import Sentence
from bioner.corpora.readers.standoff import Annotation
from bioner.data.tags import Span, spans, split_tag, tags_from_spans, violation


def mend_tokens(
    sentence: Sentence, tags: list[str], document: str, changes: Changes
) -> tuple[list[str], list[str]]:
    """Return a sentence's tokens without white space and without empty ones, and their tags.

    Args:
        sentence: Tokens as the file has them.
        tags: Their tags in valid IOB2; other tags, and more or fewer, are left to the caller.
        document: Named in the list of changes.
        changes: Takes or refuses each repair.

    Returns:
        Tokens and tags; none if no token has text.
    """
    tokens = sentence.tokens
    if tokens and " ".join(tokens).split() == tokens:
        return tokens, tags
    if len(tokens) != len(tags) or violation(tags):
        return tokens, tags
    words = ["".join(token.split()) for token in tokens]
    for position, (token, word) in enumerate(zip(tokens, words, strict=True)):
        if not word or word != token:
            changes.fault(
                "token-space" if word else "empty-token",
                sentence.place(position),
                _described(token, changes),
                "a token without white space" if word else "a token with text",
                document,
                _annotation(sentence, Span(position, position + 1, split_tag(tags[position])[1])),
            )
    entities = spans(tags)
    for entity in entities:
        if not any(words[entity.start : entity.end]):
            changes.fault(
                "empty-entity",
                sentence.place(entity.start),
                "an entity without text",
                "an entity of words",
                document,
                _annotation(sentence, entity),
            )
    if not any(words):
        changes.fault(
            "empty-sentence", sentence.where, "a sentence without tokens", "at least one", document
        )
    return [word for word in words if word], _tags_of_words(entities, words)


def _tags_of_words(entities: Sequence[Span], words: Sequence[str]) -> list[str]:
    """Return the tags of the words that are not empty; entities continue across those that are."""
    before = [0, *accumulate(bool(word) for word in words)]
    moved = [Span(before[start], before[end], type_) for start, end, type_ in entities]
    return tags_from_spans([span for span in moved if span.length], before[-1])


def _described(token: str, changes: Changes) -> str:
    """Return a token in words, with the code points of its white space, which looks alike."""
    spaces = dict.fromkeys(character for character in token if character.isspace())
    shown = ", ".join(
        f"U+{ord(space):04X} {unicodedata.name(space, '')}".strip() for space in spaces
    )
    if not token:
        return "an empty token"
    if not token.strip():
        return f"a token of only {shown}"
    return f"the token {changes.quoted(token)} with {shown}"


def _annotation(sentence: Sentence, span: Span) -> Annotation:
    text = " ".join(sentence.tokens[span.start : span.end])
    return Annotation(sentence.place(span.start), *span, text)
