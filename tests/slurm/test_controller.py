"""Snakemake itself as a Slurm job, jobs without a network, and what a purge of scratch does to file
times.
"""

import os
import subprocess
import time

import pytest

from tests.slurm.cluster import until
from tests.slurm.conftest import REPOSITORY
from tests.slurm.test_disturbed import same


@pytest.mark.slow
def test_snakemake_as_a_job_that_queues_itself_again(run, undisturbed, tmp_path):
    # A repository with an environment: this one may have its own elsewhere.
    repository = tmp_path / "repository"
    repository.mkdir()
    for name in (
        "Snakefile",
        "workflow",
        "config",
        "slurm",
        "profiles",
        "src",
        "resources",
        "envs",
    ):
        (repository / name).symlink_to(REPOSITORY / name)
    bin_ = repository / ".venv/bin"
    bin_.mkdir(parents=True)
    (bin_ / "snakemake").symlink_to(run.command()[0])
    options = [
        "--slurm-init-seconds-before-status-checks",
        "2",
        "--configfile",
        str(run.folder / "run.yaml"),
    ]
    done = subprocess.run(
        ["sbatch", "--parsable", str(REPOSITORY / "profiles/slurm/controller.sh"), *options],
        cwd=run.folder,
        env=run.cluster.environ | {"BIONER": str(repository)},
        capture_output=True,
        text=True,
        check=True,
    )
    job = done.stdout.strip()
    said = lambda: (run.folder / f"bioner-controller-{job}.log").read_text()  # noqa: E731
    until(lambda: len(run.checkpoints()) > 0, said)
    run.cluster.run(
        "scancel", "--batch", "--signal=USR1", job
    )  # as Slurm does before the time is up
    show = lambda: run.cluster.run("scontrol", "-o", "show", "job", job)  # noqa: E731
    until(lambda: "Restarts=1" in show(), said)
    until(lambda: "JobState=COMPLETED" in show(), said)
    same(run, undisturbed)


def test_files_touched_against_a_purge_train_nothing_again(undisturbed):
    later = time.time() + 60
    for number, path in enumerate(sorted(undisturbed.folder.rglob("*"), reverse=True)):
        if path.is_file() and ".snakemake/" not in str(path):
            os.utime(path, (later + number, later + number))
    assert "Nothing to be done" in undisturbed.finish(undisturbed.start("--dry-run"))


def test_a_model_that_is_not_in_the_cache_fails_before_anything_is_queued(run, cluster):
    cluster.environ["HF_HUB_OFFLINE"] = (
        "1"  # a login node without a network is one without this model, too
    )
    try:
        run.configure(models=["bert-small"], model_overrides={})
        said = run.finish(run.start("--retries", "0"), expected=1)
    finally:
        del cluster.environ["HF_HUB_OFFLINE"]
    assert "no model of this name in the cache, and hub access is off" in said
    assert not [job for job in cluster.jobs("train") if job["WorkDir"] == str(run.folder)]


def test_jobs_on_nodes_may_not_ask_the_hub(run, tmp_path):
    """A model that is asked for on a node and is not in its cache: one line, at once, though nobody
    set a variable.
    """
    run.configure(models=["bert-small"], model_overrides={})
    snapshot = run.folder / "models/bert-small.json"
    snapshot.parent.mkdir()
    snapshot.write_text('{"hub": "google/bert_uncased_L-4_H-512_A-8", "commit": "0" , "files": {}}')
    run.cluster.environ["HF_HOME"] = str(tmp_path / "empty")
    try:
        run.finish(
            run.start("--retries", "0", "results/demo/bert-small/seed42/run.json"), expected=1
        )
    finally:
        del run.cluster.environ["HF_HOME"]
    assert "hub access is off (HF_HUB_OFFLINE)" in run.log_of("train")
    assert "Traceback" not in run.log_of("train")
