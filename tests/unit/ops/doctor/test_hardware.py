"""GPUs and driver, on a machine made up for the test."""

import sys
from types import ModuleType, SimpleNamespace

import pytest
import torch

from bioner.models import gpu_leases
from bioner.ops.doctor import hardware

H100 = SimpleNamespace(name="NVIDIA H100 80GB HBM3", total_memory=80 * 2**30, major=9, minor=0)
V100 = SimpleNamespace(name="Tesla V100", total_memory=16 * 2**30, major=7, minor=0)


@pytest.fixture
def machine(monkeypatch, tmp_path):
    """A function that makes this machine have these cards, CUDA build of torch, and driver.

    `broken` is what torch says when it cannot use the driver.
    """
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(gpu_leases, "DEVICES", tmp_path)

    def start(broken):
        if broken:
            raise RuntimeError(broken)

    def make(cards=(), built="13.0", broken=None, here=None, nvml=True, error=None):
        monkeypatch.setattr(torch.version, "cuda", built)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: len(cards))
        monkeypatch.setattr(torch.cuda, "init", lambda: start(broken))
        monkeypatch.setattr(torch.cuda, "get_device_properties", lambda index: cards[index])
        for number in range(len(cards) if here is None else here):
            (tmp_path / f"nvidia{number}").touch()
        (tmp_path / "nvidiactl").touch()
        module = pynvml(len(cards) if here is None else here, error) if nvml else None
        monkeypatch.setitem(sys.modules, "pynvml", module)

    return make


def pynvml(gpus, error):
    """A pynvml that counts so many GPUs, or whose start ends with an error of that name."""
    module = ModuleType("pynvml")

    def start():
        if error:
            raise type(error, (Exception,), {})(error)

    module.nvmlInit = start
    module.nvmlDeviceGetCount = lambda: gpus
    return module


def driver_line(asked=None):
    (finding,) = hardware.check_driver(asked)
    return str(finding)


def gpu_lines(asked=None, bf16=()):
    return [str(finding) for finding in hardware.check_gpus(asked, bf16)]


def test_without_gpus_there_is_nothing_to_check(machine):
    machine(built=None)
    assert driver_line() == "skip driver     no GPU on this machine"
    assert gpu_lines() == ["skip gpus       none visible, and none asked for with --gpus"]


@pytest.mark.parametrize("nvml", [True, False])
def test_a_cpu_build_beside_a_gpu_fails(machine, nvml):
    machine(built=None, here=1, nvml=nvml)
    assert driver_line().startswith("FAIL")
    assert "CPU build, 1 GPUs are here. `make env ENV=gpu`" in driver_line()


def test_a_cpu_build_where_gpus_are_asked_for_fails(machine):
    machine(built=None)
    assert "CPU build, GPUs are asked for" in driver_line(asked=2)


def test_a_driver_that_works_is_told_with_its_gpus(machine):
    machine(cards=[H100], here=2)
    assert driver_line() == "ok   driver     torch for CUDA 13.0 sees 1 of 2 GPUs"


TOO_OLD = "The NVIDIA driver on your system is too old (found version 12080). Please update it."


@pytest.mark.parametrize("nvml", [True, False])
def test_a_driver_that_torch_cannot_use_is_told_in_torch_s_words(machine, nvml):
    machine(here=2, broken=TOO_OLD, nvml=nvml)
    assert driver_line().startswith(f"FAIL driver     torch for CUDA 13.0: {TOO_OLD} Does `nvidia")


def test_gpus_that_were_hidden_do_not(machine, monkeypatch):
    machine(here=2, broken="No CUDA GPUs are available")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert driver_line() == "ok   driver     torch for CUDA 13.0 sees 0 of 2 GPUs"
    assert driver_line(asked=1).startswith("FAIL")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    assert driver_line().startswith("FAIL")


def test_without_pynvml_the_gpus_are_counted_by_their_device_files(machine):
    machine(cards=[H100, H100], nvml=False)
    assert gpu_leases.gpus_here() == 2


def test_pynvml_without_a_driver_is_no_driver(machine):
    machine(error="NVMLError_LibraryNotFound")
    assert driver_line().startswith("skip")


def test_a_driver_that_is_broken_hides_no_gpus(machine):
    machine(here=1, error="NVMLError_LibRmVersionMismatch", broken="CUDA driver error")
    assert gpu_leases.gpus_here() == 1
    assert driver_line().startswith("FAIL driver     torch for CUDA 13.0: CUDA driver error.")


def test_a_job_s_gpus_are_those_the_driver_shows_and_not_all_device_files(machine):
    machine(cards=[H100])
    (gpu_leases.DEVICES / "nvidia7").touch()
    assert gpu_leases.gpus_here() == 1


def test_each_gpu_is_told_with_its_memory(machine):
    machine(cards=[H100, H100])
    assert gpu_lines(asked=2, bf16=["big"]) == [
        "ok   gpus       0: NVIDIA H100 80GB HBM3, 80.0 GiB, bf16",
        "ok   gpus       1: NVIDIA H100 80GB HBM3, 80.0 GiB, bf16",
    ]


def test_fewer_gpus_than_asked_for_fail(machine):
    machine(cards=[H100])
    first, second = gpu_lines(asked=2)
    assert first.startswith("FAIL gpus       1 visible, --gpus 2. Run it in a job")
    assert second.startswith("ok")


def test_a_gpu_without_bf16_fails_where_a_model_calculates_in_it(machine):
    machine(cards=[V100])
    (line,) = gpu_lines(bf16=["mine", "other"])
    assert line.startswith(
        "FAIL gpus       0: Tesla V100, 16.0 GiB, no bf16, which mine, other calculate in."
    )
    assert "settings.mine.train.precision to fp32" in line
    assert gpu_lines() == [
        "ok   gpus       0: Tesla V100, 16.0 GiB, no bf16, which no model of the run calculates in"
    ]
