"""What every reader yields: a sentence as it stands in the corpus, with its place for messages."""

from typing import NamedTuple


class Sentence(NamedTuple):
    """Tokens and tags of one sentence; `document` is None where the file knows no documents."""

    where: str
    document: int | str | None
    tokens: list[str]
    tags: list[str]
