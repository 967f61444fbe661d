"""Commands of reports: report, summary."""

import os
from pathlib import Path
from typing import Annotated

import typer

from bioner.cli.options import Config, Out, json_object, named
from bioner.errors import InputError


def report(
    results: Annotated[Path, typer.Option(help="Folder DATASET/MODEL/….")],
    data: Annotated[Path, typer.Option(help="Folder DATASET/stats.csv.")],
    out: Out,
    dataset: Annotated[list[str] | None, typer.Option(help="Only these, in this order.")] = None,
    model: Annotated[list[str] | None, typer.Option(help="Only these, in this order.")] = None,
    cross: Annotated[
        list[str] | None,
        typer.Option(
            help="TRAIN=TEST, pair of corpora whose drop is reported; by default, without"
            " --dataset, all."
        ),
    ] = None,
    notices: Annotated[
        str | None, typer.Option(help="Notices of corpora as JSON, for those of the catalogue.")
    ] = None,
    left_out: Annotated[
        str, typer.Option(help="Corpora that were left out, and why, as JSON.")
    ] = "{}",
    failed: Annotated[str, typer.Option(help="Jobs that failed, and their logs, as JSON.")] = "{}",
    prices: Annotated[
        str | None,
        typer.Option(
            help="gpu_hour, cpu_hour and currency as JSON, for those of the configuration."
        ),
    ] = None,
    margins: Annotated[
        str | None,
        typer.Option(
            help="Differences too small to matter as JSON, for those of the configuration."
        ),
    ] = None,
    config: Config = None,
) -> None:
    """Tables I to V beside the paper's, costs, one page; from kept files alone.

    With --config, cells that another configuration made are left out and named.
    """
    from bioner.cli.loading import files_of, planned_datasets, settings_of
    from bioner.reporting.report import report
    from bioner.results.load import ReportContext
    from bioner.settings.catalogue import load_datasets, load_models, parse_entry
    from bioner.settings.config import Compare, Prices
    from bioner.settings.dataset_entry import DatasetEntry
    from bioner.settings.model_entry import ModelEntry
    from bioner.settings.parse import parse

    closed = os.environ.get("BIONER_CLOSED")
    settings, files = settings_of(config), files_of(config)
    catalogue = load_datasets(settings, files) if notices is None or closed is None else {}
    if notices is None:
        told = {name: entry.notice for name, entry in catalogue.items() if entry.notice}
    else:
        told = json_object("--notices", notices)
    left, broken = json_object("--left-out", left_out), json_object("--failed", failed)
    if not all(isinstance(log, str) for log in broken.values()):
        raise InputError(
            "--failed", "a log that is no text", "paths, by job", "Quote it for the shell."
        )
    paid = settings.prices
    if prices is not None:
        paid = parse(Prices, json_object("--prices", prices), ["--prices"])
    compared = settings.compare
    if margins is not None:
        compared = parse(Compare, {"margins": json_object("--margins", margins)}, ["--margins"])
    if config:
        models = load_models(settings, files)
    else:
        made = json_object("BIONER_MODELS", os.environ.get("BIONER_MODELS", "{}"))
        models = {name: parse_entry(ModelEntry, name, entry) for name, entry in made.items()}
    if not settings.run_search:
        models = {name: entry.without_search() for name, entry in models.items()}
    described = catalogue or {
        name: parse_entry(DatasetEntry, name, tree) for name, tree in planned_datasets().items()
    }
    agreement = {name: found for name, entry in described.items() if (found := entry.agreement)}
    years = {name: entry.published for name, entry in described.items() if entry.published}
    opened = {name for name, entry in catalogue.items() if entry.redistributable}
    opened |= set(settings.show_restricted_text)

    def may_show(name: str) -> bool:
        """Whether the page may show text; unknown corpora only if the workflow does not object."""
        return name in opened if closed is None else name not in closed.split(",")

    pairs = [named("--cross", text, "TRAIN=TEST", "BC5CDR=BioRED") for text in cross or []]
    about = ReportContext(
        *(left, broken, models, paid, compared.margins, agreement),
        cross=pairs if cross or dataset else None,
        published=years,
    )
    report(results, data, out, dataset or [], model or [], told, about, may_show)


def summary(
    reports: Annotated[Path, typer.Argument(help="Folder that `bioner report` wrote.")],
) -> None:
    """Strict and relaxed scores of a finished report, on the terminal."""
    from bioner.reporting.summary import summary

    typer.echo(
        f"\n{summary(reports)}\n\nReports: {reports}/ (start with {reports / 'report.html'})"
    )
