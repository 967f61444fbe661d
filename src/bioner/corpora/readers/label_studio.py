"""Label Studio's exports, JSON and JSON-MIN: tasks with a text and labelled spans."""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from bioner.corpora.changes import Changes
from bioner.corpora.readers.spans import ID_FIELDS, get_id, records_of, to_annotation
from bioner.corpora.readers.standoff import Annotation, Document, paragraphs
from bioner.errors import InputError

REMEDY = "Export the project again, as JSON or JSON-MIN."
# What JSON-MIN writes in addition to the fields of a task.
ABOUT = {*ID_FIELDS, "annotator", "annotation_id", "created_at", "updated_at", "lead_time"}
# An uploaded file, or one of a cloud's storage.
ADDRESS = re.compile(r"(\w+:/|/data)/\S+")
POSITION = {"start", "end", "text", "startOffset", "endOffset", "globalOffsets"}


class Version(NamedTuple):
    """What one annotator made of a task."""

    is_truth: bool
    annotations: list[Annotation]


class Task(NamedTuple):
    """A text and every version of its annotations."""

    where: str
    document: str
    text: str
    versions: list[Version]


def read_label_studio(path: Path, changes: Changes) -> Iterator[Document]:
    """Yield a document per annotated task.

    Cancelled annotations do not count. If annotators differ, what is marked as ground truth counts.

    Raises:
        InputError: A task without a text, with annotations that differ, or with a broken span.
    """
    tasks: dict[tuple[str, str], Task] = {}
    for name, where, record in records_of(path):
        if not isinstance(record, dict):
            raise InputError(where, "no object", "a task", REMEDY)
        data = record["data"] if isinstance(record.get("data"), dict) else record
        new = Task(where, get_id(data) or get_id(record) or name, _get_text(data, where), [])
        # JSON-MIN has an object for each annotator of a task.
        task = tasks.setdefault((f"{record.get('id', name)}", new.text), new)
        task.versions.extend(_versions(record, task, changes))
    for task in tasks.values():
        if not task.versions:
            if changes.holds(task.document):
                changes.remark("tasks without an annotation, left out")
            continue
        truths = [version for version in task.versions if version.is_truth]
        versions = truths if len(truths) == 1 else task.versions
        if len({frozenset(item[1:4] for item in version.annotations) for version in versions}) > 1:
            raise InputError(
                task.where,
                f"{len(versions)} annotations that differ",
                "one per task",
                "Mark one as ground truth, or cancel the others.",
            )
        annotations = _by_character(task.text, versions[0].annotations)
        yield Document(task.where, task.document, paragraphs(task.text), annotations)


def _get_text(data: Mapping[str, Any], where: str) -> str:
    """Return the only text of a task, or the one named `text`."""
    texts = {key: value for key, value in data.items() if isinstance(value, str)}
    texts = {key: value for key, value in texts.items() if key == "text" or key not in ABOUT}
    if len(texts) != 1 and "text" not in texts:
        found = f"texts under {', '.join(texts)}" if texts else "no text"
        raise InputError(where, found, "one text, or a `text`", "Rename it in the file.")
    text = texts["text"] if "text" in texts else next(iter(texts.values()))
    if ADDRESS.fullmatch(text):
        remedy = "Put the texts themselves into the tasks, as JSON."
        raise InputError(where, "the address of a text", "the text", remedy)
    return text


def _versions(record: Mapping[str, Any], task: Task, changes: Changes) -> Iterator[Version]:
    try:
        if not isinstance(record.get("data"), dict):  # JSON-MIN
            lists = [items for items in record.values() if isinstance(items, list)]
            values = [item for items in lists for item in items]
            yield Version(False, list(_annotations(values, task, changes)))
            return
        for made in record.get("annotations", record.get("completions")) or []:
            if not (made.get("was_cancelled") or made.get("skipped")):
                values = [
                    region["value"]
                    if region.get("type", "labels").endswith("labels")
                    else region.get("value")
                    for region in made["result"]
                ]
                annotations = list(_annotations(values, task, changes))
                yield Version(bool(made.get("ground_truth")), annotations)
    except (KeyError, TypeError, AttributeError):
        raise InputError(
            task.where, "a broken task", "`annotations` with a `result`", REMEDY
        ) from None


def _annotations(values: Sequence[Any], task: Task, changes: Changes) -> Iterator[Annotation]:
    """Yield an annotation for every label of every span; other answers are passed over."""
    for number, value in enumerate(values, 1):
        if not isinstance(value, dict):
            continue
        text = value.get("text")
        answers = value.keys() - POSITION
        labels = sorted(key for key in answers if key.endswith("labels"))
        if not labels and (answers or "start" not in value or isinstance(text, list)):
            continue  # a choice, a rating or a remark about a span
        where = f"{task.where}, span {number}"
        named = value[labels[0]] if labels else []
        if not isinstance(named, list) or not named:
            raise InputError(where, "a span without a label", "a label", "Add it in Label Studio.")
        if isinstance(text, str) and "\\n" not in task.text:
            text = text.replace("\\n", "\n")  # as Label Studio writes a line end
        for label in named:
            span = {
                "start": value.get("start"),
                "end": value.get("end"),
                "label": label,
                "text": text,
            }
            yield to_annotation(span, where, changes)


def _by_character(text: str, annotations: list[Annotation]) -> list[Annotation]:
    """Return annotations whose offsets count characters.

    Label Studio's count UTF-16 units, in which an emoji has two. Files that other programs have
    written count characters: they are taken as they are if more spans agree with their text so.
    """
    units = [
        position for position, letter in enumerate(text) for _ in range(1 + (letter > "\uffff"))
    ]
    units.append(len(text))
    if len(units) == len(text) + 1:
        return annotations
    last = len(units) - 1
    by_unit = [
        annotation._replace(
            start=units[annotation.start] if 0 <= annotation.start <= last else annotation.start,
            end=units[annotation.end] if 0 <= annotation.end <= last else annotation.end,
        )
        for annotation in annotations
    ]
    return max(by_unit, annotations, key=lambda read: _count_agreeing(text, read))


def _count_agreeing(text: str, annotations: Sequence[Annotation]) -> int:
    return sum(
        annotation.text.split() == text[max(annotation.start, 0) : max(annotation.end, 0)].split()
        for annotation in annotations
        if annotation.text
    )
