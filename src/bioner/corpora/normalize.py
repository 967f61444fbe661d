"""Normalize a corpus: one reader per format, one form for all, every change listed."""

import logging
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from bioner.corpora.changes import Changes
from bioner.corpora.documents import read_documents
from bioner.corpora.fates import check_fates
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
from bioner.scoring.limits import FEWEST_DOCUMENTS
from bioner.scoring.resampling import clusters_of
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
        changes.split = split
        sentences = read_sentences(path, entry, split, changes)
        _refuse_bioes(sentences, scheme, changes)
        documents = read_documents(entry, split, path)
        instances, counted[split] = _instances(sentences, split, documents, scheme, changes)
        if not instances:
            remarks = [
                f" ({text}: {n})" for (_, at, text), n in changes.remarks.items() if at == split
            ]
            found, expected = f"no sentence{''.join(remarks)}", f"the {split} split of {dataset}"
            raise InputError(path, found, expected, "Is this the right file?")
        _check_annotations(path, sentences, instances, scheme, entry, changes)
        _check_entities(path, dataset, split, instances, getattr(entry.entities, split, None))
        splits[split] = instances
    _write(dataset, splits, counted, changes, out)
    _log_changes(dataset, splits, changes)
    return splits


def _instances(
    sentences: Sequence[Sentence],
    split: str,
    documents: Mapping[int, str],
    scheme: str,
    changes: Changes,
) -> tuple[list[Instance], list[int]]:
    """Return the instances of a split, and the entity lengths that Table II counts.

    Ids are `{split}-{number}`, in file order; sentences left out count.

    Args:
        documents: Known documents of sentences, by number from 1.
    """
    instances: list[Instance] = []
    lengths: list[int] = []
    for number, sentence in enumerate(sentences, 1):
        identity = f"{split}-{number:05d}"
        document = documents.get(number, sentence.document)
        if isinstance(document, int):
            document = f"{split}-doc{document:04d}"
        name = identity if document is None else document
        tags = _iob2(sentence, name, scheme, changes)
        # Table II counts before any repair: the tags of the file, if they are IOB2.
        lengths += type_blind_lengths(sentence.tags if scheme == "IOB2" else tags)
        tokens, tags = mend_tokens(sentence, tags, name, changes)
        if tokens or tags:
            instance = Instance(identity, name, tokens, tags)
            for problem in faults(instance, changes.quoted):
                raise InputError(sentence.where, problem, "sound tokens and tags", "Mend the file.")
            instances.append(instance)
    return instances, lengths


def _check_annotations(
    path: Path,
    sentences: Sequence[Sentence],
    instances: Sequence[Instance],
    scheme: str,
    entry: DatasetEntry,
    changes: Changes,
) -> None:
    """Raise InputError if a split lost too many annotations; warn if many break their scheme."""
    split, kept = changes.split, _count_entities(instances)
    if split not in changes.found:  # unless the reader has counted them
        changes.add_found(sum(count_annotations(each.tags, scheme) for each in sentences))
    # The paper's reading puts annotations on other words than theirs.
    balanced = entry.format != "dygie-misread"
    check_fates(path, changes, kept, entry.max_lost, balanced)
    counts = changes.counts(split)
    broken = counts.get("orphan", 0) + counts.get("unclosed", 0)
    if broken > MANY * kept:
        log.warning(
            "%s: %d of %d entities do not begin or end as %s requires: do the files follow another"
            " `tag_scheme`?",
            *(path, broken, kept, scheme),
        )


def _check_entities(
    path: Path, dataset: str, split: str, instances: Sequence[Instance], stated: int | None
) -> None:
    """Raise InputError if a split's entities have a reserved type, or are too few or too many.

    Args:
        stated: How many the catalogue says there are.
    """
    types = entity_types(instances)
    if reserved := sorted({*RESERVED} & {*types}):
        raise InputError(
            path,
            f"the entity type {reserved[0]!r}",
            "another name",
            "Rename it in the file: tables of scores have rows of that name over all types.",
        )
    if not types:
        found = f"no entity in {len(instances)} sentences"
        if split == "train":
            remedy = "Is this the right file, with its tags in `tag_column`?"
            raise InputError(path, found, f"the train split of {dataset}", remedy)
        log.warning("%s: %s: nothing can be scored on it", path, found)
    count = _count_entities(instances)
    if stated not in (None, count):
        remedy = (
            "Fetch the file again; if it is meant to differ from the catalogue's, set"
            " `entities: null` in the overlay, or state its own count."
        )
        raise InputError(path, f"{count} entities in {split}", f"{stated} (`entities`)", remedy)


def _count_entities(instances: Sequence[Instance]) -> int:
    return sum(tag.startswith("B-") for instance in instances for tag in instance.tags)


def _write(
    dataset: str,
    splits: Mapping[str, Sequence[Instance]],
    counted: Mapping[str, Sequence[int]],
    changes: Changes,
    out: Path,
) -> None:
    """Write all files of the corpus, or none."""
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".normalize.", dir=out) as folder:
        scratch = Path(folder)
        for split, instances in splits.items():
            write_instances(scratch / f"{split}.jsonl", instances)
        statistics = corpus_statistics(dataset, splits, counted, changes)
        write_table(scratch / "stats.csv", statistics)
        write_table(scratch / "changes.csv", changes.table())
        for path in sorted(scratch.iterdir()):
            path.replace(out / path.name)


def _log_changes(dataset: str, splits: Mapping[str, Sequence[Instance]], changes: Changes) -> None:
    """Log how many instances there are, what readers remarked, and what was changed."""
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


def _warn_if_few_clusters(dataset: str, split: str, instances: Sequence[Instance]) -> None:
    clusters = clusters_of(instances)
    if clusters.count < FEWEST_DOCUMENTS:
        log.warning(
            "normalize %s: %s: %d %s%s: too few for intervals and tests",
            *(dataset, split, clusters.count, clusters.kind, "s" * (clusters.count > 1)),
        )


def _refuse_bioes(sentences: Sequence[Sentence], scheme: str, changes: Changes) -> None:
    """Raise InputError if tags look like BIOES: otherwise entities would be cut short or lost."""
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
