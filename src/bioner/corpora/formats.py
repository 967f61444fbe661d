"""The formats of the catalogue, each with its reader: raw file to sentences in file order."""

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar, TypeVarTuple

from bioner.corpora.changes import Changes
from bioner.corpora.readers.bioc import read_bioc_json, read_bioc_xml
from bioner.corpora.readers.brat import read_brat
from bioner.corpora.readers.conll import read_conll
from bioner.corpora.readers.dygie import read_dygie, read_dygie_misread
from bioner.corpora.readers.inline import read_inline
from bioner.corpora.readers.pubtator import read_pubtator
from bioner.corpora.readers.records import list_delimiter, read_jsonl, read_lists
from bioner.corpora.readers.sentence import Sentence
from bioner.corpora.readers.standoff import Document
from bioner.corpora.segment import Rules, segment
from bioner.errors import InputError
from bioner.io.files import files_of
from bioner.settings.dataset_entry import DatasetEntry

Reader = Callable[[Path, DatasetEntry, Changes], Iterator[Sentence]]
T = TypeVar("T")
Rest = TypeVarTuple("Rest")


def _of_folders(read: Callable[[Path, *Rest], Iterator[T]]) -> Callable[[Path, *Rest], Iterator[T]]:
    """Let a reader of one file also read the files of a folder, one after the other."""

    def reader(path: Path, *rest: *Rest) -> Iterator[T]:
        for file in files_of(path):
            yield from read(file, *rest)

    return reader


def _standoff(read: Callable[[Path, Changes], Iterator[Document]]) -> Reader:
    def reader(path: Path, entry: DatasetEntry, changes: Changes) -> Iterator[Sentence]:
        rules = Rules(entry.segmentation, entry.max_tokens, entry.token_alignment)
        seen: set[str] = set()
        for document in read(path, changes):
            if document.id in seen:
                raise InputError(
                    document.where,
                    f"{changes.named(document.id)} again",
                    "each document once",
                    "Remove one of the two, or give it an id of its own.",
                )
            seen.add(document.id)
            yield from segment(document, rules, changes)

    return reader


def _conll(path: Path, entry: DatasetEntry, changes: Changes) -> Iterator[Sentence]:
    for file, name in _document_names(path).items():
        for sentence in read_conll(file, entry.token_column, entry.tag_column, changes):
            number = sentence.document
            if name and (number is None or isinstance(number, int)):
                sentence = sentence._replace(document=f"{name}-doc{number:04d}" if number else name)
            yield sentence


def _document_names(path: Path) -> dict[Path, str]:
    """Return the files of a split; in a folder each with its path without suffix, if unique."""
    if not path.is_dir():
        return {path: ""}
    places = {file: file.relative_to(path) for file in files_of(path)}
    stems = {
        file: place.with_name(place.name.removesuffix(".gz")).with_suffix("").as_posix()
        for file, place in places.items()
    }
    counted = Counter(stems.values())
    return {
        file: stem if counted[stem] == 1 else places[file].as_posix()
        for file, stem in stems.items()
    }


def _conll_or_lists(path: Path, entry: DatasetEntry, changes: Changes) -> Iterator[Sentence]:
    if path.is_file() and list_delimiter(path):
        return read_lists(path, entry.labels, changes)
    return _conll(path, entry, changes)


READERS: dict[str, Reader] = {
    "conll": _conll,
    "conll-or-lists": _conll_or_lists,
    "jsonl": _of_folders(lambda path, entry, changes: read_jsonl(path, entry.labels, changes)),
    "pubtator": _standoff(_of_folders(read_pubtator)),
    "bioc-xml": _standoff(_of_folders(read_bioc_xml)),
    "bioc-json": _standoff(_of_folders(read_bioc_json)),
    "brat": _standoff(read_brat),
    "inline": _of_folders(lambda path, entry, changes: read_inline(path, changes.quoted)),
    "dygie": _of_folders(lambda path, entry, changes: read_dygie(path, changes)),
    "dygie-misread": _of_folders(lambda path, entry, changes: read_dygie_misread(path, changes)),
}
