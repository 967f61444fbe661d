"""Document ids for corpora whose files have none: our tables, from sentence to document."""

import logging
from pathlib import Path

import polars as pl

from bioner.errors import InputError
from bioner.io.checksums import sha256_of
from bioner.io.tables import Schema, read_table
from bioner.settings.dataset_entry import DatasetEntry
from bioner.settings.repository import REPOSITORY

log = logging.getLogger(__name__)

DOCUMENTS: Schema = {
    "split": pl.String,
    "first": pl.Int64,
    "sentences": pl.Int64,
    "document": pl.String,
}


def read_documents(entry: DatasetEntry, split: str, path: Path) -> dict[int, str]:
    """Return the document of each sentence of a split, by its number from 1; empty without a table.

    The table numbers the sentences of one exact file. If the file's checksum is not the
    catalogue's, its documents stay unknown.
    """
    if entry.documents is None:
        return {}
    table = read_table(REPOSITORY / entry.documents, DOCUMENTS).filter(split=split)
    stated = entry.files[entry.raw_name(split)].sha256
    if not path.is_file():
        return {}  # the reader reports it
    if sha256_of(path) != stated:
        log.warning(
            "%s: not the file whose documents are known; every sentence is a document of its own",
            path,
        )
        return {}
    if table.is_empty():
        raise InputError(
            entry.documents,
            f"no row of {split}",
            "documents of every split",
            "Complete the table.",
        )
    rows = table.select("first", "sentences", "document").iter_rows()
    return {first + n: document for first, count, document in rows for n in range(count)}
