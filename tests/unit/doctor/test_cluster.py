"""The profile's partitions and GPUs, against what a cluster's sinfo says."""

import pytest

from bioner.config import REPOSITORY
from bioner.doctor.cluster import Partition, check_slurm, minutes, partitions

CLUSTER = """\
cpu*|(null)|3-00:00:00
gpu|gpu:a100:4(S:0-1)|1-00:00:00
gpu|gpu:h100:8,shard:16|1-00:00:00
plain|gpu:4|infinite
"""


@pytest.fixture
def sinfo(monkeypatch, tmp_path):
    """A function that puts a `sinfo` on PATH, which prints this and ends with that exit code."""

    def make(text=CLUSTER, code=0):
        program = tmp_path / "bin" / "sinfo"
        program.parent.mkdir(exist_ok=True)
        stream = 2 if code else 1
        program.write_text(
            f"#!/bin/sh\ncat >&{stream} <<'END'\n{text}\nEND\necho \"$@\" > {tmp_path}/asked\nexit {code}\n"
        )
        program.chmod(0o755)
        monkeypatch.setenv("PATH", str(program.parent), prepend=":")

    return make


@pytest.fixture
def profile(tmp_path):
    """A function that writes a profile with these default resources."""

    def make(**changes):
        site = {"slurm_partition": "cpu", "gpu_partition": "gpu", "gpu_type": "h100", "max_runtime": 1440} | changes
        rows = [f"  {key}: {value}\n" for key, value in site.items() if value is not None]
        (tmp_path / "config.yaml").write_text("executor: slurm\ndefault-resources:\n" + "".join(rows))
        return tmp_path

    return make


def lines(folder):
    return [str(finding) for finding in check_slurm(folder)]


def test_without_sinfo_there_is_no_cluster(monkeypatch, profile):
    monkeypatch.setenv("PATH", "/nonexistent")
    assert lines(profile()) == ["skip slurm      no sinfo on PATH: no Slurm cluster"]


def test_a_profile_that_fits_is_fine(sinfo, profile, tmp_path):
    sinfo()
    assert lines(profile()) == ["ok   slurm      partitions cpu and gpu, GPUs of type h100"]
    assert (tmp_path / "asked").read_text() == "-h -o %P|%G|%l\n"


@pytest.mark.parametrize(
    ("changes", "fault", "remedy"),
    [
        (
            {"slurm_partition": "compute"},
            "no partition 'compute'; the cluster has cpu, gpu, plain",
            "Set slurm_partition",
        ),
        ({"gpu_partition": "gpus"}, "no partition 'gpus'; the cluster has cpu, gpu, plain", "Set gpu_partition"),
        ({"gpu_type": "h200"}, "no GPU h200 in the partition 'gpu'; it offers a100, h100", "`any` takes what there is"),
        ({"gpu_partition": "cpu"}, "no GPU h100 in the partition 'cpu'; it offers none", "Set gpu_partition"),
        ({"gpu_partition": "cpu", "gpu_type": "any"}, "no GPU any in the partition 'cpu'", "Set gpu_partition"),
        (
            {"gpu_partition": "plain"},
            "no GPU h100 in the partition 'plain'; it offers without a type",
            "Set gpu_partition",
        ),
        ({"gpu_partition": "gpu,long"}, "no partition 'long'", "Set gpu_partition"),
        ({"max_runtime": 1441}, "max_runtime is 1441 minutes, the partition 'gpu' allows 1440", "to 1440"),
        ({"gpu_partition": None}, "no gpu_partition under default-resources", "Name the cluster's partition"),
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
        {"gpu_type": "any"},
        {"gpu_type": None},
        {"gpu_partition": "plain", "gpu_type": "any"},
        {"gpu_partition": "plain", "gpu_type": "any", "max_runtime": 100_000},
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
    assert [line[:4] for line in lines(profile(slurm_partition="x", gpu_type="y"))] == ["FAIL", "FAIL"]


def test_a_cluster_that_does_not_answer_is_told(sinfo, profile):
    sinfo("sinfo: error: one\nsinfo: fatal: no controller", code=1)
    (line,) = lines(profile())
    assert line.startswith("FAIL slurm      sinfo: fatal: no controller. ")


def test_nodes_of_a_partition_are_taken_together():
    assert partitions(CLUSTER) == {
        "cpu": Partition(frozenset(), 3 * 1440),
        "gpu": Partition(frozenset({"a100", "h100"}), 1440),
        "plain": Partition(frozenset({""}), None),
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
    sinfo("cpu|(null)|infinite\ngpu|gpu:h100:4|infinite")
    (line,) = lines(REPOSITORY / "profiles" / "slurm")
    assert line.startswith("ok")
