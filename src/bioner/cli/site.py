"""The `profile` command."""

import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from bioner.cli.options import keep_apart
from bioner.errors import InputError


def profile(
    folder: Annotated[
        str, typer.Argument(metavar="DIR", help="Folder of the profile, such as profiles/site.")
    ],
    cpu_partition: Annotated[
        str | None, typer.Option(help="Partition of jobs without GPU.")
    ] = None,
    gpu_partition: Annotated[str | None, typer.Option(help="Partition of jobs with GPUs.")] = None,
    gpu_type: Annotated[str | None, typer.Option(help="As `sinfo -o %G` names it, or any.")] = None,
    gpu_request: Annotated[
        str | None, typer.Option(help="gres (--gres=gpu:h100:2) or gpus (--gpus=h100:2).")
    ] = None,
    account: Annotated[str | None, typer.Option(help="Account that jobs are charged to.")] = None,
    qos: Annotated[str | None, typer.Option(help="Quality of service.")] = None,
    gpu_qos: Annotated[str | None, typer.Option(help="The same for jobs with GPUs.")] = None,
    constraint: Annotated[str | None, typer.Option(help="Features that a node must have.")] = None,
    gpu_constraint: Annotated[str | None, typer.Option(help="The same for jobs with GPUs.")] = None,
    max_runtime: Annotated[
        int | None, typer.Option(help="Minutes: the longest that the partitions allow.")
    ] = None,
    max_mem_mb: Annotated[int | None, typer.Option(help="The most memory that a node has.")] = None,
    jobs: Annotated[int | None, typer.Option(help="Most jobs in the queue at once.")] = None,
    status_command: Annotated[
        str | None, typer.Option(help="squeue, or sacct where there is accounting.")
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Replace a profile that is there.")
    ] = False,
) -> None:
    """Write a site's Snakemake profile: `profiles/slurm` with its values; what is not given is
    asked on a terminal.
    """
    from bioner.io.files import atomic_text
    from bioner.ops.profile import SETTINGS, TEMPLATE, check_option, defaults_of, profile_text

    given = {
        "slurm_partition": cpu_partition,
        "gpu_partition": gpu_partition,
        "gpu_type": gpu_type,
        "gpu_request": gpu_request,
        "slurm_account": account,
        "qos": qos,
        "gpu_qos": gpu_qos,
        "constraint": constraint,
        "gpu_constraint": gpu_constraint,
        "max_runtime": max_runtime,
        "max_mem_mb": max_mem_mb,
        "jobs": jobs,
        "slurm-status-command": status_command,
    }
    values = {
        key: check_option(key, str(value)) for key, value in given.items() if value is not None
    }
    if not folder.strip():  # as a path it would be this folder
        raise InputError(
            "DIR", repr(folder), "the folder of the profile", "Name one, such as profiles/site."
        )
    file = Path(folder) / "config.yaml"
    keep_apart(file, TEMPLATE, option="DIR")
    if (file.exists() or file.is_symlink()) and not force:
        raise InputError(
            file, "a profile", "a name that is free", "Choose another folder, or say --force."
        )
    if sys.stdin.isatty():
        defaults = defaults_of()
        for key in SETTINGS:
            if key not in values and (answer := _asked(key, defaults.get(key, ""))):
                values[key] = answer
    with atomic_text(file) as stream:
        stream.write(profile_text(values))
    typer.echo(f"{file} is written. To use it: snakemake --profile {shlex.quote(str(file.parent))}")


def _asked(key: str, default: str) -> str:
    """Ask for a key's value until it makes sense; an empty answer takes the default, if any."""
    from bioner.ops.profile import SETTINGS, check_option

    def sensible(answer: str) -> str:
        try:
            return check_option(key, answer) if answer else ""
        except InputError as error:
            raise typer.BadParameter(str(error)) from None

    answer: str = typer.prompt(
        SETTINGS[key].question, default=default, show_default=bool(default), value_proc=sensible
    )
    return answer
