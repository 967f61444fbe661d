"""Slurm's answers in words that the executor plugin knows."""

import asyncio
from types import SimpleNamespace

import pytest
import snakemake_executor_plugin_slurm as plugin

from bioner.ops.slurm.plugin import SETTLED, Settled, has_accounting, mend, remembered


def test_who_cancelled_a_job_is_no_part_of_its_state():
    assert Settled()({"1": "CANCELLED by 1000", "2": "RUNNING", "3": "OUT_OF_MEMORY"}) == {
        "1": "CANCELLED",
        "2": "RUNNING",
        "3": "OUT_OF_MEMORY",
    }


def test_a_job_that_stays_preempted_was_cancelled_one_that_is_queued_again_was_not():
    now = [0.0]
    settled = Settled(lambda: now[0])
    preempted = {"1": "PREEMPTED", "2": "PREEMPTED"}
    assert settled(preempted) == preempted
    now[0] = SETTLED - 1
    assert settled({"1": "PREEMPTED", "2": "PENDING"}) == {"1": "PREEMPTED", "2": "PENDING"}
    now[0] = SETTLED
    assert settled(preempted) == {
        "1": "CANCELLED",
        "2": "PREEMPTED",
    }, "the second was preempted again just now"


@pytest.fixture
def scontrol(tmp_path, monkeypatch):
    """A function that has `scontrol show config` say this of accounting and of how long jobs are
    known.
    """

    def make(storage, age="300 sec", code=0):
        program = tmp_path / "scontrol"
        program.write_text(
            f"#!/bin/sh\necho 'AccountingStorageType   = {storage}\nMinJobAge               ="
            f" {age}'\nexit {code}\n"
        )
        program.chmod(0o755)
        monkeypatch.setenv("PATH", str(tmp_path), prepend=":")

    return make


@pytest.mark.parametrize(
    ("storage", "kept"),
    [("accounting_storage/slurmdbd", True), ("accounting_storage/none", False), ("(null)", False)],
)
def test_whether_there_is_accounting_and_how_long_jobs_are_known(scontrol, storage, kept):
    scontrol(storage)
    assert has_accounting() == kept
    assert remembered() == 300


def test_a_slurm_that_does_not_answer_says_nothing(scontrol):
    scontrol("accounting_storage/slurmdbd", code=1)
    assert (has_accounting(), remembered()) == (False, None)


@pytest.mark.parametrize(
    ("storage", "command", "asked"),
    [
        ("accounting_storage/none", "squeue", False),
        ("accounting_storage/slurmdbd", "squeue", True),
        ("accounting_storage/slurmdbd", "sacct", True),
    ],
)
def test_sacct_is_asked_where_it_knows_something(scontrol, monkeypatch, storage, command, asked):
    scontrol(storage)
    monkeypatch.setattr(plugin, "is_query_tool_available", lambda tool: True)
    monkeypatch.setattr(plugin, "query_job_status", plugin.query_job_status)
    mend(SimpleNamespace(status_command=command))
    assert plugin.is_query_tool_available("sacct") == asked
    assert plugin.is_query_tool_available("squeue")


def test_the_plugin_hears_mended_states_and_no_answer_stays_none(scontrol, monkeypatch):
    scontrol("accounting_storage/none")
    answers = iter([({"7": "CANCELLED by 0"}, 0.1), (None, None)])

    async def query_job_status(command, logger):
        return next(answers)

    monkeypatch.setattr(plugin, "is_query_tool_available", plugin.is_query_tool_available)
    monkeypatch.setattr(plugin, "query_job_status", query_job_status)
    mend(SimpleNamespace(status_command="sacct"))
    assert asyncio.run(plugin.query_job_status("sacct", None)) == ({"7": "CANCELLED"}, 0.1)
    assert asyncio.run(plugin.query_job_status("sacct", None)) == (None, None)
