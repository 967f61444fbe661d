"""Document ids of corpora whose files hold none: tables of ours, from sentence to document."""

import hashlib
import logging
from pathlib import Path

import polars as pl

from bioner.errors import InputError
from bioner.io.tables import Schema, read_table
from bioner.settings.config import REPOSITORY, Tree

log = logging.getLogger(__name__)

DOCUMENTS: Schema = {
    "split": pl.String,
    "first": pl.Int64,
    "sentences": pl.Int64,
    "document": pl.String,
}


def read_documents(entry: Tree, split: str, path: Path) -> dict[int, str]:
    """Document of each sentence of a split, by its number from 1; empty where the catalogue names
    no table.

    The table numbers the sentences of one very file, so it holds where the file has the catalogue's
    checksum; the documents of another one stay unknown.
    """
    if entry["documents"] is None:
        return {}
    table = read_table(REPOSITORY / entry["documents"], DOCUMENTS).filter(split=split)
    stated = entry["files"][entry["splits"][split]]["sha256"]
    if not path.is_file():
        return {}  # the reader says so
    if hashlib.sha256(path.read_bytes()).hexdigest() != stated:
        log.warning(
            "%s: not the file whose documents are known; every sentence is a document of its own",
            path,
        )
        return {}
    if table.is_empty():
        raise InputError(
            entry["documents"],
            f"no row of {split}",
            "documents of every split",
            "Complete the table.",
        )
    rows = table.select("first", "sentences", "document").iter_rows()
    return {first + n: document for first, count, document in rows for n in range(count)}
