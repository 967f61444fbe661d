"""Using a trained model: texts in, entities with character offsets out, as JSON Lines, PubTator or
brat.
"""

import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from bioner.corpora.readers.standoff import Passage
from bioner.corpora.segment import Rules, Token, borders, tokenize
from bioner.data.instances import Instance
from bioner.data.tags import OUTSIDE, spans
from bioner.errors import InputError
from bioner.inference.predict import Predictor, load_predictor
from bioner.io.files import parse_json, read_text
from bioner.models import TASK_FILE
from bioner.realignment.realign import realign
from bioner.settings.catalogue import complete_entry
from bioner.settings.config import Tree

TEXTS_AT_ONCE = 256
WINDOW = 512  # subwords, where nothing else is known


class Text(NamedTuple):
    """A text to tag and the name it goes by."""

    id: str
    text: str


class Mention(NamedTuple):
    """An entity from character `start` up to but not including `end`."""

    start: int
    end: int
    type: str
    text: str


Tagger = Callable[[Iterable[Text]], Iterator[tuple[Text, list[Mention]]]]


def read_texts(lines: Iterable[tuple[int, str]], kind: str) -> Iterator[Text]:
    """Texts of numbered lines, empty ones left out.

    `text`: a text a line, named by the line's number. `jsonl`: records with `id` and `text`.
    """
    for number, line in lines:
        if not line.strip():
            continue
        if kind == "text":
            yield Text(str(number), line)
            continue
        where = f"input:{number}"
        record = parse_json(line, where)
        if not isinstance(record, dict) or not all(
            isinstance(record.get(key), str) for key in Text._fields
        ):
            raise InputError(
                where,
                "no such record",
                '{"id": "…", "text": "…"}',
                "Or give plain text, --input text.",
            )
        yield Text(record["id"], record["text"])


def load_tagger(
    folder: Path, batch_size: int | None = None, segmentation: str = "sentences"
) -> Tagger:
    """A trained model as a function of texts.

    `folder` is a `model/` that training wrote, or an encoder with a token-classification head in
    Hugging Face form. It runs on a GPU where it was trained for one and there is one. LLMs decode
    with constrained decoding.
    """
    entry = entry_of(folder)
    predictor = load_predictor(
        folder.name, entry, folder, "constrained" if entry["family"] == "llm" else "direct"
    )
    size = batch_size or entry["predict"]["batch_size"]

    def tagger(texts: Iterable[Text]) -> Iterator[tuple[Text, list[Mention]]]:
        for some in _batched(texts, TEXTS_AT_ONCE):
            yield from zip(some, _mentions(some, predictor, size, segmentation), strict=True)

    return tagger


def entry_of(folder: Path) -> Tree:
    """The catalogue entry of a trained model: that of the run it came out of, or what its own files
    say.
    """
    if not folder.is_dir():
        raise InputError(
            folder,
            "no such folder",
            "the folder of a trained model",
            "Check the path, or train one.",
        )
    import torch

    run = folder.parent / "run.json"
    if (
        run.is_file() and folder.resolve().name == "model"
    ):  # not of another model beside it, as a merged one
        record = parse_json(read_text(run), str(run), whole_file=True)
        if not isinstance(record, dict) or not isinstance(record.get("settings"), dict):
            raise InputError(
                run,
                "no settings",
                "what `bioner train` wrote",
                "Move the file away, or train again.",
            )
        entry = complete_entry("models", folder.name, record["settings"])
    elif (folder / TASK_FILE).is_file():
        from bioner.models.llm import read_task

        task = read_task(folder)
        entry = complete_entry("models", "model", {"source": {"hub": task.base}, **task.settings})
    else:
        positions = _configuration(folder).get("max_position_embeddings")
        window = min(WINDOW, positions) if isinstance(positions, int) and positions > 0 else WINDOW
        described = {
            "family": "encoder",
            "source": {"hub": str(folder)},
            "max_length": max(window, 16),
        }
        entry = complete_entry("models", "model", described)
    gpus = min(1, entry["resources"]["predict_gpus"], torch.cuda.device_count())
    return entry | {"resources": entry["resources"] | {"predict_gpus": gpus}}


def _configuration(folder: Path) -> dict[str, Any]:
    path = folder / "config.json"
    found = parse_json(read_text(path), str(path), whole_file=True)
    return found if isinstance(found, dict) else {}


def _batched(texts: Iterable[Text], size: int) -> Iterator[list[Text]]:
    waiting: list[Text] = []
    for text in texts:
        waiting.append(text)
        if len(waiting) == size:
            yield waiting
            waiting = []
    if waiting:
        yield waiting


def _mentions(
    texts: Sequence[Text], predictor: Predictor, batch_size: int, segmentation: str
) -> Iterator[list[Mention]]:
    """Each text's mentions, left to right."""
    pieces = [list(_pieces(text, segmentation)) for text in texts]
    instances = [
        Instance(
            f"{number}-{place}",
            str(number),
            [token.text for token in tokens],
            [OUTSIDE] * len(tokens),
        )
        for number, of_text in enumerate(pieces)
        for place, tokens in enumerate(of_text)
    ]
    outputs = iter(
        zip(instances, predictor(instances, batch_size) if instances else [], strict=True)
    )
    for text, of_text in zip(texts, pieces, strict=True):
        found: list[Mention] = []
        for tokens, (instance, output) in zip(of_text, outputs, strict=False):
            prediction, _ = realign(instance, output, None)
            for span in spans(prediction.tags):
                start, end = tokens[span.start].start, tokens[span.end - 1].end
                found.append(Mention(start, end, span.type, text.text[start:end]))
        yield found


def _pieces(text: Text, segmentation: str) -> Iterator[list[Token]]:
    """Tokens of each sentence, or of the whole text, cut where it is very long."""
    tokens = tokenize(Passage(0, text.text), segmentation == "sentences")
    for start, end in borders(tokens, [OUTSIDE] * len(tokens), Rules(segmentation)):
        yield tokens[start:end]


def as_jsonl(text: Text, mentions: Sequence[Mention]) -> str:
    """{"id", "text", "entities": [{"start", "end", "type", "text"}]} on one line."""
    record = {
        "id": text.id,
        "text": text.text,
        "entities": [mention._asdict() for mention in mentions],
    }
    return json.dumps(record, ensure_ascii=False) + "\n"


def as_pubtator(text: Text, mentions: Sequence[Mention]) -> str:
    """The text as a title without an abstract, its mentions by offsets; line ends in the text
    become spaces.
    """
    flat = re.sub(r"[\r\n]", " ", text.text)
    lines = [f"{text.id}|t|{flat}", f"{text.id}|a|"]
    lines += [
        f"{text.id}\t{m.start}\t{m.end}\t{' '.join(m.text.split())}\t{m.type}" for m in mentions
    ]
    return "\n".join(lines) + "\n\n"


def write_brat(folder: Path, text: Text, mentions: Sequence[Mention]) -> None:
    """`ID.txt` and `ID.ann`."""
    if not text.id or text.id != Path(text.id).name or text.id.startswith("."):
        raise InputError(
            "input", f"the id {text.id!r}", "a name that a file may have", "Rename it."
        )
    lines = [
        f"T{n}\t{m.type} {m.start} {m.end}\t{' '.join(m.text.split())}\n"
        for n, m in enumerate(mentions, 1)
    ]
    (folder / f"{text.id}.txt").write_text(text.text, encoding="utf-8", newline="")
    (folder / f"{text.id}.ann").write_text("".join(lines), encoding="utf-8")
