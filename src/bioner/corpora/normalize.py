"""Raw files of a corpus to instances: one reader a format, one form for all."""

import logging
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from bioner.config import Tree
from bioner.corpora.conll import read_conll
from bioner.corpora.inline import read_inline
from bioner.corpora.sentence import Sentence
from bioner.corpora.statistics import corpus_statistics
from bioner.errors import InputError
from bioner.instances import SPLITS, Instance, fault, write_instances
from bioner.tables import write_table

log = logging.getLogger(__name__)


def normalize(dataset: str, entry: Tree, raw: Path, out: Path) -> dict[str, list[Instance]]:
    """Read the three splits from `raw`, write `{train,dev,test}.jsonl` and `stats.csv` into `out`.

    Nothing is written unless every split is sound. Raises InputError for the first line that is not.
    """
    splits = {split: read_split(dataset, split, entry, raw / entry["splits"][split]) for split in SPLITS}
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".normalize.", dir=out) as scratch:
        for split, instances in splits.items():
            write_instances(Path(scratch) / f"{split}.jsonl", instances)
        write_table(Path(scratch) / "stats.csv", corpus_statistics(dataset, splits))
        for path in sorted(Path(scratch).iterdir()):
            path.replace(out / path.name)
    counts = ", ".join(f"{len(instances)} {split}" for split, instances in splits.items())
    log.info("normalize %s: %s instances", dataset, counts)
    return splits


def read_split(dataset: str, split: str, entry: Tree, path: Path) -> list[Instance]:
    """Instances of one raw file; ids are `{split}-{number}`, in file order."""
    instances: list[Instance] = []
    for number, sentence in enumerate(_sentences(dataset, entry, path), 1):
        identity = f"{split}-{number:05d}"
        document = identity if sentence.document is None else _document_id(split, sentence.document)
        instance = Instance(identity, document, sentence.tokens, sentence.tags)
        if problem := fault(instance):
            raise InputError(
                sentence.where, f"a sentence with {problem}", "valid IOB2 on non-empty tokens", "Mend the file."
            )
        instances.append(instance)
    if not instances:
        raise InputError(path, "no sentence", f"the {split} split of {dataset}", "Is this the right file?")
    return instances


READERS: dict[str, Callable[[Path, Tree], Iterator[Sentence]]] = {
    "conll": lambda path, entry: read_conll(path, entry["token_column"], entry["tag_column"]),
    "inline": lambda path, entry: read_inline(path),
}


def _sentences(dataset: str, entry: Tree, path: Path) -> Iterator[Sentence]:
    if entry["format"] not in READERS:
        found, expected = f"the format {entry['format']}", f"one this version reads: {', '.join(READERS)}"
        remedy = "Leave the corpus out of `datasets` until a version that reads it."
        raise InputError(f"{dataset} in the catalogue", found, expected, remedy)
    return READERS[entry["format"]](path, entry)


def _document_id(split: str, document: int | str) -> str:
    return f"{split}-doc{document:04d}" if isinstance(document, int) else document
