"""Commands of systems: predict, time, realign, tag."""

import contextlib
import logging
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Literal

import typer

from bioner.cli.options import Config, Entry, Gold, Out, keep_apart
from bioner.errors import InputError

log = logging.getLogger(__name__)

DraftOption = Annotated[
    Path | None,
    typer.Option(
        help="Predictions of another system on the same gold, to draft from (constrained)."
    ),
]


def predict(
    model: str,
    gold: Gold,
    out: Out,
    train: Annotated[
        Path | None, typer.Option(help="Training instances (controls; drafts of LLMs).")
    ] = None,
    weights: Annotated[
        Path | None, typer.Option(help="Folder `model/` of a trained model.")
    ] = None,
    decoding: Annotated[
        str, typer.Option(help="direct, free, free-paper or constrained.")
    ] = "direct",
    draft: DraftOption = None,
    seed: Annotated[
        int, typer.Option(min=0, max=2**32 - 1, help="Where tokens are drawn (free-paper).")
    ] = 42,
    record: Annotated[
        Path | None, typer.Option(help="Also write how it was made, as JSON.")
    ] = None,
    config: Config = None,
    entry: Entry = None,
) -> None:
    """Raw outputs of a model for every gold instance; an LLM that is cut short goes on where it
    was.
    """
    from bioner.cli.loading import model_entry_of
    from bioner.data.instances import read_instances, unseen_types
    from bioner.inference.predict import PredictionJob, predict_to
    from bioner.io.checksums import sha256_of

    keep_apart(out, gold, train, draft, weights)
    if record:
        keep_apart(record, gold, train, draft, weights, out, option="--record")
    settings = model_entry_of(model, config, entry)
    if settings.family == "llm":
        from bioner.training.launch import launch

        launch(model, settings.resources.predict_gpus)
    instances, known = read_instances(gold), read_instances(train) if train else []
    for type_, count in (unseen_types(known, instances) if known else {}).items():
        log.warning(
            "predict %s: %s has %d entities of type %s, training has none of that name",
            model,
            gold,
            count,
            type_,
        )
    # The training's record stands for its weights, which may be gigabytes.
    files = {
        "gold": gold,
        "train": train,
        "training": weights and weights.parent / "run.json",
        "draft": draft,
    }
    data = {
        name: sha256_of(path) if path and path.is_file() else None for name, path in files.items()
    }
    job = PredictionJob(
        model, settings, instances, known, weights, decoding, seed, draft=draft, data=data
    )
    predict_to(job, out, record)


def time(
    model: str,
    gold: Gold,
    out: Out,
    weights: Annotated[
        list[Path],
        typer.Option(
            help="Folder `model/` of a trained model; several: one a --seed, in their order."
        ),
    ],
    decoding: Annotated[
        list[str], typer.Option(help="direct, free, free-paper or constrained; may be repeated.")
    ],
    train: Annotated[
        Path | None, typer.Option(help="Training instances, for the drafts of LLMs.")
    ] = None,
    draft: DraftOption = None,
    sentences: Annotated[int, typer.Option(min=1)] = 100,
    batch: Annotated[
        list[int] | None, typer.Option(min=1, help="Batch size; may be repeated.")
    ] = None,
    repeats: Annotated[int, typer.Option(min=1)] = 3,
    protocol: Annotated[
        list[str] | None,
        typer.Option(
            help="fair (default): as the model predicts; paper: as in the paper. May be repeated."
        ),
    ] = None,
    method: Annotated[
        Literal["robust", "paper"], typer.Option(help="Of realignment, which is timed, too.")
    ] = "robust",
    dataset: str = "",
    seed: Annotated[
        list[int] | None,
        typer.Option(min=0, max=2**32 - 1, help="Of these weights; may be repeated."),
    ] = None,
    config: Config = None,
    entry: Entry = None,
) -> None:
    """Inference seconds a sentence on a fixed sample, from tokens to tags on tokens."""
    import polars as pl

    from bioner.cli.loading import model_entry_of
    from bioner.data.instances import read_instances
    from bioner.inference.timing import TIMING, Protocol, Timed, sample_of, time_model
    from bioner.io.tables import check_table, write_table

    keep_apart(out, gold, train, draft, *weights)
    check_table(out)
    seeds: list[int | None] = [*seed] if seed else [None]
    if len(seeds) != len(weights) or len({*seeds}) != len(seeds):
        raise InputError(
            "--seed",
            f"{len(weights)} --weights and {len({*seeds} - {None})} different --seed",
            "one of its own for each --weights",
            "Name them in the same order.",
        )
    settings = model_entry_of(model, config, entry)
    if draft and "constrained" not in decoding:
        raise InputError(
            "--draft",
            " and ".join(decoding),
            "constrained, which alone is drafted for",
            "Leave --draft out.",
        )
    instances, known = read_instances(gold), read_instances(train) if train else []
    sample = sample_of(instances, sentences)
    protocols = [Protocol(name) for name in dict.fromkeys(protocol or ["fair"])]
    rows = [
        {"dataset": dataset, "model": model, "seed": number, **row}
        for number, folder in zip(seeds, weights, strict=True)
        for how in protocols
        for row in time_model(
            Timed(model, settings, folder, sample, instances, known, draft, method),
            *(how, decoding, batch or [1], repeats, number or 0),
        )
    ]
    write_table(out, pl.DataFrame(rows, schema=TIMING))


