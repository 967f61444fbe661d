"""`bioner doctor` where there is a Slurm: on the login node, and as a job with GPUs."""

import subprocess
import sys

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
