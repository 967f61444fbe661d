"""`bioner <stage>`: one command a stage. Reads files, calls the stage's function, writes files; no logic of its own."""

import logging
import os
import sys
import warnings

import typer

from bioner.cli import cluster, corpora, models, reports, scores, site, storage, systems, training
from bioner.errors import InputError, Interrupted

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help=__doc__)
for command in (
    *(corpora.fetch, corpora.normalize, corpora.validate),
    models.snapshot,
    *(training.train, training.search, training.adopt, training.merge),
    *(systems.predict, systems.time, systems.realign, systems.tag),
    *(scores.score, scores.gather, scores.compare, scores.compare_all, scores.select, scores.ensemble),
    *(reports.report, reports.summary),
    cluster.doctor,
    storage.archive,
    site.profile,
):
    app.command()(command)


def main() -> None:
    """Run a command; bad input ends with one line on stderr and exit code 2."""
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    _quiet_libraries()
    try:
        app()
    except InputError as error:
        typer.echo(f"bioner: {error}", err=True)
        raise SystemExit(2) from None
    except Interrupted as error:
        typer.echo(f"bioner: {error}", err=True)
        raise SystemExit(128 + error.signal) from None
    except OSError as error:
        place = error.filename or "system"
        typer.echo(f"bioner: {place}: {error.strerror}. Check the path and who may write there.", err=True)
        raise SystemExit(2) from None


def _quiet_libraries() -> None:
    """Only this project's own lines; and the hub is not told of use."""
    warnings.simplefilter("ignore", FutureWarning)  # libraries to their own callers
    for noisy in (
        "httpx",
        "httpx2",
        "httpcore",
        "filelock",
        "urllib3",
        "huggingface_hub",
        "bitsandbytes",
        "transformers",
        "py.warnings",
    ):
        logging.getLogger(noisy).setLevel(logging.ERROR)
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
