"""Hooks: clear what an earlier run left in Slurm's queue, and report even after failures."""

import subprocess

from bioner.ops.slurm.leftovers import alone, clear, comment_of
from bioner.ops.slurm.plugin import mend
from bioner.ops.slurm.site import require_partitions
from bioner.ops.snakemake_internals import (
    failed_jobs,
    forget_output,
    jobs_to_run,
    record_in_jobs,
)


def prepare_slurm():
    """With Slurm, allow one Snakemake per folder, and end what an earlier one left in the queue.

    Jobs that make the same files as this run are ended. If one of them ends well meanwhile, its
    work is not done again: the run stops, and the same command resumes.
    """
    settings = workflow.executor_settings
    prefix = getattr(settings, "jobname_prefix", None)
    if not prefix or not workflow.execution_settings.lock:
        return
    jobs = jobs_to_run(workflow)
    comments = [comment_of(job.rule.name, job.wildcards) for job in jobs]
    groups = {job.group for job in jobs if job.group}
    lacking = [
        job
        for job in jobs
        if job.rule.name in ("train", "trial", "predict")
        and MATRIX.is_trained(job.wildcards.model)
        and not all(map(os.path.exists, job.output))
    ]
    try:
        require_partitions(SITE)
        mend(settings)
        # Held as long as this process lives.
        workflow.bioner_alone = alone(Path.cwd())
        ended = clear(prefix, Path.cwd(), comments, groups)
    except InputError as error:
        raise WorkflowError(str(error)) from None
    made = [job for job in lacking if all(map(os.path.exists, job.output))]
    if ended and made:
        raise WorkflowError(
            f"{made[0].output[0]}: an earlier run's job has ended well while it was waited for."
            " Start the same command again."
        )


SHOWN = 200  # failures that the report names; a command line has an end


def failures():
    """Return the log of each failed job by rule and wildcards, with all jobs of a failed group."""
    named = {
        " ".join([job.rule.name, *job.wildcards]): str(next(iter(job.log), "no log"))
        for job in failed_jobs(workflow)
        if not all(os.path.exists(path) for path in job.output)
    }
    shown = dict(list(named.items())[:SHOWN])
    if more := len(named) - len(shown):
        shown[f"{more} more"] = "Snakemake's own log, in .snakemake/log/"
    return shown


def report_what_is_there():
    """Report what is there after some jobs failed, and the logs of what is not."""
    reports = [job for job in workflow.dag.jobs if job.rule.name == "report"]
    if not reports or workflow.scheduler is None:
        return
    job = reports[0]
    command = [
        *(
            "bioner",
            "report",
            "--results",
            job.params.results,
            "--data",
            job.params.data,
        ),
        *("--out", job.params.out, "--notices", job.params.notices),
        *("--left-out", job.params.left_out, "--failed", json.dumps(failures())),
        *("--prices", job.params.prices),
        *" ".join([*job.params.datasets, *job.params.models]).split(),
    ]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
    if done.returncode:
        said = (done.stderr.strip().splitlines() or ["no word"])[-1]
        logger.error(f"No report of what is there: {said}")
        return
    # Not an output for Snakemake yet: a report newer than its inputs would count as finished.
    there = [os.path.getmtime(path) for path in job.input if os.path.exists(path)]
    for path in job.output:
        forget_output(workflow, path)
        os.utime(path, (min(there) - 1,) * 2)
    logger.error(
        f"Some jobs failed: {job.output.page} has the others, and names the logs of these."
    )


if workflow.remote_exec:
    record_in_jobs(workflow)
