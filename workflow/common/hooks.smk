"""Before the first job and after a failure: what an earlier run left in Slurm's queue, and a report all the same."""

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
    """Where jobs go to Slurm: one Snakemake a folder, and what an earlier one left in the queue is ended.

    Ended is what makes the same as this run. A model's work that has ended well meanwhile is not done a second time: the
    run stops, and the same command goes on from there.
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
            f"{made[0].output[0]}: an earlier run's job has ended well while it was waited for. Start the same command again."
        )


SHOWN = 200  # failures that the report names; a command line has an end


def failures():
    """What failed, as `bioner report` is told: by cell, rule and log; all jobs of a group that failed."""
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
    """The report of a run some of whose jobs failed: what is there, and what is not with its log."""
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
    # To Snakemake it is no output yet: it would take a report that is newer than its inputs for a finished one.
    there = [os.path.getmtime(path) for path in job.input if os.path.exists(path)]
    for path in job.output:
        forget_output(workflow, path)
        os.utime(path, (min(there) - 1,) * 2)
    logger.error(
        f"Some jobs failed: {job.output.page} has the others, and names the logs of these."
    )


if workflow.remote_exec:
    record_in_jobs(workflow)
