"""GPUs of one machine: a job has its own until its last process ends, and Slurm's are Slurm's.

Jobs are processes that hold their GPUs until their standard input closes; the number of GPUs is
made up.
"""

import os
import subprocess
import sys
from types import ModuleType, SimpleNamespace

import psutil
import pytest

from bioner.errors import InputError
from bioner.inference.predict import load_predictor
from bioner.inference.tagging import entry_of
from bioner.io.files import write_json
from bioner.models import gpu_leases
from bioner.models.devices import require_devices
from bioner.models.gpu_leases import VISIBLE, Card, lease_gpus, visible_cards
from bioner.settings.catalogue import parse_entry
from bioner.settings.model_entry import ModelEntry
from bioner.training.launch import launch
from tests.conftest import wait_for

START = """
import os, pathlib, subprocess, sys
sys.modules["pynvml"] = None
from bioner.models import gpu_leases
gpu_leases.LEASES, gpu_leases.WAIT = pathlib.Path(sys.argv[1]), 0
gpu_leases.gpus_here = lambda: int(sys.argv[2])
gpu_leases.lease_gpus("job", int(sys.argv[3]))
"""
HOLD = "print(os.environ.get('CUDA_VISIBLE_DEVICES'), flush=True); sys.stdin.read()"
# As `bioner train` becomes accelerate, whose children inherit no files and take their own locks.
RANK = START + "print('holds', os.getpid(), flush=True); sys.stdin.read()"
LAUNCHER = f"""
import os, subprocess, sys
os.environ["LOCAL_RANK"] = "0"
subprocess.Popen([sys.executable, "-c", {RANK!r}, *sys.argv[1:]])
sys.stdin.read()
"""
LAUNCH = f"os.execv(sys.executable, [sys.executable, '-c', {LAUNCHER!r}, *sys.argv[1:]])"


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """A function that starts a job; this process sees the same GPUs, and gives its own back."""
    monkeypatch.setattr(gpu_leases, "LEASES", tmp_path / "leases")
    monkeypatch.setattr(gpu_leases, "WAIT", 0)
    monkeypatch.setattr(gpu_leases, "held", [])
    monkeypatch.setitem(sys.modules, "pynvml", None)
    monkeypatch.setattr(gpu_leases, "gpus_here", lambda: 4)
    for name in ("SLURM_JOB_ID", "LOCAL_RANK", "CUDA_DEVICE_ORDER", VISIBLE):
        monkeypatch.setenv(name, "")  # so that it is as it was afterwards
        monkeypatch.delenv(name)
    jobs = []

    def start(code=HOLD, gpus=1):
        command = [sys.executable, "-c", START + code, str(tmp_path / "leases"), "4", str(gpus)]
        pipe = subprocess.PIPE
        jobs.append(subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True))
        return jobs[-1]

    yield start
    for job in jobs:
        job.kill()
        job.communicate()
    for file in gpu_leases.held:
        os.close(file)


def test_four_jobs_have_four_gpus_and_the_fifth_waits_for_one_that_is_killed(
    machine, monkeypatch, caplog
):
    jobs = [machine() for _ in range(4)]
    given = {job.stdout.readline().strip(): job for job in jobs}
    assert set(given) == {"0", "1", "2", "3"}
    with pytest.raises(InputError, match=r"big: found 0 of 4 GPUs .* expected 1\. .*gpus=4`"):
        lease_gpus("big", 1)
    monkeypatch.setattr(gpu_leases, "WAIT", 30)
    monkeypatch.setattr("time.sleep", lambda seconds: given["2"].kill())
    monkeypatch.setattr("torch.cuda.device_count", lambda: len(os.environ[VISIBLE].split(",")))
    with caplog.at_level("INFO"):
        require_devices("mine", 1)
    assert os.environ[VISIBLE] == "2"
    assert os.environ["CUDA_DEVICE_ORDER"] == "PCI_BUS_ID"
    assert "reserved GPU 2" in caplog.text
    lease_gpus("again", 1)
    assert len(gpu_leases.held) == 1, "the same process has it already"


@pytest.mark.parametrize("first", [0, 1], ids=["launcher", "rank"])
def test_gpus_are_free_when_the_last_process_of_a_job_is_killed(machine, first):
    launcher = machine(LAUNCH, gpus=2)
    said, pid = launcher.stdout.readline().split()
    assert said == "holds"
    processes = [psutil.Process(launcher.pid), psutil.Process(int(pid))]
    try:
        end(processes[first])
        with pytest.raises(InputError, match="found 2 of 4"):
            lease_gpus("big", 3)
    finally:
        end(processes[1 - first])
    lease_gpus("big", 3)
    assert os.environ[VISIBLE] == "0,1,2"


