"""`bioner doctor` where there is a Slurm: on the login node, and as a job with GPUs."""

import subprocess
import sys

import pytest

from bioner.ops.doctor.cluster import check_slurm
from bioner.ops.profile import profile_text

BIONER = [sys.executable, "-m", "bioner"]


def doctor(run, *arguments, before=()):
    done = subprocess.run(
        [*before, *BIONER, "doctor", "--config", str(run.folder / "run.yaml"), *arguments],
        cwd=run.folder,
        env=run.cluster.environ,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert "Traceback" not in done.stdout + done.stderr
    return done.returncode, done.stdout


def test_the_profile_is_held_against_the_cluster(run, tmp_path):
    """This cluster ends jobs after a day; the profile that ships says two, and `make profile`
    writes another.
    """
    code, said = doctor(run)
    assert code == 1
    told = "max_runtime is 2880 minutes, the partition 'gpu' allows 1440"
    assert [line for line in said.splitlines() if line.startswith("FAIL") and told in line], said
    mine = tmp_path / "mine"
    subprocess.run(
        [*BIONER, "profile", str(mine), "--max-runtime", "1440"],
        check=True,
        stdin=subprocess.DEVNULL,
    )
    code, said = doctor(run, "--profile", str(mine))
    assert code == 0, said
    assert "partitions cpu and gpu, GPUs of type h100" in said


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("slurm_partition", "compute"),
        ("gpu_partition", "gpus"),
        ("gpu_type", "h200"),
        ("gpu_constraint", "nvlink"),
        ("max_mem_mb", "512001"),
    ],
)
def test_the_setting_that_slurm_refuses_is_named(cluster, tmp_path, monkeypatch, setting, value):
    monkeypatch.setenv("PATH", cluster.environ["PATH"])
    fits = {"max_runtime": "1440"}
    (tmp_path / "config.yaml").write_text(profile_text(fits))
    assert [found.state for found in check_slurm(tmp_path, gpus=4)] == ["ok"]
    (tmp_path / "config.yaml").write_text(profile_text(fits | {setting: value}))
    (line,) = map(str, check_slurm(tmp_path, gpus=4))
    assert line.startswith("FAIL slurm      Slurm refuses a job with --partition=")
    assert f"Set {setting} " in line


def test_a_node_with_fewer_gpus_than_a_model_takes_is_told(cluster, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", cluster.environ["PATH"])
    (tmp_path / "config.yaml").write_text(profile_text({"max_runtime": "1440"}))
    (line,) = map(str, check_slurm(tmp_path, gpus=5))
    assert "--gres=gpu:h100:5 (allocation failure: Requested node configuration is not" in line
    assert "Set gpu_type (or `resources.gpus` of the model) in" in line


def test_as_a_job_it_sees_what_the_job_sees(run):
    """These GPUs are pretended: Slurm gives two, the driver knows none, and it says so."""
    asked = ("-p", "gpu", "--gres=gpu:h100:2", "-t", "5", "--mem", "8000")
    code, said = doctor(run, "--gpus", "2", before=("srun", "--quiet", *asked))
    assert code != 0
    states = {tuple(line.split()[:2]) for line in said.splitlines()}
    assert {
        ("FAIL", "driver"),
        ("FAIL", "gpus"),
        ("ok", "all-reduce"),
        ("ok", "locks"),
    } <= states, said
    assert "HF_HOME: offline" in said  # jobs on nodes do not ask the hub
