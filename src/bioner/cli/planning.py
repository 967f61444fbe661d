"""Commands before a run: plan."""

from pathlib import Path
from typing import Annotated

import typer

from bioner.cli.options import Config, keep_apart
from bioner.errors import InputError


def plan(
    config: Config = None,
    data: Annotated[
        Path | None, typer.Option(help="Folder DATASET/stats.csv; the configuration's by default.")
    ] = None,
    gpus: Annotated[int | None, typer.Option(min=1, help="GPUs that are busy at once.")] = None,
    jobs: Annotated[int | None, typer.Option(min=1, help="Jobs that run at once.")] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Also write the table, a row a corpus, model and rule (.csv)."),
    ] = None,
    limit: Annotated[
        float | None, typer.Option(min=0, help="Exit with 1 where more GPU-hours are expected.")
    ] = None,
) -> None:
    """Estimate a run before it starts: jobs, GPU-hours, wall time, disk and files, from finished
    runs of each model or else from its stated costs.
    """
    from bioner.cli.loading import matrix_of
    from bioner.corpora.fetching.sources import mirror_of, why_absent
    from bioner.io.tables import check_table, write_table
    from bioner.ops.planning.format import hours, notes, text_of
    from bioner.ops.planning.measured import read_measurements
    from bioner.ops.planning.plan import plan
    from bioner.ops.planning.sizes import size_of

    matrix = matrix_of(config)
    settings = matrix.settings
    if out is not None:
        check_table(out)
        keep_apart(out, *(config or []))
    if data is not None and not data.is_dir():
        raise InputError(
            data, "no such folder", "a data folder with DATASET/stats.csv", "Check the path."
        )
    folder = Path(settings.out)
    mirror = mirror_of(settings)
    absent = [
        name
        for name in matrix.corpora
        if why_absent(name, matrix.datasets[name], mirror, folder / "data")
    ]
    # As the workflow's get_available_corpora: before the first report the whole matrix is planned.
    present = [name for name in matrix.corpora if name not in absent]
    reported = (folder / "reports" / "report.html").exists()
    planned = present if reported and set(present) & set(settings.datasets) else matrix.corpora
    sizes = {name: size_of(name, data or folder / "data") for name in planned}
    measured = read_measurements(matrix, folder / "results", sizes)
    found = plan(matrix, sizes, lambda path: (folder / path).exists(), gpus, jobs, measured)
    if out is not None:
        write_table(out, found.table)
    said = notes(settings, sizes, found, [name for name in absent if name in planned])
    typer.echo("\n".join(["", text_of(found, settings.prices), "", *said]))
    if limit is not None and found.not_stated:
        typer.echo(
            f"bioner: --limit: nothing is known of the hours of {', '.join(found.not_stated)}.",
            err=True,
        )
    if limit is not None and found.gpu_hours.expected > limit:
        what = hours(found.gpu_hours, "GPU-hours", bool(found.not_stated))
        typer.echo(f"bioner: --limit: {what}; that is more than {limit:g}.", err=True)
        raise typer.Exit(1)
