"""Commands of reports: report, summary."""

from pathlib import Path
from typing import Annotated

import typer

from bioner.catalogue import load_catalogue
from bioner.cli.options import Config, Out, json_object, settings_of
from bioner.errors import InputError


def report(
    results: Annotated[Path, typer.Option(help="Folder DATASET/MODEL/….")],
    data: Annotated[Path, typer.Option(help="Folder DATASET/stats.csv.")],
    out: Out,
    dataset: Annotated[list[str] | None, typer.Option(help="Only these, in this order.")] = None,
    model: Annotated[list[str] | None, typer.Option(help="Only these, in this order.")] = None,
    notices: Annotated[str | None, typer.Option(help="Notices of corpora as JSON, for those of the catalogue.")] = None,
    left_out: Annotated[str, typer.Option(help="Corpora that were left out, and why, as JSON.")] = "{}",
    failed: Annotated[str, typer.Option(help="Jobs that failed, and their logs, as JSON.")] = "{}",
    config: Config = None,
) -> None:
    """Tables I to V beside the paper's, costs, one page; from kept files alone."""
    from bioner.reporting.report import report

    if notices is None:
        catalogue = load_catalogue("datasets", settings_of(config))
        told = {name: entry["notice"] for name, entry in catalogue.items() if entry["notice"]}
    else:
        told = json_object("--notices", notices)
    left, broken = json_object("--left-out", left_out), json_object("--failed", failed)
    if not all(isinstance(log, str) for log in broken.values()):
        raise InputError("--failed", "a log that is no text", "paths, by job", "Quote it for the shell.")
    report(results, data, out, dataset or [], model or [], told, left, broken)


def summary(reports: Annotated[Path, typer.Argument(help="Folder that `bioner report` wrote.")]) -> None:
    """Strict and relaxed scores of a finished report, on the terminal."""
    from bioner.reporting.report import summary

    typer.echo(f"\n{summary(reports)}\n\nReports: {reports}/ (start with {reports / 'report.html'})")
