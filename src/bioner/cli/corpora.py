"""Commands of corpora: fetch, normalize, validate."""

import os
from pathlib import Path
from typing import Annotated

import typer

from bioner.cli.options import Config, Entry, Out, keep_apart
from bioner.errors import InputError


def fetch(
    dataset: str,
    out: Out,
    mirror: Path | None = None,
    record: Annotated[
        Path | None, typer.Option(help="Where to note the checksum of every raw file.")
    ] = None,
    config: Config = None,
    entry: Entry = None,
) -> None:
    """Get a corpus's raw files and verify their checksums."""
    from bioner.cli.loading import dataset_entry_of, settings_of
    from bioner.corpora.fetching.fetch import fetch
    from bioner.corpora.fetching.sources import mirror_of
    from bioner.io.checksums import sha256_of
    from bioner.io.files import write_json

    if record:
        keep_apart(record, out, option="--record")
    settings = settings_of(config)
    found = dataset_entry_of(dataset, config, entry)
    files = fetch(dataset, found, out, mirror_of(settings, mirror))
    if record:
        write_json(record, {path.name: sha256_of(path) for path in files})


def normalize(
    dataset: str,
    raw: Annotated[Path, typer.Option(help="Folder of the raw files.")],
    out: Out,
    show_restricted_text: Annotated[
        bool, typer.Option(help="Messages may show text not to be redistributed.")
    ] = False,
    config: Config = None,
    entry: Entry = None,
) -> None:
    """Raw files to instances: train.jsonl, dev.jsonl, test.jsonl, stats.csv, changes.csv."""
    from bioner.cli.loading import dataset_entry_of, planned_datasets, settings_of
    from bioner.corpora.normalize import normalize

    settings = settings_of(config)
    described = dataset_entry_of(dataset, config, entry)
    # The workflow names closed corpora here: its rules only pass what changes a result.
    closed = not described.redistributable or dataset in os.environ.get("BIONER_CLOSED", "").split(
        ","
    )
    quote = show_restricted_text or dataset in settings.show_restricted_text or not closed
    try:
        normalize(dataset, described, raw, out, quote)
    except InputError as error:
        # Users know their own files, not the copies in the raw folder.
        planned = planned_datasets().get(dataset) or described.canonical()
        for name, file in planned.get("files", {}).items():
            if file.get("path") and str(raw / name) in str(error):
                error.args = (f"{error} ({raw / name} is a copy of {file['path']}.)",)
        raise


def validate(
    file: Annotated[
        Path, typer.Argument(help="Instances or predictions (JSON Lines, plain or .gz).")
    ],
    gold: Annotated[
        Path | None, typer.Option(help="Instances that predictions are held against.")
    ] = None,
) -> None:
    """Every broken invariant of an instance or prediction file, with its line."""
    from bioner.data.instances import read_instances
    from bioner.data.validation import validate

    kind, count, faults = validate(file, read_instances(gold) if gold else None)
    for fault in faults:
        typer.echo(fault)
    if faults:
        remedy = (
            f"Remake the file with `bioner {'normalize' if kind == 'instances' else 'realign'}`."
        )
        raise InputError(file, f"{len(faults)} broken invariants in {count} {kind}", "none", remedy)
    typer.echo(f"{file}: {count} {kind}, all sound")
