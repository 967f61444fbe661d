"""GPUs and driver, on a machine made up for the test."""

import sys
from types import ModuleType, SimpleNamespace

import pytest
import torch

from bioner.ops.doctor import hardware

H100 = SimpleNamespace(name="NVIDIA H100 80GB HBM3", total_memory=80 * 2**30, major=9, minor=0)
V100 = SimpleNamespace(name="Tesla V100", total_memory=16 * 2**30, major=7, minor=0)


@pytest.fixture
def machine(monkeypatch, tmp_path):
    """A function that makes this machine have these cards, CUDA build of torch, and driver (its
    CUDA as NVML says).
    """
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(hardware, "DEVICES", tmp_path)

    def make(cards=(), built="13.0", cuda=None, here=None, error=None):
        monkeypatch.setattr(torch.version, "cuda", built)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: len(cards))
        monkeypatch.setattr(torch.cuda, "is_available", lambda: bool(cards))
        monkeypatch.setattr(torch.cuda, "get_device_properties", lambda index: cards[index])
        for number in range(len(cards) if here is None else here):
            (tmp_path / f"nvidia{number}").touch()
        (tmp_path / "nvidiactl").touch()
        monkeypatch.setitem(
            sys.modules, "pynvml", nvml(cuda, len(cards) if here is None else here, error)
        )

    return make


def nvml(cuda, gpus, error):
    """A pynvml of a driver that runs this CUDA (None: no pynvml), or whose start ends with an error
    of that name.
    """
    if cuda is None and error is None:
        return None  # `import pynvml` raises ImportError
    module = ModuleType("pynvml")
    for name in (
        "NVMLError_LibraryNotFound",
        "NVMLError_DriverNotLoaded",
        "NVMLError_LibRmVersionMismatch",
    ):
        setattr(module, name, type(name, (Exception,), {}))

    def start():
        if error:
            raise getattr(module, error)(error)

    module.nvmlInit = start
    module.nvmlSystemGetCudaDriverVersion_v2 = lambda: cuda
    module.nvmlSystemGetDriverVersion = lambda: "570.10"
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


@pytest.mark.parametrize("cuda", [None, 13000])
def test_a_cpu_build_beside_a_gpu_fails(machine, cuda):
    machine(built=None, here=1, cuda=cuda)
    assert driver_line().startswith("FAIL")
    assert "CPU build, 1 GPUs are here. `make env ENV=gpu`" in driver_line()


def test_a_cpu_build_where_gpus_are_asked_for_fails(machine):
    machine(built=None)
    assert "CPU build, GPUs are asked for" in driver_line(asked=2)


@pytest.mark.parametrize(
    ("built", "cuda", "state"),
    [("13.0", 13000, "ok"), ("13.2", 13000, "ok"), ("12.8", 13010, "ok"), ("13.0", 12080, "FAIL")],
)
def test_a_driver_runs_its_cuda_and_older_ones(machine, built, cuda, state):
    # Minor versions are compatible with each other: NVIDIA's "CUDA Compatibility", minor version
    # compatibility.
    machine(cards=[H100], built=built, cuda=cuda)
    assert driver_line().split()[0] == state


def test_an_old_driver_is_named_with_the_one_to_have(machine):
    machine(here=1, cuda=12080)
    assert (
        driver_line()
        == "FAIL driver     driver 570.10 runs CUDA up to 12.8, torch is built for 13.0. Have the"
        " driver updated to 580.65 or later, or install a build of torch for the driver's CUDA."
    )


@pytest.mark.parametrize("cuda", [None, 13000])
def test_gpus_that_torch_does_not_find_fail(machine, cuda):
    machine(here=2, cuda=cuda)
    assert "FAIL driver     torch for CUDA 13.0 finds no GPU that works" in driver_line()


def test_gpus_that_were_hidden_do_not(machine, monkeypatch):
    machine(here=2, cuda=13000)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert driver_line().startswith("ok")
    assert driver_line(asked=1).startswith("FAIL")


def test_without_pynvml_the_gpus_are_counted_by_their_device_files(machine):
    machine(cards=[H100, H100])
    assert hardware.gpus_here() == 2
    assert "without pynvml" in driver_line()


@pytest.mark.parametrize("error", ["NVMLError_LibraryNotFound", "NVMLError_DriverNotLoaded"])
def test_pynvml_without_a_driver_is_no_driver(machine, error):
    machine(error=error)
    assert hardware.driver() is None
    assert driver_line().startswith("skip")


def test_a_driver_that_is_broken_is_told_by_its_own_check_alone(machine):
    machine(here=1, error="NVMLError_LibRmVersionMismatch")
    assert hardware.gpus_here() == 1
    with pytest.raises(Exception, match="LibRmVersionMismatch"):
        driver_line()


def test_a_job_s_gpus_are_those_the_driver_shows_and_not_all_device_files(machine):
    machine(cards=[H100], cuda=13000)
    (hardware.DEVICES / "nvidia7").touch()
    assert hardware.gpus_here() == 1


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
