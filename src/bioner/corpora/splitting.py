"""One source of documents as three splits: each document's by a hash of its id."""

import hashlib
from functools import cache
from pathlib import Path

from bioner.corpora.changes import Changes, hold_all
from bioner.corpora.formats import READERS
from bioner.corpora.readers.sentence import Sentence
from bioner.errors import InputError
from bioner.settings.dataset_entry import DatasetEntry, SplitByDocument


def read_sentences(path: Path, entry: DatasetEntry, split: str, changes: Changes) -> list[Sentence]:
    """Return the sentences of a split: all of its file, or those of its documents.

    Raises:
        InputError: Documents are to be divided and are unknown, or none falls into the split.
    """
    read = READERS[entry.format]
    if (rule := entry.split) is None:
        return list(read(path, entry, changes))
    seen: set[str] = set()

    def is_held(document: str) -> bool:
        seen.add(document)
        return split_of(document, rule) == split

    changes.holds = is_held
    sentences = []
    for sentence in read(path, entry, changes):
        if sentence.document is None:
            raise InputError(
                sentence.where,
                "a sentence without a document id",
                "one: `split` divides by document",
                "Divide the file yourself, and name three files under `splits`.",
            )
        if is_held(str(sentence.document)):
            sentences.append(sentence)
    changes.holds = hold_all
    if not sentences:
        raise InputError(
            path,
            f"none of {len(seen)} documents in {split}",
            "documents in every split",
            "Set another `seed` or a larger share under `split`.",
        )
    return sentences


@cache
def split_of(document: str, rule: SplitByDocument) -> str:
    """Return the split of a document, which depends on its id and on no other document."""
    digest = hashlib.sha256(f"{rule.seed} {document}".encode()).digest()
    position = int.from_bytes(digest[:8]) / 2**64  # in [0, 1)
    if position < rule.test:
        return "test"
    return "dev" if position < rule.test + rule.dev else "train"