def tag(
    model: Annotated[Path, typer.Option(help="Folder `model/` of a trained model.")],
    input: Annotated[
        Literal["text", "jsonl"], typer.Option(help="A text a line, or records with id and text.")
    ] = "text",
    format: Annotated[
        Literal["jsonl", "pubtator", "brat"], typer.Option(help="Of the output.")
    ] = "jsonl",
    out: Annotated[
        Path | None,
        typer.Option(help="Where to write, in place of standard output; brat: a folder."),
    ] = None,
    batch: Annotated[int | None, typer.Option(min=1, help="Sentences a batch.")] = None,
    segmentation: Annotated[
        Literal["sentences", "passages"], typer.Option(help="What the model sees at once.")
    ] = "sentences",
) -> None:
    """Entities of texts on standard input, with their character offsets, by a trained model."""
    from bioner.inference.tagging import as_jsonl, as_pubtator, load_tagger, read_texts, write_brat
    from bioner.io.files import atomic_text, decoded

    if format == "brat" and (out is None or out.is_file()):
        raise InputError(
            "--format brat", "no folder to write to", "--out FOLDER", "brat has two files a text."
        )
    if format != "brat" and out is not None:
        keep_apart(out)
    tagger = load_tagger(model, batch, segmentation)
    lines = (
        (number, decoded(Path("input"), number, line))
        for number, line in enumerate(sys.stdin.buffer, 1)
    )
    tagged = tagger(read_texts(lines, input))
    if format == "brat" and out is not None:
        out.mkdir(parents=True, exist_ok=True)
        for text, mentions in tagged:
            write_brat(out, text, mentions)
        return
    shown = {"jsonl": as_jsonl, "pubtator": as_pubtator}[format]
    with atomic_text(out) if out else contextlib.nullcontext(sys.stdout) as stream:
        for text, mentions in tagged:
            stream.write(shown(text, mentions))


def realign(
    gold: Gold,
    raw: Annotated[Path, typer.Option(help="Raw outputs (JSON Lines, plain or .gz).")],
    out: Out,
    train: Annotated[
        Path | None,
        typer.Option(help="Training instances: tags of types in neither file become O."),
    ] = None,
    method: Literal["robust", "paper"] = "robust",
    alignment: Annotated[
        Path | None, typer.Option(help="Also write how each output fitted.")
    ] = None,
) -> None:
    """Raw outputs to valid tags on the gold tokens."""
    import polars as pl

    from bioner.data.instances import entity_types, read_instances, write_predictions
    from bioner.data.raw_outputs import read_raw
    from bioner.data.tags import tag_set
    from bioner.io.tables import check_table, write_table
    from bioner.realignment.realign import ALIGNMENT, realign_all

    keep_apart(out, gold, raw, train)
    if alignment:
        keep_apart(alignment, gold, raw, train, out, option="--alignment")
        check_table(alignment)
    instances = read_instances(gold)
    legal = (
        frozenset(tag_set(entity_types([*instances, *read_instances(train)]))) if train else None
    )
    predictions, alignments = realign_all(instances, read_raw(raw, instances), legal, method)
    write_predictions(out, predictions)
    if alignment:
        write_table(alignment, pl.DataFrame([asdict(row) for row in alignments], schema=ALIGNMENT))
    if entities := sum(row.gold_entities for row in alignments):
        log.info(
            "realign: %.2f %% of %d entities reachable; %d tokens dropped, %d tags illegal, %d"
            " sentences over budget",
            100 * sum(row.reachable_entities for row in alignments) / entities,
            entities,
            sum(row.dropped for row in alignments),
            sum(row.illegal_tags for row in alignments),
            sum(row.truncated for row in alignments),
        )
