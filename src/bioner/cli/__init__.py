"""`bioner <stage>`: one command a stage. Reads files, calls the stage's function, writes files; no
logic of its own.
"""

import logging
import os
import sys
import warnings
from typing import NoReturn

import typer
from typer.exceptions import Abort, TyperException

from bioner.cli import (
    calibration,
    cluster,
    comparison,
    corpora,
    models,
    planning,
    power,
    reports,
    reproduction,
    scores,
    site,
    status,
    systems,
    training,
)
from bioner.errors import InputError, Interrupted, reason_of, unsecret
from bioner.io.files import full_disk

app = typer.Typer(
    no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help=__doc__
)
COMMANDS = {}
for command in (
    *(corpora.fetch, corpora.normalize, corpora.validate),
    models.download_model,
    *(training.train, training.search, training.merge),
    *(systems.predict, systems.time, systems.realign, systems.tag),
    *(
        scores.score,
        scores.merge_scores,
        comparison.compare,
        comparison.compare_all,
        comparison.cross,
        scores.select_best,
        scores.ensemble,
    ),
    calibration.calibrate,
    *(comparison.compare_corpora, power.power),
    *(reports.report, reports.summary),
    planning.plan,
    reproduction.verify_reproduction,
    status.status,
    cluster.doctor,
    site.profile,
):
    COMMANDS[command.__name__.replace("_", "-")] = app.command()(command)


def main() -> None:
    """Run a command; errors that users can mend end with one line on stderr.

    Exit codes: 2 for bad input or usage, 130 for Ctrl-C at a question, 128 + the signal for work
    that a signal ended.
    """
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    _quiet_libraries()
    given = sys.argv[1:]
    try:
        # In standalone mode typer draws a box of five lines around a usage error.
        code = app(given or ["--help"], prog_name="bioner", standalone_mode=False)
    except TyperException as error:
        _end(error.exit_code, _usage(error, given))
    except Abort:
        typer.echo(err=True)  # ends the line of the question
        _end(130, "broken off")
    except InputError as error:
        _end(2, str(error))
    except Interrupted as error:
        _end(128 + error.signal, str(error))
    except Exception as error:
        full = full_disk(error)
        if not full and not isinstance(error, OSError):
            raise
        place, found = (
            getattr(error, "filename", None) or "system",
            getattr(error, "strerror", None) or reason_of(error),
        )
        remedy = (
            "Make room, then run the same again."
            if full
            else "Check the path and who may write there."
        )
        _end(2, f"{place}: {found.rstrip('.')}. {remedy}")
    if code or not given:
        raise SystemExit(code or 2)


def _end(code: int, said: str) -> NoReturn:
    typer.echo(f"bioner: {said}", err=True)
    raise SystemExit(code)


def _usage(error: TyperException, given: list[str]) -> str:
    """Return on one line what is wrong with the arguments, and which help to read."""
    command = given[0] if given and given[0] in COMMANDS else ""
    said = " ".join(error.format_message().split()).rstrip(".")
    said = said[:1].lower() + said[1:]
    where = f"{command}: " if command else ""
    return unsecret(f"{where}{said}. See `bioner {f'{command} ' if command else ''}--help`.")


def _quiet_libraries() -> None:
    """Silence the libraries' warnings, and turn off the hub's telemetry."""
    warnings.simplefilter("ignore", FutureWarning)  # meant for the libraries' own callers
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
