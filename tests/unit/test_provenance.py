"""What a run records of its machine: the energy and the company of its GPUs, as their driver tells."""

import sys
from types import SimpleNamespace

import pytest
import torch

from bioner.provenance import energy_kwh, others_on_gpu, provenance


@pytest.fixture
def driver(monkeypatch):
    """A driver of two GPUs, told by uuid: 3.6 and 7.2 MJ taken; this process and another one work on the first."""
    taken = {"GPU-a": 3_600_000_000, "GPU-b": 7_200_000_000}  # millijoules
    working = {"GPU-a": ["this", "another"], "GPU-b": []}
    told = SimpleNamespace(
        nvmlInit=lambda: None,
        nvmlDeviceGetHandleByUUID=lambda uuid: uuid,
        nvmlDeviceGetTotalEnergyConsumption=taken.__getitem__,
        nvmlDeviceGetComputeRunningProcesses=working.__getitem__,
    )
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda index: SimpleNamespace(uuid="ab"[index]))
    monkeypatch.setitem(sys.modules, "pynvml", told)
    return told


def test_energy_is_what_the_visible_gpus_have_taken(driver):
    assert energy_kwh(2) == pytest.approx(3.0)


def test_others_on_the_first_gpu_are_counted_without_this_process(driver):
    assert others_on_gpu(2) == 1


@pytest.mark.parametrize("ask", [energy_kwh, others_on_gpu])
def test_without_a_gpu_or_where_it_does_not_tell_nothing_is_said(driver, ask):
    assert ask(0) is None
    driver.nvmlInit = lambda: 1 / 0
    assert ask(2) is None


def test_a_driver_that_does_not_even_list_this_process_does_not_tell_of_others(driver):
    driver.nvmlDeviceGetComputeRunningProcesses = lambda card: []
    assert others_on_gpu(1) is None


def test_without_git_nothing_is_said_of_changes(monkeypatch):
    monkeypatch.setattr("bioner.provenance._git", lambda *arguments: None)
    assert (provenance()["commit"], provenance()["uncommitted_changes"]) == (None, None)
