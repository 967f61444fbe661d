"""The command verify-reproduction."""

from pathlib import Path
from typing import Annotated

import typer

from bioner.cli.options import keep_apart
from bioner.errors import InputError


def verify_reproduction(
    results: Annotated[Path, typer.Option(help="Folder DATASET/MODEL/….")],
    data: Annotated[Path, typer.Option(help="Folder DATASET/stats.csv and test.jsonl.")],
    out: Annotated[
        Path | None, typer.Option(help="A CSV file for every number with its verdict.")
    ] = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="Exit with 1 if anything is not reproduced.")
    ] = False,
) -> None:
    """Judge whether our runs reproduce those that the paper published; reads kept files only."""
    from bioner.io.tables import check_table, write_table
    from bioner.reporting.reproduction import (
        DATASETS,
        MODELS,
        read_settings,
        reproduction_summary,
        reproduction_table,
    )
    from bioner.results.load import ReportContext, load_results

    for folder, what in (
        (results, "results folder DATASET/MODEL/…"),
        (data, "data folder DATASET/…"),
    ):
        if not folder.is_dir():
            raise InputError(
                folder, "no such folder", f"a {what}", "Check the path, or run the pipeline first."
            )
    if out is not None:
        keep_apart(out, results, data)
        check_table(out)
    loaded = load_results(results, data, DATASETS, MODELS, ReportContext())
    table = reproduction_table(loaded, read_settings(results, loaded.scores))
    typer.echo(reproduction_summary(table))
    if out is not None:
        write_table(out, table)
    if strict and "not reproduced" in table["verdict"]:
        raise typer.Exit(1)
