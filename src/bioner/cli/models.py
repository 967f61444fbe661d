"""Commands of models: download-model."""

import logging
from pathlib import Path
from typing import Annotated

import typer

from bioner.cli.options import Config, Entry, Out, keep_apart
from bioner.errors import InputError

log = logging.getLogger(__name__)


def download_model(
    model: Annotated[str, typer.Argument(help="A model of the catalogue with source.hub.")],
    out: Out,
    config: Config = None,
    entry: Entry = None,
) -> None:
    """Fetch a model of the hub into the cache (HF_HOME), and note the commit that trainings are to
    use.
    """
    from bioner.cli.loading import model_entry_of
    from bioner.io.files import write_json
    from bioner.models.snapshots import fetch_snapshot, read_snapshot

    keep_apart(out)
    source = model_entry_of(model, config, entry).source
    if not source.hub:
        raise InputError(model, "no source.hub", "a model of the hub", "It needs no snapshot.")
    if Path(source.hub).is_dir():
        raise InputError(
            model,
            f"a local folder in source.hub ({source.hub})",
            "a model of the hub",
            "It needs no snapshot.",
        )
    asked = source.hub, source.revision or "main"
    known = read_snapshot(out) if out.is_file() else None
    commit = known.commit if known and asked == (known.hub, known.revision) else None
    found = fetch_snapshot(*asked, commit=commit)
    if found != known:
        write_json(out, found.model_dump())
    size = sum(found.files.values()) / 2**30
    log.info("snapshot %s: %s at %s, %.1f GiB in the cache", model, found.hub, found.commit, size)
