"""Commands of corpora: fetch, normalize, validate."""

import json
import os
from pathlib import Path
from typing import Annotated, Any

import typer

from bioner.cli.options import Config, Entry, Out, json_object, keep_apart
from bioner.errors import InputError

# Keys of a corpus's entry that are checked at normalize and change no instance.
CHECKS = ("max_lost",)


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
    if entry is None and (planned := _planned(dataset)):
        entry = json.dumps(planned)
    found = dataset_entry_of(dataset, config, entry)
    files = fetch(dataset, found, out, mirror_of(settings, mirror))
    if record:
        write_json(record, {path.name: sha256_of(path) for path in files})


def _planned(dataset: str) -> dict[str, Any]:
    """Return the corpus's entry as the workflow has it, which only passes what changes a result."""
    planned = json_object("BIONER_DATASETS", os.environ.get("BIONER_DATASETS", "{}"))
    found: dict[str, Any] = planned.get(dataset, {})
    return found


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
    from bioner.cli.loading import dataset_entry_of, settings_of
    from bioner.corpora.normalize import normalize

    settings = settings_of(config)
    planned = _planned(dataset)
    if entry is not None:
        checks = {key: planned[key] for key in CHECKS if key in planned}
        entry = json.dumps(checks | json_object("--entry", entry))
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
        for name, file in (planned or described.canonical()).get("files", {}).items():
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
