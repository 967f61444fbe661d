"""Normalize a corpus: one reader per format, one form for all, every change listed."""

import logging
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from bioner.corpora.changes import Changes
from bioner.corpora.documents import read_documents
from bioner.corpora.formats import READERS
from bioner.corpora.readers.sentence import Sentence
from bioner.corpora.readers.standoff import Annotation
from bioner.corpora.schemes import detect, to_iob2, type_blind_lengths
from bioner.corpora.statistics import corpus_statistics
from bioner.data.instances import SPLITS, Instance, entity_types, faults, write_instances
from bioner.data.tags import OUTSIDE
from bioner.errors import InputError
from bioner.io.files import files_of, is_html
from bioner.io.tables import write_table
from bioner.scoring.labels import RESERVED
from bioner.settings.dataset_entry import DatasetEntry

log = logging.getLogger(__name__)


def normalize(
    dataset: str, entry: DatasetEntry, raw: Path, out: Path, quote: bool = True
) -> dict[str, list[Instance]]:
    """Read the three splits from `raw` and write the normalized corpus to `out`.

    Writes `{train,dev,test}.jsonl`, `stats.csv` and `changes.csv`, and nothing unless every split
    is sound or could be repaired (`on_error: repair`).

    Args:
        dataset: The corpus's name.
        entry: Its catalogue entry, checked and completed.
        raw: Folder of its raw files.
        out: Folder to write.
        quote: Whether messages may show the corpus's text.

    Returns:
        The instances of each split.

    Raises:
        InputError: The first fault.
    """
    changes = Changes(entry.on_error, quote, raw)
    paths = {split: _raw_path(entry, split, raw) for split in SPLITS}
    for split, path in paths.items():
        _refuse_html(path, f"the {split} split of {dataset}")
    scheme = _scheme(entry, paths, quote)
    splits: dict[str, list[Instance]] = {}
    counted: dict[str, list[int]] = {}
    for split, path in paths.items():
        splits[split], counted[split] = read_split(dataset, split, entry, path, scheme, changes)
        if reserved := sorted({*RESERVED} & {*entity_types(splits[split])}):
            raise InputError(
                path,
                f"the entity type {reserved[0]!r}",
                "another name",
                "Rename it in the file: tables of scores have rows of that name over all types.",
            )
    if not entity_types(splits["train"]):
        raise InputError(
            paths["train"],
            f"no entity in {len(splits['train'])} sentences",
            f"the train split of {dataset}",
            "Is this the right file, with its tags in `tag_column`?",
        )
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".normalize.", dir=out) as scratch:
        for split, instances in splits.items():
            write_instances(Path(scratch) / f"{split}.jsonl", instances)
        write_table(
            Path(scratch) / "stats.csv", corpus_statistics(dataset, splits, counted, changes)
        )
        write_table(Path(scratch) / "changes.csv", changes.table())
        for path in sorted(Path(scratch).iterdir()):
            path.replace(out / path.name)
    counts = ", ".join(f"{len(instances)} {split}" for split, instances in splits.items())
    log.info("normalize %s: %s instances", dataset, counts)
    for split in splits:
        if changed := changes.counts(split):
            listed = ", ".join(f"{count} {kind}" for kind, count in changed.items())
            log.info("normalize %s: %s: %s (each in changes.csv)", dataset, split, listed)
    return splits


def read_split(
    dataset: str, split: str, entry: DatasetEntry, path: Path, scheme: str, changes: Changes
) -> tuple[list[Instance], list[int]]:
    """Return the instances of one raw file, and the entity lengths that Table II counts.

    Ids are `{split}-{number}`, in file order.
    """
    changes.split = split
    documents = read_documents(entry, split, path)
    instances: list[Instance] = []
    lengths: list[int] = []
    for number, sentence in enumerate(READERS[entry.format](path, entry, changes), 1):
        identity = f"{split}-{number:05d}"
        document = documents.get(number, sentence.document)
        if isinstance(document, int):
            document = f"{split}-doc{document:04d}"
        name = identity if document is None else document
        tags = _iob2(sentence, name, scheme, changes)
        instance = Instance(identity, name, sentence.tokens, tags)
        for problem in faults(instance, changes.quoted):
            raise InputError(sentence.where, problem, "sound tokens and tags", "Mend the file.")
        instances.append(instance)
        # Table II counts before any repair: the tags of the file, if they are IOB2.
        lengths += type_blind_lengths(sentence.tags if scheme == "IOB2" else tags)
    _refuse_unread_tags(path, scheme, changes.counts(split).get("unknown-tag", 0), instances)
    if not instances:
        raise InputError(
            path, "no sentence", f"the {split} split of {dataset}", "Is this the right file?"
        )
    return instances, lengths


def _refuse_html(path: Path, expected: str) -> None:
    for file in files_of(path):
        if file.is_file():
            with file.open("rb") as stream:
                if is_html(stream.read(200)):
                    raise InputError(f"{file}:1", "an HTML page", expected, "Fetch the file again.")


def _refuse_unread_tags(
    path: Path, scheme: str, unknown: int, instances: Sequence[Instance]
) -> None:
    """Raise InputError if most tags are unknown: repairing them would empty the corpus."""
    known = sum(tag != OUTSIDE for instance in instances for tag in instance.tags)
    if unknown > known:
        raise InputError(
            path,
            f"{unknown} tags that {scheme} does not know, and {known} that it does",
            f"tags in {scheme}",
            "State the right `tag_scheme` or `tag_column`.",
        )


def _raw_path(entry: DatasetEntry, split: str, raw: Path) -> Path:
    """Return the file of a split in `raw`, by its catalogue name or its name at the source."""
    name = entry.raw_name(split)
    file = entry.files[name]
    origin = [Path(file.path).name] if file.path else []
    paths: list[Path] = [raw / other for other in (name, *file.names, *origin)]
    return next((path for path in paths if path.exists()), paths[0])


def _scheme(entry: DatasetEntry, paths: Mapping[str, Path], quote: bool) -> str:
    """Return the tag scheme, detected over the whole corpus if the catalogue says `auto`."""
    if entry.tag_scheme != "auto":
        return entry.tag_scheme
    changes = Changes("repair", quote)
    read = READERS[entry.format]
    return detect(
        sentence.tags for path in paths.values() for sentence in read(path, entry, changes)
    )


def _iob2(sentence: Sentence, document: str, scheme: str, changes: Changes) -> list[str]:
    tags, broken = to_iob2(sentence.tags, scheme, changes.quoted)
    hint = "Do the files follow another `tag_scheme`, or hold their tags in another `tag_column`?"
    for position, kind, found, expected in broken:
        type_ = sentence.tags[position].partition("-")[2]
        word = sentence.tokens[position] if position < len(sentence.tokens) else ""
        where = sentence.place(position)
        tagged = Annotation(where, position, position + 1, type_, word)
        changes.fault(kind, where, f"the tag {found}", expected, document, tagged, hint)
    return tags
