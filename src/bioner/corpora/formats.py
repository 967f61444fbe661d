"""The formats of the catalogue, each with its reader: raw file to sentences in file order."""

from collections.abc import Callable, Iterator
from pathlib import Path

from bioner.corpora.changes import Changes
from bioner.corpora.offsets import check_offsets
from bioner.corpora.readers.bioc import read_bioc_json, read_bioc_xml
from bioner.corpora.readers.brat import read_brat
from bioner.corpora.readers.conll import read_conll
from bioner.corpora.readers.dygie import read_dygie, read_dygie_misread
from bioner.corpora.readers.inline import read_inline
from bioner.corpora.readers.pubtator import read_pubtator
from bioner.corpora.readers.records import list_delimiter, read_jsonl, read_lists
from bioner.corpora.readers.sentence import Sentence
from bioner.corpora.readers.standoff import Document
from bioner.corpora.repeats import Repeats, drop_repeats
from bioner.corpora.segment import Rules, segment
from bioner.settings.dataset_entry import DatasetEntry

Reader = Callable[[Path, DatasetEntry, Changes], Iterator[Sentence]]


def _standoff(read: Callable[[Path, Changes], Iterator[Document]]) -> Reader:
    def reader(path: Path, entry: DatasetEntry, changes: Changes) -> Iterator[Sentence]:
        rules = Rules(entry.segmentation, entry.max_tokens, entry.token_alignment)
        repeats = Repeats(changes)
        documents = [
            document
            for document in read(path, changes)
            if not repeats.is_repeat(
                document.id, document.where, document.passages, _marks(document)
            )
        ]
        changes.add_found(sum(len(document.annotations) for document in documents))
        changes.add_found(changes.fates(changes.split, 0).lost)  # what the reader left out
        check_offsets(documents)
        for document in documents:
            yield from segment(document, rules, changes)

    return reader


def _marks(document: Document) -> list[tuple[int, int, str, str]]:
    """Return a document's annotations without their places, to compare."""
    return sorted((a.start, a.end, a.type, a.text) for a in document.annotations)


def _tagged(read: Reader) -> Reader:
    return lambda path, entry, changes: drop_repeats(read(path, entry, changes), changes)


def _conll(path: Path, entry: DatasetEntry, changes: Changes) -> Iterator[Sentence]:
    return read_conll(path, entry.token_column, entry.tag_column, changes)


def _conll_or_lists(path: Path, entry: DatasetEntry, changes: Changes) -> Iterator[Sentence]:
    if list_delimiter(path):
        return read_lists(path, entry.labels, changes)
    return _conll(path, entry, changes)


READERS: dict[str, Reader] = {
    "conll": _tagged(_conll),
    "conll-or-lists": _tagged(_conll_or_lists),
    "jsonl": _tagged(lambda path, entry, changes: read_jsonl(path, entry.labels, changes)),
    "pubtator": _standoff(read_pubtator),
    "bioc-xml": _standoff(read_bioc_xml),
    "bioc-json": _standoff(read_bioc_json),
    "brat": _standoff(read_brat),
    "inline": _tagged(lambda path, entry, changes: read_inline(path, changes.quoted)),
    "dygie": lambda path, entry, changes: read_dygie(path, changes),
    "dygie-misread": lambda path, entry, changes: read_dygie_misread(path, changes),
}
