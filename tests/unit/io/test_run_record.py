"""What a run records of its machine: energy and other processes of GPUs, as the driver reports."""

import datetime
import json
import os
import sys
from types import SimpleNamespace

import psutil
import pytest
import torch

from bioner.errors import InputError
from bioner.io.records import read_record
from bioner.io.run_record import energy_kwh, others_on_gpu, peak_memory, provenance, write_record
from bioner.settings.model_entry import ModelEntry


@pytest.fixture
def driver(monkeypatch):
    """A driver of two GPUs: 3.6 and 7.2 MJ used; this process and another one run on the first."""
    taken = {"GPU-a": 3_600_000_000, "GPU-b": 7_200_000_000}  # millijoules
    working = {"GPU-a": ["this", "another"], "GPU-b": []}
    told = SimpleNamespace(
        nvmlInit=lambda: None,
        nvmlDeviceGetHandleByUUID=lambda uuid: uuid,
        nvmlDeviceGetTotalEnergyConsumption=taken.__getitem__,
        nvmlDeviceGetComputeRunningProcesses=working.__getitem__,
    )
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(
        torch.cuda, "get_device_properties", lambda index: SimpleNamespace(uuid="ab"[index])
    )
    monkeypatch.setitem(sys.modules, "pynvml", told)
    return told


def test_energy_is_what_the_visible_gpus_have_taken(driver):
    assert energy_kwh(2) == pytest.approx(3.0)
    assert energy_kwh(1) == pytest.approx(1.0), "the second is another's"


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


def test_peak_memory_is_in_gb_and_that_of_the_fullest_gpu(driver, monkeypatch):
    usage = SimpleNamespace(
        RUSAGE_SELF=0, getrusage=lambda who: SimpleNamespace(ru_maxrss=3 * 2**20)
    )  # in kB
    monkeypatch.setattr("bioner.io.run_record.resource", usage)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(
        torch.cuda, "max_memory_allocated", lambda index: (5 * 2**30, 7 * 2**30)[index]
    )
    assert peak_memory(2) == (3, 7)
    assert peak_memory(0) == (3, None)


@pytest.mark.parametrize(("told", "changed"), [("", False), (" M src/bioner/tags.py", True)])
def test_changes_are_uncommitted_where_git_tells_of_any(monkeypatch, told, changed):
    monkeypatch.setattr(
        "bioner.io.run_record._git",
        lambda *arguments: told if arguments[0] == "status" else "c" * 40,
    )
    assert (provenance()["commit"], provenance()["uncommitted_changes"]) == ("c" * 40, changed)


def test_a_record_begins_with_its_process_and_ends_when_it_is_written(tmp_path):
    before = datetime.datetime.now(datetime.UTC).replace(microsecond=0)
    entry = ModelEntry(family="control", control="oracle")
    assert entry.resources.predict_gpus == 0
    write_record(tmp_path / "run.json", {"seed": 7}, entry)
    record = json.loads((tmp_path / "run.json").read_text())
    began = psutil.Process(os.getpid()).create_time()
    started, ended = (
        datetime.datetime.fromisoformat(record[name]) for name in ("started", "ended")
    )
    assert (record["seed"], started.timestamp()) == (7, pytest.approx(began, abs=1))
    assert record["settings"] == entry.canonical()
    assert before <= ended <= datetime.datetime.now(datetime.UTC)


def test_without_git_nothing_is_said_of_changes(monkeypatch):
    monkeypatch.setattr("bioner.io.run_record._git", lambda *arguments: None)
    assert (provenance()["commit"], provenance()["uncommitted_changes"]) == (None, None)


@pytest.mark.parametrize(
    "value", [{"wall_seconds": -1}, {"peak_memory_gb": -0.5}, {"kept": {"step": -1}}]
)
def test_a_record_with_a_negative_amount_is_broken(tmp_path, value):
    path = tmp_path / "run.json"
    path.write_text(json.dumps(value))
    with pytest.raises(
        InputError, match=rf"run\.json: found a broken record \({next(iter(value))}"
    ):
        read_record(path)
