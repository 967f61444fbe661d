"""What clusters do to jobs, and to Snakemake: the reports are those of an undisturbed run."""

import re
import signal
import time

import psutil
import pytest

from tests.slurm.cluster import kill, until
from tests.slurm.conftest import Run


def trainer(run):
    """The process that trains, once there is one."""
    found = []

    def is_there():
        for process in psutil.process_iter():
            try:
                words = process.cmdline()
                if (
                    str(run.folder) == process.cwd()
                    and "train" in words
                    and words[1:2][0].endswith("bioner")
                ):
                    found.append(process)
            except (psutil.Error, IndexError):
                continue
        return found

    until(is_there, run.said)
    return found[0]


def checkpoint(run, more_than=0):
    until(lambda: len(run.checkpoints()) > more_than, run.said)


def running(run, rule="train"):
    """The run's job of that rule that runs now."""
    jobs = []

    def is_there():
        jobs[:] = [
            job for job in run.cluster.jobs(rule, "running") if job["WorkDir"] == str(run.folder)
        ]
        return jobs

    until(is_there, run.said)
    return jobs[0]


def same(run, undisturbed):
    assert run.reports() == undisturbed.reports()


def test_a_training_that_is_cancelled_killed_and_requeued_goes_on(run, undisturbed):
    """Twice a failure, and a retry; once the same job again: each goes on from the last
    checkpoint.
    """
    process = run.start()
    checkpoint(run)
    first = running(run)["JobId"]
    run.cluster.run("scancel", first)
    until(lambda: running(run)["JobId"] != first, run.said)
    trainer(run).send_signal(signal.SIGKILL)
    second = running(run)["JobId"]
    until(lambda: running(run)["JobId"] != second, run.said)
    third = running(run)["JobId"]
    trainer(run)
    run.cluster.run("scontrol", "requeue", third)
    run.finish(process)
    same(run, undisturbed)
    assert [job["Restarts"] for job in run.cluster.jobs("train") if job["JobId"] == third] == ["1"]
    assert run.sessions() >= 2


def test_snakemake_killed_and_started_again_ends_what_it_left_behind(run, undisturbed):
    process = run.start()
    checkpoint(run)
    job = running(run)["JobId"]
    kill(process)
    assert running(run)["JobId"] == job  # it goes on by itself
    training = trainer(run)
    training.suspend()  # or it may be done before the next run looks
    run.finish(run.start("--unlock"))
    process = run.start()
    until(lambda: "is an earlier run's" in run.said(), run.said)
    training.resume()
    said = run.finish(process)
    assert f"Slurm job {job} (RUNNING) is an earlier run's" in said
    same(run, undisturbed)


def test_a_job_that_ends_while_nobody_watches_is_known_by_what_it_was_made_with(run):
    """Its results count, and are made again when a setting of theirs changes."""
    process = run.start()
    checkpoint(run)
    kill(process)
    until(lambda: not run.cluster.jobs("train", "running"), run.said)
    assert (run.training / "run.json").is_file()
    run.finish(run.start("--unlock"))
    planned = lambda: run.finish(run.start("--dry-run")).split("Job stats:")[-1]  # noqa: E731
    assert not re.search(r"^train ", said := planned(), re.MULTILINE), said
    run.configure(
        model_overrides={"bert-mini": {"train": {"epochs": 11, "patience": None, "sentences": 250}}}
    )
    assert re.search(r"^train +1$", said := planned(), re.MULTILINE), said


@pytest.mark.slow
def test_slurm_s_controller_restarted_under_a_run(run, undisturbed):
    process = run.start()
    checkpoint(run)
    run.cluster.stop_controller()
    until(lambda: "DOWN" in run.cluster.run("scontrol", "ping", check=False))
    time.sleep(15)  # several questions go unanswered
    run.cluster.start_controller()
    run.finish(process)
    same(run, undisturbed)


def test_a_failed_cell_stops_no_other_and_is_named_with_its_log(run, undisturbed):
    sound = {"bert-mini": {"train": {"epochs": 12, "patience": None, "sentences": 250}}}
    broken = sound | {"bert-broken": {"like": "bert-mini", "max_length": 9999}}
    run.configure(models=["dictionary", "bert-mini", "bert-broken"], model_overrides=broken)
    said = run.finish(run.start("--retries", "0"), expected=1)
    assert "names the logs of these" in said
    page = (run.folder / "reports/report.html").read_text()
    assert "logs/train/demo/bert-broken/seed42.log" in page
    assert "bert-mini" in (run.folder / "reports/table3_strict.csv").read_text()
    mended = {"bert-broken": {"like": "bert-mini", "train": {"epochs": 1}}}
    run.configure(models=["dictionary", "bert-mini", "bert-broken"], model_overrides=sound | mended)
    again = run.finish(run.start("--dry-run")).split("Job stats:")[-1]
    assert re.search(r"^train +1$", again, re.MULTILINE), again
    assert "fetch" not in again


@pytest.mark.slow
def test_out_of_time_after_a_warning(run, cluster, tmp_path_factory):
    """Slurm's warning makes it write a checkpoint and leave; the retry has twice the time."""
    long = {"train": {"epochs": 60, "patience": None}}
    run.configure(model_overrides={"bert-mini": long | {"resources": {"runtime": 1}}})
    run.finish(run.start("--set-resources", "train:slurm_extra='--signal=USR1@30'"))
    assert run.sessions() >= 2
    in_time = Run(cluster, tmp_path_factory.mktemp("in_time"))
    in_time.configure(model_overrides={"bert-mini": long})
    in_time.finish(in_time.start())
    assert in_time.sessions() == 1
    same(run, in_time)


@pytest.mark.slow
def test_out_of_memory_asks_for_more(run, undisturbed):
    short = {
        "bert-mini": {
            "train": {"epochs": 12, "patience": None, "sentences": 250},
            "resources": {"mem_mb": 500},
        }
    }
    run.configure(model_overrides=short)
    run.finish(run.start())
    same(run, undisturbed)
    asked = [
        job["MinMemoryNode"]
        for job in run.cluster.jobs("train")
        if job["WorkDir"] == str(run.folder)
    ]
    assert asked[:2] == ["500M", "1000M"], asked


@pytest.mark.slow
def test_preempted_by_a_job_of_a_higher_partition(run, undisturbed):
    process = run.start()
    checkpoint(run)
    job = running(run)
    where = ("-p", "urgent", "--exclusive", "-w", job["NodeList"])
    run.cluster.run("sbatch", *where, "-t", "1", "-o", "/dev/null", "--wrap", "sleep 5")
    run.finish(process)
    same(run, undisturbed)


@pytest.mark.slow
def test_a_node_that_is_drained_or_lost(run, undisturbed):
    process = run.start()
    checkpoint(run)
    node = running(run)["NodeList"]
    run.cluster.run("scontrol", "update", f"node={node}", "state=drain", "reason=test")
    until(lambda: "drain" in run.cluster.run("sinfo", "-h", "-n", node, "-p", "cpu", "-o", "%T"))
    run.cluster.run("scontrol", "update", f"node={node}", "state=down", "reason=test")
    try:
        run.finish(process)
    finally:
        run.cluster.run("scontrol", "update", f"node={node}", "state=resume", check=False)
    same(run, undisturbed)
