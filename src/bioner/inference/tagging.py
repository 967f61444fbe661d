"""Tagging texts with a trained model: entities as JSON Lines, PubTator or brat."""

import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from bioner.corpora.readers.standoff import Passage
from bioner.corpora.segment import Rules, Token, borders, tokenize
from bioner.data.instances import Instance
from bioner.data.tags import OUTSIDE, spans, tag_set
from bioner.errors import InputError
from bioner.inference.predict import Predictor, load_predictor
from bioner.io.files import parse_json
from bioner.io.records import read_record
from bioner.models import TASK_FILE
from bioner.models.gpu_leases import lease_gpus
from bioner.realignment.realign import realign
from bioner.settings.catalogue import parse_entry
from bioner.settings.model_entry import ModelEntry

TEXTS_AT_ONCE = 256
WINDOW = 512  # subwords, if the model does not say
# First lines of files in these formats; no sentence begins like that.
MARKUP = {
    "PubTator": re.compile(r"[\w.:-]+\|[ta]\|"),
    "XML (BioC?)": re.compile(r"<(\?xml|!DOCTYPE|[A-Za-z]+(>|\s+[\w:-]+=))"),
    "JSON": re.compile(r'\[\s*$|\[?\s*\{\s*("[^"]*"\s*:|$)|\[\s*"[^"]*"\s*(,|\]\s*$)'),
}


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
    """Yield the texts of numbered lines, without empty ones.

    Args:
        kind: `text`, a text per line, named by the line's number; or `jsonl`, records with `id` and
            `text`.

    Raises:
        InputError: A record lacks `id` or `text`, or the text begins as a file of MARKUP does.
    """
    is_first = True
    for number, line in lines:
        if not line.strip():
            continue
        where = f"input:{number}"
        if is_first and kind == "text":
            for form, beginning in MARKUP.items():
                if beginning.match(line.lstrip("\ufeff \t")):
                    remedy = "Give one text per line, or JSON Lines with --input jsonl."
                    raise InputError(where, form, "plain text, one text per line", remedy)
        is_first = False
        record = {"id": str(number), "text": line} if kind == "text" else parse_json(line, where)
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
    """Load a trained model as a function of texts.

    It runs on a GPU if it was trained for one and there is one. LLMs use constrained decoding.

    Args:
        folder: a `model/` that training wrote, or an encoder with a token-classification head in
            Hugging Face form.
    """
    entry = entry_of(folder)
    predictor = load_predictor(
        folder.name, entry, folder, "constrained" if entry.family == "llm" else "direct"
    )
    size = batch_size or entry.predict.batch_size
    legal = None
    if entry.family == "llm":
        from bioner.models.llm import read_task

        legal = frozenset(tag_set(read_task(folder).types))

    def tagger(texts: Iterable[Text]) -> Iterator[tuple[Text, list[Mention]]]:
        waiting = iter(texts)
        while some := list(islice(waiting, TEXTS_AT_ONCE)):
            yield from zip(some, _mentions(some, predictor, size, segmentation, legal), strict=True)

    return tagger


def entry_of(folder: Path) -> ModelEntry:
    """Return the catalogue entry of a trained model, from its run.json or its own files."""
    if not folder.is_dir():
        raise InputError(
            folder,
            "no such folder",
            "the folder of a trained model",
            "Check the path, or train one.",
        )
    import torch

    run = folder.parent / "run.json"
    # A merged model may lie next to another one's run.json.
    if run.is_file() and folder.resolve().name == "model":
        record = read_record(run)
        if not record.settings:
            raise InputError(
                run,
                "no settings",
                "what `bioner train` wrote",
                "Move the file away, or train again.",
            )
        entry = parse_entry(ModelEntry, folder.name, record.settings)
    elif (folder / TASK_FILE).is_file():
        from bioner.models.llm import read_task

        entry = read_task(folder).entry
    else:
        from bioner.models.positions import positions_of
        from bioner.models.pretrained import load_model_config
        from bioner.models.requirements import kind_of

        config = load_model_config(folder)
        if (kind := kind_of(config)) not in ("encoder", None):
            found, expected = f"an untrained {kind}", "a trained model"
            raise InputError(folder, found, expected, "Name the `model/` of a finished training.")
        window = min(WINDOW, positions_of(config) or WINDOW)
        described = {"source": {"hub": str(folder)}, "max_length": max(window, 16)}
        entry = parse_entry(ModelEntry, "model", {"family": "encoder", **described})
    gpus = min(1, entry.resources.predict_gpus)
    lease_gpus(folder.name, gpus)
    gpus = min(gpus, torch.cuda.device_count())
    return entry.changed(resources={"predict_gpus": gpus})


def _mentions(
    texts: Sequence[Text],
    predictor: Predictor,
    batch_size: int,
    segmentation: str,
    legal: frozenset[str] | None,
) -> Iterator[list[Mention]]:
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
            prediction, _ = realign(instance, output, legal)
            for span in spans(prediction.tags):
                start, end = tokens[span.start].start, tokens[span.end - 1].end
                found.append(Mention(start, end, span.type, text.text[start:end]))
        yield found


def _pieces(text: Text, segmentation: str) -> Iterator[list[Token]]:
    """Yield the tokens of each sentence, or of the whole text; very long ones are cut."""
    tokens = tokenize(Passage(0, text.text), segmentation == "sentences")
    for start, end in borders(tokens, [OUTSIDE] * len(tokens), Rules(segmentation)):
        yield tokens[start:end]


def as_jsonl(text: Text, mentions: Sequence[Mention]) -> str:
    """Return {"id", "text", "entities": [{"start", "end", "type", "text"}]} on one line."""
    record = {
        "id": text.id,
        "text": text.text,
        "entities": [mention._asdict() for mention in mentions],
    }
    return json.dumps(record, ensure_ascii=False) + "\n"


def as_pubtator(text: Text, mentions: Sequence[Mention]) -> str:
    """Return the text as a title without an abstract; its line ends become spaces."""
    flat = re.sub(r"[\r\n]", " ", text.text)
    lines = [
        f"{text.id}|t|{flat}",
        f"{text.id}|a|",
        *(f"{text.id}\t{m.start}\t{m.end}\t{' '.join(m.text.split())}\t{m.type}" for m in mentions),
    ]
    return "\n".join(lines) + "\n\n"


def write_brat(folder: Path, text: Text, mentions: Sequence[Mention]) -> None:
    """Write `ID.txt` and `ID.ann`."""
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
