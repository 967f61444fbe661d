"""Commands that look at a run: status."""

from pathlib import Path
from typing import Annotated

import typer

from bioner.cli.options import Config, keep_apart
from bioner.errors import InputError


def status(
    config: Config = None,
    out: Annotated[
        Path | None,
        typer.Option(help="The run's output folder, in place of the configuration's `out`."),
    ] = None,
    csv: Annotated[
        Path | None, typer.Option("--csv", help="Also write a row a seed to this file.")
    ] = None,
) -> None:
    """How far a run is: done, running, failed or waiting, with dev F1 so far and the time left.

    It reads what lies in the run's folders, at any time and from any machine that has them. The
    configuration is that of the run: name the same overlays.
    """
    from bioner.cli.loading import matrix_of
    from bioner.corpora.fetching.sources import mirror_of
    from bioner.io.tables import check_table, write_table
    from bioner.ops.status.cells import cells_of, material
    from bioner.ops.status.records import RunContext, snakemake_since
    from bioner.ops.status.table import shown, status_table

    matrix = matrix_of(config)
    folder = out or Path(matrix.settings.out)
    if folder.exists() and not folder.is_dir():
        raise InputError(
            "--out", f"{folder}, which is a file", "a run's output folder", "Check the path."
        )
    if csv:
        keep_apart(csv, folder / "results", folder / "data", option="--csv")
        check_table(csv)
    since = snakemake_since(folder)
    run = RunContext(matrix, folder, mirror_of(matrix.settings), snakemake_since=since)
    cells, awaited = cells_of(run), material(run)
    typer.echo(shown(cells, awaited))
    if csv:
        write_table(csv, status_table(cells, awaited))
