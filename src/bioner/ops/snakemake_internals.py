"""Every private interface of Snakemake that the workflow uses.

`pyproject.toml` bounds Snakemake's version; tests/unit/test_private_interfaces.py says what has
changed upstream.
"""

import ast
from collections.abc import Callable, Iterable
from typing import Any

from snakemake.dag import DAG
from snakemake.io import IOFile
from snakemake.persistence import PersistenceBase


def recorded_params(workflow: Any, path: str) -> list[str]:
    """Return the text parameters with which a file was made, as Snakemake recorded them."""
    values = workflow.persistence.params(IOFile(path)) or []
    return [ast.literal_eval(value) for value in values if value.startswith(("'", '"'))]


def record_in_jobs(workflow: Any) -> None:
    """Make jobs on other nodes record the metadata of their outputs themselves.

    Snakemake leaves that to the process that submitted the job. If it is killed, the outputs appear
    without metadata, and a later run does not notice that they were made with other settings.
    """
    finished = PersistenceBase.finished

    async def finished_and_recorded(self: PersistenceBase, job: Any) -> None:
        # Snakemake makes jobs record themselves if nobody waits for them: immediate_submit.
        settings = workflow.remote_execution_settings
        before, settings.immediate_submit = settings.immediate_submit, True
        try:
            await finished(self, job)
        finally:
            settings.immediate_submit = before

    PersistenceBase.finished = finished_and_recorded


def limit_resource(workflow: Any, name: str, available: int) -> None:
    """Limit a resource of concurrent jobs to what is available.

    `--resources` overrides it; nothing is limited if nothing is available.
    """
    if available and name not in workflow.global_resources:
        workflow.register_resource(name, available)


def check_targets(check: Callable[[str], None]) -> None:
    """Have the files that a command line asks for checked before a rule is sought for them.

    Snakemake itself only says that no rule makes them.
    """
    init = DAG.__init__

    def checked(self: DAG, *arguments: Any, targetfiles: Iterable[str] = (), **named: Any) -> None:
        for target in sorted(targetfiles):
            check(target)
        init(self, *arguments, targetfiles=targetfiles, **named)

    DAG.__init__ = checked


def jobs_to_run(workflow: Any) -> list[Any]:
    """Return the jobs that a run is going to run."""
    return list(workflow.dag.needrun_jobs())


def failed_jobs(workflow: Any) -> list[Any]:
    """Return the jobs that failed, in the order of their numbers; of a failed group all jobs."""
    entries: Iterable[Any] = workflow.scheduler.failed if workflow.scheduler else ()
    jobs = [job for entry in entries for job in (entry.jobs if entry.is_group() else [entry])]
    return sorted(jobs, key=lambda job: job.jobid)


def forget_output(workflow: Any, path: str) -> None:
    """Remove Snakemake's record of a file, so that it counts as not made yet."""
    workflow.persistence.cleanup_metadata(path)