def end(process):
    process.kill()
    wait_for(lambda: not process.is_running() or process.status() == psutil.STATUS_ZOMBIE)


def test_jobs_that_get_too_few_gpus_release_them(machine):
    assert machine(gpus=3).stdout.readline().strip() == "0,1,2"
    with pytest.raises(InputError, match="found 1 of 4"):
        lease_gpus("big", 2)
    assert machine().stdout.readline().strip() == "3"


@pytest.mark.parametrize(
    ("why", "gpus"), [("SLURM_JOB_ID", 1), ("more than there are", 5), ("the CPU's", 0)]
)
def test_some_jobs_reserve_no_gpu(machine, monkeypatch, why, gpus):
    if why == "SLURM_JOB_ID":
        monkeypatch.setenv(why, "7")
        monkeypatch.setenv(VISIBLE, "2,3")
    before = os.environ.get(VISIBLE)
    lease_gpus("mine", gpus)
    assert os.environ.get(VISIBLE) == before
    assert not gpu_leases.LEASES.exists()


def test_nothing_is_reserved_once_cuda_has_started(machine, monkeypatch):
    started = SimpleNamespace(cuda=SimpleNamespace(is_initialized=lambda: True))
    monkeypatch.setitem(sys.modules, "torch", started)
    lease_gpus("mine", 1)
    assert VISIBLE not in os.environ


@pytest.mark.parametrize(
    ("visible", "seen"),
    [
        ("3, 1", ["3", "1"]),
        ("1,-1,0", ["1"]),
        ("7", []),
        ("", []),
        ("MIG-GPU-a/1/0,MIG-b", ["MIG-GPU-a/1/0", "MIG-b"]),
    ],
)
def test_only_gpus_in_cuda_visible_devices_are_reserved(machine, monkeypatch, visible, seen):
    monkeypatch.setenv(VISIBLE, visible)
    assert [card.entry for card in visible_cards()] == seen
    lease_gpus("mine", 1)
    assert os.environ[VISIBLE] == (seen[0] if seen else visible)


def test_the_least_used_gpu_is_taken_first_and_each_gpu_has_one_lock(machine, monkeypatch):
    module, used = ModuleType("pynvml"), [70, 3, 0, 1]
    module.nvmlInit = lambda: None
    module.nvmlDeviceGetHandleByIndex = lambda number: number
    module.nvmlDeviceGetUUID = "GPU-{}abc".format
    module.nvmlDeviceGetMemoryInfo = lambda number: SimpleNamespace(used=used[number] << 30)
    monkeypatch.setitem(sys.modules, "pynvml", module)
    lease_gpus("small", 1)
    assert os.environ[VISIBLE] == "2"
    monkeypatch.setenv(VISIBLE, "GPU-2,0")
    assert visible_cards() == [Card("GPU-2", "GPU-2abc", 0), Card("0", "GPU-0abc", 70)]
    mine, gpu_leases.held[:] = gpu_leases.held[:], []
    lease_gpus("other", 1)
    assert os.environ[VISIBLE] == "0"
    gpu_leases.held += mine


def test_reservations_hold_for_all_users_of_a_machine(machine):
    before = os.umask(0o077)
    try:
        lease_gpus("mine", 1)
        assert os.umask(0o077) == 0o077
    finally:
        os.umask(before)
    assert gpu_leases.LEASES.stat().st_mode & 0o7777 == 0o1777
    assert (gpu_leases.LEASES / "0").stat().st_mode & 0o777 == 0o444


class Reserved(Exception):
    pass


def test_every_command_reserves_its_gpus_before_torch_looks_for_any(tmp_path, monkeypatch):
    def reserve(name, gpus):
        raise Reserved

    for module in ("models.devices", "inference.tagging"):
        monkeypatch.setattr(f"bioner.{module}.lease_gpus", reserve)
    monkeypatch.setattr("torch.cuda.device_count", lambda: pytest.fail("looked before"))
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    described = {"family": "encoder", "source": {"hub": "a/b"}, "resources": {"predict_gpus": 1}}
    entry = parse_entry(ModelEntry, "mine", described)
    (tmp_path / "model").mkdir()
    write_json(tmp_path / "run.json", {"settings": entry.canonical()})
    for command in (
        lambda: launch("mine", 1),  # train, and predict with an LLM
        lambda: load_predictor("mine", entry, tmp_path / "model", "direct"),  # predict and time
        lambda: entry_of(tmp_path / "model"),  # tag and merge
    ):
        with pytest.raises(Reserved):
            command()
