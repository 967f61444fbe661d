"""Private interfaces of libraries that the code uses: each is where it was, and takes what it
took.
"""

import inspect
from importlib.metadata import version
from types import SimpleNamespace
from typing import Any

import pytest
import snakemake.cli  # noqa: F401  # first: the modules of Snakemake import each other
import snakemake_executor_plugin_slurm as slurm_plugin
from snakemake.dag import DAG
from snakemake.persistence import PersistenceBase
from snakemake.scheduling.job_scheduler import JobScheduler
from snakemake.workflow import Workflow
from transformers import Trainer, TrainingArguments

from bioner.ops.snakemake_internals import limit_resource

CALLED = [
    (PersistenceBase, "params", ["self", "path"], "recorded parameters are read with it"),
    (PersistenceBase, "finished", ["self", "job"], "jobs on nodes record themselves in it"),
    (
        PersistenceBase,
        "cleanup_metadata",
        ["self", "target"],
        "a report of a failed run is forgotten with it",
    ),
    (
        DAG,
        "needrun_jobs",
        ["self", "exclude_finished"],
        "jobs left in Slurm's queue are compared with these",
    ),
    (
        Workflow,
        "register_resource",
        ["self", "name", "value"],
        "jobs on one machine are limited to its GPUs with it",
    ),
    (
        slurm_plugin,
        "query_job_status",
        ["command", "logger"],
        "states of jobs are translated in it",
    ),
    (
        slurm_plugin,
        "is_query_tool_available",
        ["tool_name"],
        "sacct is hidden in it where there is no accounting",
    ),
    (
        Trainer,
        "_get_train_sampler",
        ["self", "train_dataset"],
        "the order of batches comes from it",
    ),
    (
        Trainer,
        "_save_checkpoint",
        ["self", "model", "trial"],
        "checkpoints get their manifest in it",
    ),
    (
        Trainer,
        "_load_rng_state",
        ["self", "checkpoint"],
        "the random state is put back after an evaluation by it",
    ),
    (
        Trainer,
        "_load_from_checkpoint",
        ["self", "resume_from_checkpoint", "model"],
        "the best weights are taken by it",
    ),
]


def changed(owner: Any, name: str) -> str:
    """Name the release and the interface that changed."""
    library = getattr(owner, "__module__", slurm_plugin.__name__).partition(".")[0]
    return f"{library} {version(library)}: {owner.__name__}.{name}"


@pytest.mark.parametrize(
    ("owner", "name", "parameters", "use"), CALLED, ids=[row[1] for row in CALLED]
)
def test_a_function_takes_what_it_took(owner, name, parameters, use):
    assert hasattr(owner, name), f"{changed(owner, name)} is gone; {use}"
    found = list(inspect.signature(getattr(owner, name)).parameters)
    assert found == parameters, (
        f"{changed(owner, name)} takes {found}, no longer {parameters}; {use}"
    )


def test_an_epoch_is_run_by_its_number():
    found = inspect.signature(Trainer._run_epoch).parameters
    assert "epoch" in found, (
        f"{changed(Trainer, '_run_epoch')} takes no epoch any more; samplers are told of it there"
    )


def test_requested_files_are_handed_to_the_graph_by_name():
    assert "targetfiles=targetfiles" in inspect.getsource(Workflow), (
        f"{changed(DAG, '__init__')} is called otherwise; requested files are checked in it"
    )


def test_what_failed_stands_with_the_scheduler():
    assert "self.failed = set()" in inspect.getsource(JobScheduler), (
        f"{changed(JobScheduler, 'failed')} is gone; reports of failed runs name its jobs"
    )


def test_jobs_that_nobody_waits_for_record_themselves():
    assert "remote_execution_settings.immediate_submit" in inspect.getsource(
        PersistenceBase.finished
    ), (
        f"{changed(PersistenceBase, 'finished')} looks at something else; jobs on nodes record"
        " themselves by it"
    )


def test_a_process_can_be_kept_to_one_gpu():
    assert "_n_gpu" in inspect.getsource(TrainingArguments), (
        f"{changed(TrainingArguments, '_n_gpu')} is gone; a process would be spread over every"
        " visible GPU"
    )


def test_the_sentences_per_pass_can_be_set_before_training():
    assert "self._train_batch_size = self.args.train_batch_size" in inspect.getsource(Trainer), (
        f"{changed(Trainer, '_train_batch_size')} is set otherwise; `auto` would have no effect"
    )


@pytest.mark.parametrize(
    ("given", "here", "limit"), [({}, 2, 2), ({"gpus": 1}, 2, 1), ({}, 0, None)]
)
def test_snakemake_starts_no_more_jobs_than_there_are_gpus(given, here, limit):
    workflow = SimpleNamespace(global_resources=given, register_resource=given.__setitem__)
    limit_resource(workflow, "gpus", here)
    assert given.get("gpus") == limit
