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
from bioner.corpora.schemes import (
    count_annotations,
    detect,
    find_bioes,
    to_iob2,
    type_blind_lengths,
)
from bioner.corpora.splitting import read_sentences
from bioner.corpora.statistics import corpus_statistics
from bioner.corpora.tokens import mend_tokens
from bioner.data.instances import SPLITS, Instance, entity_types, faults, write_instances
from bioner.errors import InputError
from bioner.io.tables import write_table
from bioner.scoring.labels import RESERVED
from bioner.scoring.resampling import FEW_CLUSTERS, clusters_of
from bioner.settings.dataset_entry import DatasetEntry

log = logging.getLogger(__name__)
# Share of entities that break their scheme from which on the scheme is doubted.
MANY = 0.1


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
    for split, instances in splits.items():
        if entity_types(instances):
            continue
        found = f"no entity in {len(instances)} sentences"
        if split == "train":
            raise InputError(
                paths[split],
                found,
                f"the train split of {dataset}",
                "Is this the right file, with its tags in `tag_column`?",
            )
        log.warning("%s: %s: nothing can be scored on it", paths[split], found)
    for split, instances in splits.items():
        _refuse_other_count(entry, split, paths[split], instances)
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
    for (level, split, text), count in changes.remarks.items():
        log.log(level, "normalize %s: %s: %s: %d", dataset, split, text, count)
    for split in ("dev", "test"):
        _warn_if_few_clusters(dataset, split, splits[split])
    for split in splits:
        if changed := changes.counts(split):
            listed = ", ".join(f"{count} {kind}" for kind, count in changed.items())
            log.info("normalize %s: %s: %s (each in changes.csv)", dataset, split, listed)
    return splits


def read_split(
    dataset: str, split: str, entry: DatasetEntry, path: Path, scheme: str, changes: Changes
) -> tuple[list[Instance], list[int]]:
    """Return the instances of one raw file, and the entity lengths that Table II counts.

    Ids are `{split}-{number}`, in file order; sentences left out count.
    """
    changes.split = split
    documents = read_documents(entry, split, path)
    instances: list[Instance] = []
    lengths: list[int] = []
    annotations = 0
    sentences = read_sentences(path, entry, split, changes)
    _refuse_bioes(sentences, scheme, changes)
    for number, sentence in enumerate(sentences, 1):
        identity = f"{split}-{number:05d}"
        document = documents.get(number, sentence.document)
        if isinstance(document, int):
            document = f"{split}-doc{document:04d}"
        name = identity if document is None else document
        annotations += count_annotations(sentence.tags, scheme)
        tags = _iob2(sentence, name, scheme, changes)
        # Table II counts before any repair: the tags of the file, if they are IOB2.
        lengths += type_blind_lengths(sentence.tags if scheme == "IOB2" else tags)
        tokens, tags = mend_tokens(sentence, tags, name, changes)
        if not (tokens or tags):
            continue
        instance = Instance(identity, name, tokens, tags)
        for problem in faults(instance, changes.quoted):
            raise InputError(sentence.where, problem, "sound tokens and tags", "Mend the file.")
        instances.append(instance)
    if not instances:
        remarks = [f" ({text}: {n})" for (_, at, text), n in changes.remarks.items() if at == split]
        found, expected = f"no sentence{''.join(remarks)}", f"the {split} split of {dataset}"
        raise InputError(path, found, expected, "Is this the right file?")
    changes.found.setdefault(split, annotations)  # unless the reader has counted them
    kept = sum(tag.startswith("B-") for instance in instances for tag in instance.tags)
    # The paper's reading puts annotations on other words than theirs.
    changes.check_losses(path, entry.max_lost, kept, balanced=entry.format != "dygie-misread")
    counts = changes.counts(split)
    broken = counts.get("orphan", 0) + counts.get("unclosed", 0)
    if broken > MANY * kept:
        log.warning(
            "%s: %d of %d entities do not begin or end as %s has it: do the files follow another"
            " `tag_scheme`?",
            *(path, broken, kept, scheme),
        )
    return instances, lengths


def _warn_if_few_clusters(dataset: str, split: str, instances: Sequence[Instance]) -> None:
    clusters = clusters_of(instances)
    if clusters.count < FEW_CLUSTERS:
        log.warning(
            "normalize %s: %s: %d %s%s: too few to resample; intervals and p-values say little",
            *(dataset, split, clusters.count, clusters.kind, "s" * (clusters.count > 1)),
        )


def _refuse_bioes(sentences: Sequence[Sentence], scheme: str, changes: Changes) -> None:
    """Raise InputError if tags are BIOES: in another scheme, repair would cut their entities."""
    tag = find_bioes((sentence.tags for sentence in sentences), scheme)
    if tag is None:
        return
    sentence = next(sentence for sentence in sentences if tag in sentence.tags)
    raise InputError(
        sentence.place(sentence.tags.index(tag)),
        f"the tag {changes.quoted(tag)}, which looks like BIOES",
        f"tags in {scheme}",
        "State `tag_scheme: BIOES`.",
    )


def _refuse_other_count(
    entry: DatasetEntry, split: str, path: Path, instances: Sequence[Instance]
) -> None:
    """Raise InputError if a split has not as many entities as the catalogue states."""
    stated: int | None = getattr(entry.entities, split, None)
    count = sum(tag.startswith("B-") for instance in instances for tag in instance.tags)
    if stated not in (None, count):
        remedy = (
            "Fetch the file again; if it is meant to differ from the catalogue's, say"
            " `entities: null` in the overlay, or state its own number."
        )
        raise InputError(path, f"{count} entities in {split}", f"{stated} (`entities`)", remedy)


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
    unknown = {position for position, kind, _, _ in broken if kind == "unknown-tag"}
    for position, kind, found, expected in broken:
        end = position + 1
        if kind == "unknown-tag":
            if position - 1 in unknown:
                continue  # a run of them is one annotation
            while end in unknown:
                end += 1
        type_ = sentence.tags[position].partition("-")[2]
        words = " ".join(sentence.tokens[position:end])
        where = sentence.place(position)
        tagged = Annotation(where, position, end, type_, words)
        changes.fault(kind, where, f"the tag {found}", expected, document, tagged, hint)
    return tags
