"""The formats of the catalogue, each with its reader: raw file to sentences in file order."""

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar, TypeVarTuple

from bioner.corpora.changes import LOSSES, Changes
from bioner.corpora.offsets import check_offsets
from bioner.corpora.readers.bioc import read_bioc_json, read_bioc_xml
from bioner.corpora.readers.brat import read_brat
from bioner.corpora.readers.conll import read_conll
from bioner.corpora.readers.dygie import KEYS, Record, flatten, read_dygie_misread
from bioner.corpora.readers.inline import read_inline
from bioner.corpora.readers.label_studio import read_label_studio
from bioner.corpora.readers.pubtator import read_pubtator
from bioner.corpora.readers.records import list_delimiter, read_jsonl, read_lists, read_parquet
from bioner.corpora.readers.sentence import Sentence
from bioner.corpora.readers.spans import holds_tokens, read_gliner, read_objects, read_spans
from bioner.corpora.readers.standoff import Document
from bioner.corpora.repeats import Block, drop_repeated_blocks, drop_repeats
from bioner.corpora.segment import Rules, segment
from bioner.errors import InputError
from bioner.io.files import files_of, read_records
from bioner.settings.dataset_entry import DatasetEntry

Reader = Callable[[Path, DatasetEntry, Changes], Iterator[Sentence]]
T = TypeVar("T")
Rest = TypeVarTuple("Rest")


def _of_folders(
    read: Callable[[Path, *Rest], Iterator[T]], may_be_empty: bool = False
) -> Callable[[Path, *Rest], Iterator[T]]:
    """Let a reader of one file also read the files of a folder, one after the other.

    Args:
        read: The reader.
        may_be_empty: Whether a file of a folder may hold nothing, or nothing that is read.
    """

    def reader(path: Path, *rest: *Rest) -> Iterator[T]:
        for file in files_of(path):
            items = read(file, *rest)
            yield from items if may_be_empty or file == path else _at_least_one(items, file)

    return reader


def _at_least_one(items: Iterator[T], file: Path) -> Iterator[T]:
    """Yield what a file of a folder holds.

    Raises:
        InputError: It holds nothing: a document may be missing.
    """
    first = next(items, None)
    if first is None:
        raise InputError(file, "no sentence", "at least one", "Mend the file, or remove it.")
    yield first
    yield from items


def _standoff(read: Callable[[Path, Changes], Iterator[Document]]) -> Reader:
    def reader(path: Path, entry: DatasetEntry, changes: Changes) -> Iterator[Sentence]:
        rules = Rules(entry.segmentation, entry.max_tokens, entry.token_alignment)
        held = (document for document in read(path, changes) if changes.holds(document.id))
        documents = list(drop_repeated_blocks(held, changes, _block))
        left_out = changes.count(changes.split, LOSSES)  # by the reader
        changes.add_found(left_out + sum(len(document.annotations) for document in documents))
        check_offsets(documents)
        for document in documents:
            yield from segment(document, rules, changes)

    return reader


def _bioc(read: Callable[[Path, Changes, str], Iterator[Document]]) -> Reader:
    def reader(path: Path, entry: DatasetEntry, changes: Changes) -> Iterator[Sentence]:
        typed = _of_folders(lambda file, changes: read(file, changes, entry.type_key))
        return _standoff(typed)(path, entry, changes)

    return reader


def _block(document: Document) -> Block:
    """Return what of a document is compared: its text, and its annotations without their places."""
    marks = sorted((a.start, a.end, a.type, a.text) for a in document.annotations)
    return Block(document.id, document.where, document.passages, marks)


def _tagged(read: Reader) -> Reader:
    return lambda path, entry, changes: drop_repeats(read(path, entry, changes), changes)


def _conll(path: Path, entry: DatasetEntry, changes: Changes) -> Iterator[Sentence]:
    for file, name in _document_names(path).items():
        if entry.format == "conll-or-lists" and list_delimiter(file):
            sentences = read_lists(file, entry.labels, changes)
        else:
            sentences = read_conll(file, entry.token_column, entry.tag_column, changes, name)
        yield from sentences if file == path else _at_least_one(sentences, file)


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


def _spans(path: Path, entry: DatasetEntry, changes: Changes) -> Iterator[Sentence]:
    objects = _of_folders(read_objects, may_be_empty=True)
    if holds_tokens(objects(path)):
        yield from read_gliner(objects(path), changes)
    else:
        yield from _standoff(_of_folders(read_spans, may_be_empty=True))(path, entry, changes)


def _dygie(read: Callable[[Iterator[Record], Changes], Iterator[Sentence]]) -> Reader:
    return lambda path, entry, changes: read(_of_folders(read_records)(path, KEYS), changes)


READERS: dict[str, Reader] = {
    "conll": _tagged(_conll),
    "conll-or-lists": _tagged(_conll),
    "jsonl": _tagged(
        _of_folders(lambda path, entry, changes: read_jsonl(path, entry.labels, changes))
    ),
    "parquet": _tagged(
        _of_folders(
            lambda path, entry, changes: read_parquet(path, entry.labels, changes),
            may_be_empty=True,
        )
    ),
    "pubtator": _standoff(_of_folders(read_pubtator)),
    "bioc-xml": _bioc(read_bioc_xml),
    "bioc-json": _bioc(read_bioc_json),
    "brat": _standoff(read_brat),
    "spans": _spans,
    "label-studio": _standoff(_of_folders(read_label_studio, may_be_empty=True)),
    "inline": _tagged(_of_folders(lambda path, entry, changes: read_inline(path, changes.quoted))),
    "dygie": _dygie(flatten),
    "dygie-misread": _dygie(read_dygie_misread),
}
