"""A cluster with accounting: the same profile, asking sacct what became of jobs."""

import pytest

from tests.slurm.conftest import Run, started


@pytest.mark.slow
def test_a_run_where_there_is_accounting(tmp_path):
    for cluster in started(accounting=True):
        run = Run(cluster, tmp_path)
        run.configure(models=["dictionary"], settings={})
        run.finish(run.start("--slurm-status-command", "sacct"))
        assert (tmp_path / "reports/report.html").is_file()
        states = cluster.run("sacct", "-X", "-n", "-P", "--format=State").split()
        assert states
        assert set(states) == {"COMPLETED"}
