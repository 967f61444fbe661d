"""A training on several GPUs: checked first, then handed to accelerate with the same command."""

import json
import os
import signal
import subprocess
import sys

import psutil
import pytest
import yaml
from typer.testing import CliRunner

from bioner.cli import app
from bioner.errors import InputError
from bioner.training import launch as launching
from bioner.training.launch import ACCELERATE_CONFIG, launch, launch_command
from tests.conftest import wait_for


def test_the_command_is_the_same_in_every_process():
    command = launch_command(2, ["train", "mine", "--seed", "7"])
    assert command[1:3] == ["-m", "accelerate.commands.launch"]
    assert command[command.index("--num_processes") + 1] == "2"
    assert command[-6:] == ["--module", "bioner", "train", "mine", "--seed", "7"]


def test_accelerate_is_told_everything_so_that_a_user_s_own_settings_stay_out():
    command = launch_command(2, [])
    assert command[command.index("--config_file") + 1] == str(ACCELERATE_CONFIG)
    settings = yaml.safe_load(ACCELERATE_CONFIG.read_text())
    assert (settings["distributed_type"], settings["mixed_precision"]) == ("MULTI_GPU", "no")


def test_missing_gpus_are_named_before_anything_is_launched():
    with pytest.raises(InputError, match="CUDA GPUs; expected 64"):
        launch("mine", 64)


@pytest.mark.parametrize("gpus", [0, 1])
def test_one_device_needs_no_launcher(monkeypatch, gpus):
    monkeypatch.setattr(launching, "require_devices", lambda name, gpus: None)
    monkeypatch.setattr("os.execv", lambda *_: pytest.fail("launched"))
    launch("mine", gpus)


def test_two_gpus_start_two_processes(monkeypatch):
    started = []
    monkeypatch.setattr(launching, "require_devices", lambda name, gpus: None)
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    monkeypatch.setattr("os.execv", lambda _, command: started.append(command) or exit(0))
    with pytest.raises(SystemExit):
        launch("mine", 2)
    assert started[0][started[0].index("--num_processes") + 1] == "2"


def test_trainings_and_predictions_start_a_process_for_each_gpu_of_their_own(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(
        launching, "launch", lambda name, gpus: asked.append((name, gpus)) or exit(0)
    )
    entry = {"family": "llm", "source": {"hub": "a/b"}, "resources": {"gpus": 4, "predict_gpus": 2}}
    files = {
        "train": ["--data", str(tmp_path)],
        "predict": ["--gold", "test.jsonl", "--decoding", "free"],
    }
    for command, options in files.items():
        arguments = [
            command,
            command,
            "--entry",
            json.dumps(entry),
            *options,
            "--out",
            str(tmp_path / "out"),
        ]
        assert CliRunner().invoke(app, arguments).exit_code == 0
    assert asked == [("train", 4), ("predict", 2)]


def test_another_number_of_processes_than_gpus_is_refused(monkeypatch):
    monkeypatch.setattr(launching, "require_devices", lambda name, gpus: None)
    monkeypatch.setenv("WORLD_SIZE", "3")
    with pytest.raises(InputError, match="3 processes; expected one a GPU: 2"):
        launch("mine", 2)


@pytest.mark.parametrize(
    ("given", "asked", "started"), [(1, 2, 1), (2, 4, 2), (4, 2, 2), (4, 1, 1)]
)
def test_a_slurm_job_starts_as_many_processes_as_it_was_given_gpus(
    monkeypatch, given, asked, started
):
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    monkeypatch.setattr("torch.cuda.device_count", lambda: given)
    assert launching.processes_for("mine", asked) == started


def test_missing_gpus_are_an_error_outside_slurm_and_in_a_job_without_any(monkeypatch):
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 1)
    with pytest.raises(InputError, match="1 CUDA GPUs; expected 2"):
        launching.processes_for("mine", 2)
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    monkeypatch.setattr("torch.cuda.device_count", lambda: 0)
    with pytest.raises(InputError, match="0 CUDA GPUs; expected 2"):
        launching.processes_for("mine", 2)


def test_a_site_may_give_processes_another_time_for_their_checkpoint(monkeypatch):
    monkeypatch.setattr(launching, "require_devices", lambda name, gpus: None)
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    monkeypatch.setattr("os.execv", lambda *_: exit(0))
    monkeypatch.delenv("PET_SIGNALS_TO_HANDLE", raising=False)
    for given, kept in ((None, "170"), ("600", "600")):
        monkeypatch.delenv("TORCH_ELASTIC_SHUTDOWN_TIMEOUT", raising=False)
        if given:
            monkeypatch.setenv("TORCH_ELASTIC_SHUTDOWN_TIMEOUT", given)
        with pytest.raises(SystemExit):
            launch("mine", 2)
        assert os.environ["TORCH_ELASTIC_SHUTDOWN_TIMEOUT"] == kept
        assert "SIGUSR1" in os.environ["PET_SIGNALS_TO_HANDLE"]


SLOW = """
import os, pathlib, signal, sys, time
left = []
signal.signal(signal.SIGUSR1, lambda *_: left.append(1))
signal.signal(signal.SIGTERM, lambda *_: left.append(1))
pathlib.Path(sys.argv[1], "ready" + os.environ["RANK"]).touch()
while not left:
    time.sleep(0.1)
time.sleep(40)
pathlib.Path(sys.argv[1], "kept").touch()
"""


@pytest.mark.slow
def test_processes_have_more_than_half_a_minute_for_their_checkpoint(tmp_path):
    (tmp_path / "slow.py").write_text(SLOW)
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node", "2"]
    launched = subprocess.Popen(
        [*command, str(tmp_path / "slow.py"), str(tmp_path)], env=os.environ | launching.ENVIRONMENT
    )
    try:
        wait_for(lambda: len(list(tmp_path.glob("ready*"))) == 2)
        launched.send_signal(signal.SIGUSR1)
        launched.wait(300)
        assert (tmp_path / "kept").exists()
    finally:
        if launched.poll() is None:
            for process in [*psutil.Process(launched.pid).children(recursive=True), launched]:
                process.kill()
