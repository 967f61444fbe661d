"""What Slurm is asked for: partition, GPUs, memory, time, nodes of each kind of job, as Slurm
itself saw it.
"""

import shutil
import signal

import polars as pl
import pytest

from tests.slurm.cluster import until
from tests.slurm.conftest import REPOSITORY
from tests.workflow.model_folder import model_folder


def test_the_matrix_through_slurm_gives_the_reports_of_one_machine(undisturbed):
    scores = pl.read_csv(undisturbed.folder / "reports/scores.csv")
    assert set(scores["model"]) == {"dictionary", "bert-mini"}
    assert (undisturbed.folder / "reports/report.html").is_file()


def test_realigning_and_scoring_a_prediction_is_one_job(undisturbed):
    where = str(undisturbed.folder)
    rules = [
        job["Comment"].split("_wildcards")[0]
        for job in undisturbed.cluster.jobs()
        if job["WorkDir"] == where
    ]
    assert rules.count("rule_train") == 1
    assert "rule_realign" not in rules
    assert rules.count("rule_scores_realign_score") == 2
    # normalize, train, two predictions, two scorings, time, compare, and for calibration the
    # prediction of dev, its realignment and the job itself
    assert len(rules) == 11


def test_small_jobs_ask_for_little_and_no_gpu(undisturbed):
    for rule, limit in (("normalize", "01:00:00"), ("compare", "01:00:00"), ("scores", "02:00:00")):
        job = undisturbed.cluster.jobs(rule)[0]
        assert (job["Partition"], job["MinMemoryNode"], job["TimeLimit"]) == (
            "cpu",
            "4000M",
            limit,
        ), rule
        assert "TresPerNode" not in job


def test_jobs_of_a_model_on_the_cpu_stay_off_the_gpu_partition(undisturbed):
    assert {
        undisturbed.cluster.jobs(rule)[0]["Partition"] for rule in ("train", "predict", "time")
    } == {"cpu"}


@pytest.fixture
def held(cluster):
    """The GPU partition takes jobs, and starts none."""
    cluster.run("scontrol", "update", "partition=gpu", "state=down")
    yield
    cluster.run("scontrol", "update", "partition=gpu", "state=up")


@pytest.mark.parametrize("asked", ["gres", "gpus"])
def test_gpus_memory_and_time_come_from_the_model_s_entry(run, cluster, held, asked, tmp_path):
    profile = tmp_path / "profile"
    shutil.copytree(REPOSITORY / "profiles/slurm", profile)
    text = (profile / "config.yaml").read_text()
    (profile / "config.yaml").write_text(text.replace("gpu_request: gres", f"gpu_request: {asked}"))
    weights = tmp_path / "weights"
    model_folder(weights)  # nothing is fetched
    names = ["bert-large-uncased", "mistral-7b"]
    run.configure(
        models=names,
        run_search=False,
        model_overrides={name: {"source": {"hub": str(weights)}} for name in names},
    )
    process = run.start(profile=profile)

    def here():
        return [
            job for job in cluster.jobs("train", "pending") if job["WorkDir"] == str(run.folder)
        ]

    until(lambda: len(here()) == 2, run.said)
    jobs = {("mistral" if "mistral" in job["Comment"] else "bert"): job for job in here()}
    key = {"gres": "TresPerNode", "gpus": "TresPerJob"}[asked]
    assert jobs["bert"][key] == "gres:gpu:h100:1"
    assert jobs["mistral"][key] == "gres:gpu:h100:2"
    assert {job["Partition"] for job in jobs.values()} == {"gpu"}
    assert {job["NumNodes"] for job in jobs.values()} <= {"1", "1-1"}
    assert (jobs["bert"]["MinMemoryNode"], jobs["mistral"]["MinMemoryNode"]) == ("32000M", "96000M")
    assert (jobs["bert"]["TimeLimit"], jobs["mistral"]["TimeLimit"]) == ("08:00:00", "1-00:00:00")
    assert (jobs["bert"]["NumCPUs"], jobs["mistral"]["NumCPUs"]) == ("8", "16")
    assert jobs["mistral"]["Requeue"] == "1"
    process.send_signal(signal.SIGINT)  # Ctrl-C takes the jobs along
    run.finish(process, expected=1)
    until(lambda: not here())


def test_predictions_timings_and_trials_ask_for_what_they_use(run, cluster, held, tmp_path):
    """An LLM trained on two GPUs is read and timed on one; a trial is a training."""
    weights = tmp_path / "weights"
    model_folder(weights)  # nothing is fetched
    names = ["bert-large-uncased", "mistral-7b"]
    settings = {name: {"source": {"hub": str(weights)}} for name in names}
    settings["bert-large-uncased"]["search_space"] = {"batch_size": [16], "learning_rate": [1e-5]}
    run.configure(models=names, model_overrides=settings)
    run.finish(run.start("data"))
    trained = run.folder / "results/demo/mistral-7b/seed42"
    (trained / "model").mkdir(parents=True)
    for name in ("history.csv", "run.json"):
        (trained / name).write_text("")
    cells = (
        "mistral-7b/seed42/free/raw.jsonl.gz",
        "mistral-7b/timing.csv",
        "bert-large-uncased/search.csv",
    )
    process = run.start(*(f"results/demo/{cell}" for cell in cells))

    def here():
        return [job for job in cluster.jobs("", "pending") if job["WorkDir"] == str(run.folder)]

    until(lambda: len(here()) == 3, run.said)
    jobs = {job["Comment"].split("_")[1]: job for job in here()}
    assert set(jobs) == {"predict", "time", "trial"}
    assert {job["Partition"] for job in jobs.values()} == {"gpu"}
    assert {job["TresPerNode"] for job in jobs.values()} == {"gres:gpu:h100:1"}
    memory = {rule: job["MinMemoryNode"] for rule, job in jobs.items()}
    assert memory == {"predict": "96000M", "time": "96000M", "trial": "32000M"}
    times = {rule: job["TimeLimit"] for rule, job in jobs.items()}
    assert times == {"predict": "1-00:00:00", "time": "1-00:00:00", "trial": "08:00:00"}
    cores = {rule: job["NumCPUs"] for rule, job in jobs.items()}
    assert cores == {"predict": "16", "time": "16", "trial": "8"}
    process.send_signal(signal.SIGINT)
    run.finish(process, expected=1)
    until(lambda: not here())
