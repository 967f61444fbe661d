"""A cluster with accounting: the same profile, asking sacct what became of jobs."""

import pytest

from tests.slurm.cluster import until
from tests.slurm.conftest import Run, started


@pytest.mark.slow
def test_a_run_where_there_is_accounting(tmp_path):
    for cluster in started(accounting=True):
        run = Run(cluster, tmp_path)
        run.configure(models=["dictionary"], model_overrides={})
        run.finish(run.start("--slurm-status-command", "sacct"))
        assert (tmp_path / "reports/report.html").is_file()
        states = cluster.run("sacct", "-X", "-n", "-P", "--format=State").split()
        assert states
        assert set(states) == {"COMPLETED"}


@pytest.mark.slow
def test_a_job_that_was_cancelled_is_known_where_there_is_accounting(tmp_path):
    """sacct says who cancelled it, in the same field."""
    for cluster in started(accounting=True):
        run = Run(cluster, tmp_path)
        run.configure(models=["bert-mini"])
        process = run.start("--slurm-status-command", "sacct")
        until(run.checkpoints, run.said)
        (job,) = [job["JobId"] for job in cluster.jobs("train", "running")]
        cluster.run("scancel", job)
        run.finish(process)
        assert run.sessions() == 2
        assert "CANCELLED by" in cluster.run("sacct", "-X", "-n", "-P", "-j", job, "--format=State")
