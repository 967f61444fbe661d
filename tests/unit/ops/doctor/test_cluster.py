"""The profile's partitions and GPUs, against what a cluster's sinfo says."""

import pytest

from bioner.ops.doctor.cluster import Partition, check_slurm, minutes, partitions
from bioner.settings.config import REPOSITORY

CLUSTER = """\
cpu*|(null)|3-00:00:00|64000
gpu|gpu:a100:4(S:0-1)|1-00:00:00|512000
gpu|gpu:h100:8,shard:16|1-00:00:00|1024000+
plain|gpu:4|infinite|256000
brief|(null)|30:00|64000
"""

ANY = "\"'any'\""  # the inner quotes are Python's, the outer ones YAML's


@pytest.fixture
def sinfo(monkeypatch, tmp_path):
    """A function that puts a `sinfo` on PATH, which prints this and ends with that exit code."""

    def make(text=CLUSTER, code=0):
        program = tmp_path / "bin" / "sinfo"
        program.parent.mkdir(exist_ok=True)
        stream = 2 if code else 1
        program.write_text(
            f"#!/bin/sh\ncat >&{stream} <<'END'\n{text}\nEND\necho \"$@\" > {tmp_path}/asked\nexit"
            f" {code}\n"
        )
        program.chmod(0o755)
        monkeypatch.setenv("PATH", str(program.parent), prepend=":")

    return make


@pytest.fixture
def profile(tmp_path):
    """A function that writes a profile with these default resources."""

    def make(**changes):
        site = {
            "slurm_partition": "cpu",
            "gpu_partition": "gpu",
            "gpu_type": "h100",
            "max_runtime": 1440,
        } | changes
        rows = [f"  {key}: {value}\n" for key, value in site.items() if value is not None]
        (tmp_path / "config.yaml").write_text(
            "executor: slurm\ndefault-resources:\n" + "".join(rows)
        )
        return tmp_path

    return make


def lines(folder, **options):
    return [str(finding) for finding in check_slurm(folder, **options)]


def test_without_sinfo_there_is_no_cluster(monkeypatch, profile):
    monkeypatch.setenv("PATH", "/nonexistent")
    assert lines(profile()) == ["skip slurm      no sinfo on PATH: no Slurm cluster"]


def test_a_profile_that_fits_is_fine(sinfo, profile, tmp_path):
    sinfo()
    assert lines(profile()) == ["ok   slurm      partitions cpu and gpu, GPUs of type h100"]
    assert (tmp_path / "asked").read_text() == "-h -o %P|%G|%l|%m\n"


@pytest.mark.parametrize(
    ("changes", "fault", "remedy"),
    [
        (
            {"slurm_partition": "compute"},
            "no partition 'compute'; the cluster has brief, cpu, gpu, plain",
            "Set slurm_partition",
        ),
        (
            {"gpu_partition": "gpus"},
            "no partition 'gpus'; the cluster has brief, cpu, gpu, plain",
            "Set gpu_partition",
        ),
        (
            {"gpu_type": "h200"},
            "no GPU h200 in the partition 'gpu'; it offers a100, h100",
            "takes what there is",
        ),
        (
            {"gpu_partition": "cpu"},
            "no GPU h100 in the partition 'cpu'; it offers none",
            "Set gpu_partition",
        ),
        (
            {"gpu_partition": "cpu", "gpu_type": ANY},
            "no GPU any in the partition 'cpu'",
            "Set gpu_partition",
        ),
        (
            {"gpu_partition": "plain"},
            "no GPU h100 in the partition 'plain'; it offers without a type",
            "Set gpu_partition",
        ),
        ({"gpu_partition": "gpu,long"}, "no partition 'long'", "Set gpu_partition"),
        (
            {"max_runtime": 1441},
            "max_runtime is 1441 minutes, the partition 'gpu' allows 1440",
            "to 1440",
        ),
        (
            {"gpu_partition": None},
            "found no gpu_partition; expected the cluster's partition",
            "Name it there",
        ),
        ({"gpu_type": "any"}, "found any, which Python evaluates", "Write gpu_type: \"'any'\""),
        (
            {"max_mem_mb": 1024001},
            "max_mem_mb is 1024001 MB, nodes of the partition 'gpu' have 1024000",
            "to 1024000",
        ),
        (
            {"slurm_partition": "brief"},
            "the partition 'brief' allows 30 minutes, 120 are asked for",
            "a longer one",
        ),
    ],
)
def test_what_the_cluster_has_not_fails(sinfo, profile, changes, fault, remedy):
    sinfo()
    (line,) = lines(profile(**changes))
    assert line.startswith("FAIL slurm")
    assert fault in line
    assert remedy in line


