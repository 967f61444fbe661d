"""Commands of storage: archive."""

import logging
from pathlib import Path
from typing import Annotated

import typer

from bioner.cli.options import keep_apart
from bioner.errors import InputError

log = logging.getLogger(__name__)


def archive(
    run: Annotated[Path, typer.Argument(help="The run's output folder: `out` of its configuration.")] = Path(),
    to: Annotated[Path | None, typer.Option(help="The archive to write, FILE.tar.gz.")] = None,
    weights: Annotated[bool, typer.Option("--weights", help="Pack trained models, too.")] = False,
    check: Annotated[Path | None, typer.Option(help="Only compare this archive with its checksums.")] = None,
) -> None:
    """Pack what must outlive a scratch file system, with checksums and Snakemake's records; or check such an archive.

    Data, results, reports, logs, and what Snakemake knows of them; no checkpoints, half-written files or weights of
    trials. `tar -xzf FILE` lays them out as they were below the working directory, `sha256sum -c MANIFEST.sha256`
    compares them, and there Snakemake with the same configuration finds nothing to do. It takes the repository to lie
    where it lay: at another path, corpora with a table of documents are normalized again, and all that depends on them.
    The corpora are inside: pass it on only where their terms let you.

    Without --weights the trained models are missing there. Snakemake lets them be while what was made of them is
    there: scores, comparisons and reports can be made again with other settings. What needs a model itself (another
    decoding, predictions or timings that were deleted) trains it again: pack --weights to go on from them.
    """
    from bioner.archive import FOLDERS, files_of, find_run, pack, refuse_training, verify

    if (to is None) == (check is None):
        given = "neither" if to is None else "both"
        raise InputError("archive", given, "--to to pack, or --check to compare", "Name one of the two.")
    if check:
        log.info("archive: %s: all %d files are as they were packed", check, verify(check))
        return
    assert to is not None
    if to.exists() or to.is_symlink():
        raise InputError(to, "a file or folder", "a name that is free", "Choose another --to, or move it away.")
    if not to.name.endswith((".tar.gz", ".tgz")):
        raise InputError("--to", repr(to.name), "a name that ends in .tar.gz", "Correct the name.")
    found = find_run(run)
    keep_apart(to, *(found.out / name for name in FOLDERS), option="--to")
    refuse_training(found)
    if not found.records:
        told = "archive: Snakemake has no records of %s; where it is unpacked, only modification times are compared"
        log.info(told, found.out)
    if found.unfinished:
        log.info("archive: outputs of jobs that have not ended are left out: %d", len(found.unfinished))
    files = files_of(found, weights)
    pack(files, to)
    kept = "" if weights else ", no trained models"
    log.info("archive: %s: %d files, %.1f MB%s", to, len(files), to.stat().st_size / 1e6, kept)
