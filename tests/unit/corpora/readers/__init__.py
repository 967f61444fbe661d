"""What the tests of readers share: write a file, read it by its format, catch its error message."""

import pytest

from bioner.corpora.changes import Changes
from bioner.corpora.formats import READERS
from bioner.errors import InputError
from bioner.settings.catalogue import parse_entry
from bioner.settings.dataset_entry import DatasetEntry

SPLITS = {"train": "train", "dev": "dev", "test": "test"}


def write(path, content):
    """A file with its folder: text as UTF-8 and line ends as they are, or bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def read(path, form, changes=None, **keys):
    """Sentences of a file as a catalogue entry of that format reads them."""
    entry = parse_entry(DatasetEntry, "toy", {"format": form, "splits": SPLITS} | keys)
    return list(READERS[form](path, entry, changes or Changes()))


def refusal(path, form, changes=None, **keys):
    """Return the error message of reading the file."""
    with pytest.raises(InputError) as caught:
        read(path, form, changes, **keys)
    return str(caught.value)


def mended(path, form, **keys):
    """Return sentences and changes with `on_error: repair`."""
    changes = Changes("repair", folder=path.parent)
    return read(path, form, changes, **keys), changes.listed


def words_and_tags(sentence):
    """Return a sentence as `word/TAG` words, without the tag O, as in expectations."""
    pairs = zip(sentence.tokens, sentence.tags, strict=True)
    return " ".join(token if tag == "O" else f"{token}/{tag}" for token, tag in pairs)
