"""Commands of training: train, search, merge."""

import logging
from pathlib import Path
from typing import Annotated

import typer

from bioner.cli.options import Config, Entry, Out, each_once, keep_apart
from bioner.errors import InputError

log = logging.getLogger(__name__)


def train(
    model: str,
    data: Annotated[Path, typer.Option(help="Folder with train.jsonl and dev.jsonl.")],
    out: Out,
    seed: Annotated[int, typer.Option(min=0, max=2**32 - 1)] = 42,
    dataset: Annotated[
        str | None, typer.Option(help="The corpus's name, for the model card.")
    ] = None,
    winner: Annotated[
        Path | None, typer.Option(help="winner.json of a search: train with its values.")
    ] = None,
    snapshot: Annotated[
        Path | None, typer.Option(help="What `bioner download-model` wrote: train at its commit.")
    ] = None,
    searched: Annotated[
        list[str] | None,
        typer.Option(
            help="A trial of a search over this setting; again for each. Its weights are not kept."
        ),
    ] = None,
    deterministic: Annotated[
        bool, typer.Option(help="Deterministic kernels on GPUs: the same bytes again.")
    ] = False,
    config: Config = None,
    entry: Entry = None,
) -> None:
    """Train a model: model/, history.csv, run.json; cut short, the same command goes on from the
    last checkpoint.
    """
    from bioner.cli.loading import model_entry_of
    from bioner.data.instances import read_instances
    from bioner.io.checksums import sha256_of
    from bioner.settings.catalogue import parse_entry
    from bioner.settings.config import merged
    from bioner.settings.model_entry import ModelEntry, Train
    from bioner.training.job import TrainingJob
    from bioner.training.launch import launch
    from bioner.training.search import read_winner

    settings = model_entry_of(model, config, entry)
    best = read_winner(winner) if winner else None
    if best:
        found = merged(settings.canonical(), {"train": best.train})
        settings = parse_entry(ModelEntry, model, found, str(winner))
    if snapshot:
        from bioner.models.snapshots import read_snapshot

        noted, hub = read_snapshot(snapshot), settings.source.hub
        if noted.hub != hub:
            raise InputError(
                snapshot,
                f"a snapshot of {noted.hub}",
                f"one of {hub or 'a hub model'}",
                "Leave --snapshot out, or name the model's own.",
            )
        settings = settings.changed(source={"revision": noted.commit})
    if unknown := set(searched or []) - set(Train.model_fields):
        raise InputError(
            "--searched",
            repr(min(unknown)),
            f"one of {', '.join(Train.model_fields)}",
            "Correct the name.",
        )
    if deterministic:
        settings = settings.changed(train={"deterministic": True})
    launch(model, settings.resources.gpus)
    splits = {split: data / f"{split}.jsonl" for split in ("train", "dev")}
    instances = {split: read_instances(path) for split, path in splits.items()}
    known = {"dataset": dataset, **{split: sha256_of(path) for split, path in splits.items()}}
    job = TrainingJob(
        model,
        settings,
        instances["train"],
        instances["dev"],
        seed,
        data=known,
        searched=searched or (),
        winner=best.trial if best else None,
    )
    from bioner.training.run import train  # now that the input is sound: it takes seconds to import

    train(job, out)


def search(
    trials: Annotated[list[Path], typer.Argument(help="Folders of finished trials.")],
    out: Out,
    winner: Annotated[Path, typer.Option(help="Where to write which trial won, and its values.")],
    as_trained: Annotated[
        bool,
        typer.Option(
            "--as-trained", help="Rank by dev scores of the weights as trained, not merged."
        ),
    ] = False,
) -> None:
    """Rank the trials of a hyper-parameter search by dev."""
    from bioner.io.files import write_json
    from bioner.io.tables import write_table
    from bioner.training.search import rank, read_trial, search_table, winner_of

    keep_apart(out)
    keep_apart(winner, out, option="--winner")
    each_once("search", trials)
    ranked = rank([read_trial(folder) for folder in trials], as_trained)
    table, best = search_table(ranked), winner_of(ranked)
    write_json(winner, best.model_dump())
    write_table(out, table)


def merge(
    model: Annotated[Path, typer.Option(help="Folder `model/` of a trained LLM with an adapter.")],
    out: Annotated[Path, typer.Option(help="Folder to make.")],
    gold: Annotated[
        Path | None, typer.Option(help="Dev instances to compare with the unmerged model on.")
    ] = None,
    sentences: Annotated[int, typer.Option(min=1, help="How many of them, evenly drawn.")] = 100,
) -> None:
    """Merge an adapter into its base, and compare the predictions of both on dev."""
    from bioner.data.instances import read_instances
    from bioner.inference.tagging import entry_of as entry_of_folder

    if out.exists() or out.is_symlink():
        raise InputError(
            out, "a file or folder", "a name that is free", "Choose another --out, or move it away."
        )
    keep_apart(out, model, gold)
    instances = read_instances(gold) if gold else []
    count = min(sentences, len(instances))
    sample = [instances[number * len(instances) // count] for number in range(count)]
    entry = entry_of_folder(model)  # reserves a GPU; peft imports bitsandbytes, which starts CUDA
    from bioner.inference.merging import merge as merged_model

    agreement = merged_model(model, entry, out, sample)
    if agreement:
        log.info(
            "merge: %d of %d predicted entities differ from the unmerged model's; strict F1"
            " changes by %+.2f",
            agreement.differing,
            agreement.entities,
            agreement.difference,
        )
        if agreement.fault:
            log.warning("merge: merging changes the predictions on dev: %s", agreement.fault)
