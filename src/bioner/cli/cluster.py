"""The `doctor` command."""

import os
from pathlib import Path
from typing import Annotated

import typer

from bioner.cli.options import Config
from bioner.errors import InputError
from bioner.settings.repository import REPOSITORY

PROFILE = REPOSITORY / "profiles" / "slurm"


def doctor(
    config: Config = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Folder whose file system is tested, in place of the configuration's."),
    ] = None,
    gpus: Annotated[
        int | None, typer.Option(min=0, help="How many GPUs this machine is to have.")
    ] = None,
    offline: Annotated[
        bool, typer.Option("--offline", help="As on a compute node: only the cache.")
    ] = False,
    profile: Annotated[Path, typer.Option(help="Folder of the Snakemake profile.")] = PROFILE,
) -> None:
    """What a run needs of this machine, a line a check: ok, FAIL with what to do, or skip with
    why.
    """
    from bioner.cli.loading import matrix_of

    matrix = matrix_of(config)  # an unknown name is no matter of the machine
    settings = matrix.settings
    out = out or Path(settings.out)
    if out.exists() and not out.is_dir():
        raise InputError(
            "--out", f"{out}, which is a file", "a folder", "Name the folder that results go to."
        )
    if not (profile / "config.yaml").is_file():
        raise InputError(
            "--profile", f"no config.yaml in {profile}", "a folder with one", "Check the path."
        )
    if settings.hf_home:
        # before anything loads the hub's library
        os.environ["HF_HOME"] = str(Path(settings.hf_home).expanduser())
    within_job = settings.offline is None and "SLURM_JOB_ID" in os.environ
    if offline or settings.offline or within_job:
        os.environ["HF_HUB_OFFLINE"] = "1"

    from huggingface_hub.constants import HF_HUB_OFFLINE

    from bioner.ops.doctor.checks import checks
    from bioner.ops.doctor.report import examine

    failed = False
    for finding in examine(checks(matrix, out, gpus, HF_HUB_OFFLINE, profile)):
        typer.echo(str(finding))
        failed |= finding.state == "FAIL"
    if failed:
        raise typer.Exit(1)
