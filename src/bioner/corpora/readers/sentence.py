"""What every reader yields: a sentence as the corpus has it, with its place for messages."""

from typing import NamedTuple


class Sentence(NamedTuple):
    """Tokens and tags of one sentence; `document` is None if the file has no documents.

    `where` is `file:line`; with `token_a_line` it is the line of the first token, and every token
    has a line of its own.
    """

    where: str
    document: int | str | None
    tokens: list[str]
    tags: list[str]
    token_a_line: bool = False

    def place(self, position: int) -> str:
        """Return `file:line` of one token."""
        if not self.token_a_line:
            return self.where
        file, _, line = self.where.rpartition(":")
        return f"{file}:{int(line) + position}"
