"""Raw files of a corpus to instances: one reader a format, one form for all, every change on the
way listed.
"""

import itertools
import logging
import tempfile
from collections.abc import Sequence
from pathlib import Path

from bioner.corpora.changes import Changes
from bioner.corpora.documents import read_documents
from bioner.corpora.formats import READERS
from bioner.corpora.readers.sentence import Sentence
from bioner.corpora.readers.standoff import Annotation
from bioner.corpora.schemes import detect, to_iob2, type_blind_lengths
from bioner.corpora.statistics import corpus_statistics
from bioner.data.instances import SPLITS, Instance, entity_types, fault, write_instances
from bioner.data.tags import OUTSIDE
from bioner.errors import InputError
from bioner.io.files import is_html
from bioner.io.tables import write_table
from bioner.scoring.labels import RESERVED
from bioner.settings.config import Tree

log = logging.getLogger(__name__)


def normalize(
    dataset: str, entry: Tree, raw: Path, out: Path, quote: bool = True
) -> dict[str, list[Instance]]:
    """Read the three splits from `raw`, write `{train,dev,test}.jsonl`, `stats.csv` and
    `changes.csv` into `out`.

    Nothing is written unless every split is sound, or mended by the rules of `on_error: repair`.
    Messages show the corpus's text only with `quote`. Raises InputError for the first fault.
    """
    changes = Changes(entry["on_error"], quote, raw)
    for split in SPLITS:
        _refuse_html(raw_path(entry, split, raw), f"the {split} split of {dataset}")
    scheme = _scheme(entry, raw, quote)
    splits: dict[str, list[Instance]] = {}
    counted: dict[str, list[int]] = {}
    for split in SPLITS:
        path = raw_path(entry, split, raw)
        splits[split], counted[split] = read_split(dataset, split, entry, path, scheme, changes)
        if reserved := sorted({*RESERVED} & {*entity_types(splits[split])}):
            raise InputError(
                path,
                f"the entity type {reserved[0]!r}",
                "another name",
                "Rename it in the file: tables of scores have rows of that name over all types.",
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
    dataset: str, split: str, entry: Tree, path: Path, scheme: str, changes: Changes
) -> tuple[list[Instance], list[int]]:
    """Instances of one raw file, and the lengths of their entities as the paper's Table II counts
    them.

    Ids are `{split}-{number}`, in file order.
    """
    changes.split = split
    documents = read_documents(entry, split, path)
    instances: list[Instance] = []
    lengths: list[int] = []
    for number, sentence in enumerate(READERS[entry["format"]](path, entry, changes), 1):
        identity = f"{split}-{number:05d}"
        document = documents.get(number, sentence.document)
        name = identity if document is None else _document_id(split, document)
        tags = _iob2(sentence, name, scheme, changes)
        instance = Instance(identity, name, sentence.tokens, tags)
        if problem := fault(instance, changes.quoted):
            raise InputError(sentence.where, problem, "sound tokens and tags", "Mend the file.")
        instances.append(instance)
        # Table II of the paper counts before any repair; that asks for the tags of the file where
        # they are IOB2.
        lengths += type_blind_lengths(sentence.tags if scheme == "IOB2" else tags)
    _refuse_unread_tags(path, scheme, changes.counts(split).get("unknown-tag", 0), instances)
    if not instances:
        raise InputError(
            path, "no sentence", f"the {split} split of {dataset}", "Is this the right file?"
        )
    return instances, lengths


def _refuse_html(path: Path, expected: str) -> None:
    if path.is_file():
        with path.open("rb") as stream:
            if is_html(stream.read(200)):
                raise InputError(f"{path}:1", "an HTML page", expected, "Fetch the file again.")


def _refuse_unread_tags(
    path: Path, scheme: str, unknown: int, instances: Sequence[Instance]
) -> None:
    """Repair mends single tags; InputError where most are unknown, since it would empty the
    corpus.
    """
    known = sum(tag != OUTSIDE for instance in instances for tag in instance.tags)
    if unknown > known:
        raise InputError(
            path,
            f"{unknown} tags that {scheme} does not know, and {known} that it does",
            f"tags in {scheme}",
            "State the right `tag_scheme` or `tag_column`.",
        )


def raw_path(entry: Tree, split: str, raw: Path) -> Path:
    """The file of a split in `raw`: under its name in the catalogue, or one that it has where it
    comes from.
    """
    name = entry["splits"][split]
    file = entry["files"][name]
    origin = [Path(file["path"]).name] if file["path"] else []
    paths: list[Path] = [raw / other for other in (name, *file["names"], *origin)]
    return next((path for path in paths if path.exists()), paths[0])


def _scheme(entry: Tree, raw: Path, quote: bool) -> str:
    """The tag scheme, looked up in the whole corpus where the catalogue leaves it open."""
    if entry["tag_scheme"] != "auto":
        return str(entry["tag_scheme"])
    changes = Changes("repair", quote)
    read = READERS[entry["format"]]
    splits = (read(raw_path(entry, split, raw), entry, changes) for split in SPLITS)
    return detect(sentence.tags for sentence in itertools.chain.from_iterable(splits))


def _iob2(sentence: Sentence, document: str, scheme: str, changes: Changes) -> list[str]:
    tags, faults = to_iob2(sentence.tags, scheme, changes.quoted)
    hint = "Do the files follow another `tag_scheme`, or hold their tags in another `tag_column`?"
    for position, kind, found, expected in faults:
        type_ = sentence.tags[position].partition("-")[2]
        word = sentence.tokens[position] if position < len(sentence.tokens) else ""
        where = sentence.place(position)
        tagged = Annotation(where, position, position + 1, type_, word)
        changes.fault(kind, where, f"the tag {found}", expected, document, tagged, hint)
    return tags


def _document_id(split: str, document: int | str) -> str:
    return f"{split}-doc{document:04d}" if isinstance(document, int) else document