@pytest.mark.parametrize(
    "changes",
    [
        {"gpu_type": ANY},
        {"gpu_type": None},
        {"gpu_partition": "plain", "gpu_type": ANY},
        {"gpu_partition": "plain", "gpu_type": ANY, "max_runtime": 100_000},
        {"max_mem_mb": 1024000},
        {"max_runtime": None},
        {"slurm_partition": "cpu,plain", "gpu_partition": "cpu,gpu", "max_runtime": 3 * 1440},
        {"gpu_partition": "gpu,plain", "max_runtime": 100_000},
        {"gpu_partition": "\"'gpu'\""},
    ],
)
def test_any_gpu_and_any_time_fit(sinfo, profile, changes):
    sinfo()
    (line,) = lines(profile(**changes))
    assert line.startswith("ok")


def test_two_faults_are_two_lines(sinfo, profile):
    sinfo()
    assert [line[:4] for line in lines(profile(slurm_partition="x", gpu_type="y"))] == [
        "FAIL",
        "FAIL",
    ]


def test_nodes_with_fewer_gpus_than_a_model_takes_are_told(sinfo, profile):
    sinfo()
    assert lines(profile(), gpus=8)[0].startswith("ok")
    (line,) = lines(profile(gpu_type="a100"), gpus=8)
    assert (
        "nodes of the partition 'gpu' have 4 GPUs, a model of the run takes 8 on one node" in line
    )


def test_a_banner_is_no_partition_and_nothing_else_is_no_answer(sinfo, profile):
    sinfo(f"Welcome to the cluster!\n{CLUSTER}")
    assert lines(profile())[0].startswith("ok")
    sinfo("Welcome to the cluster!")
    (line,) = lines(profile())
    assert "sinfo lists no partition" in line


def test_resources_may_stand_as_a_list(sinfo, tmp_path):
    sinfo()
    resources = "[slurm_partition=cpu, gpu_partition=gpu, gpu_type=h100]"
    (tmp_path / "config.yaml").write_text(f"default-resources: {resources}\n")
    assert lines(tmp_path)[0].startswith("ok")


@pytest.mark.parametrize(
    ("storage", "age", "told"),
    [
        ("accounting_storage/none", "60 sec", True),
        ("(null)", "199 sec", True),
        ("accounting_storage/none", "300 sec", False),
        ("accounting_storage/slurmdbd", "60 sec", False),
    ],
)
def test_a_slurm_that_forgets_what_ended_is_told(sinfo, profile, tmp_path, storage, age, told):
    sinfo()
    scontrol = tmp_path / "bin" / "scontrol"
    scontrol.write_text(
        f"#!/bin/sh\necho 'AccountingStorageType   = {storage}\nMinJobAge               = {age}'\n"
    )
    scontrol.chmod(0o755)
    assert any("Slurm forgets jobs" in line for line in lines(profile())) == told


def test_a_cluster_that_does_not_answer_is_told(sinfo, profile):
    sinfo("sinfo: error: one\nsinfo: fatal: no controller", code=1)
    (line,) = lines(profile())
    assert line.startswith("FAIL slurm      sinfo: fatal: no controller. ")


def test_nodes_of_a_partition_are_taken_together():
    assert partitions(CLUSTER) == {
        "cpu": Partition({}, 3 * 1440, 64000),
        "gpu": Partition({"a100": 4, "h100": 8}, 1440, 1024000),
        "plain": Partition({"": 4}, None, 256000),
        "brief": Partition({}, 30, 64000),
    }


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("30:00", 30),
        ("2:05:00", 125),
        ("12:00:00", 720),
        ("1-00:00:00", 1440),
        ("7-12:30:00", 10830),
        ("infinite", None),
    ],
)
def test_times_are_read_as_slurm_writes_them(text, expected):
    assert minutes(text) == expected


def test_the_project_s_own_profile_names_partitions(sinfo):
    sinfo("cpu|(null)|infinite|512000\ngpu|gpu:h100:4|infinite|512000")
    (line,) = lines(REPOSITORY / "profiles" / "slurm")
    assert line.startswith("ok")
