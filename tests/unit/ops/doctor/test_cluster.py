"""The profile's jobs, against what a cluster's sinfo and sbatch say (tests/slurm has real ones)."""

import math

import pytest

from bioner.ops.doctor.cluster import check_slurm, minutes
from bioner.ops.doctor.report import examine
from bioner.settings.repository import REPOSITORY

ANY = "\"'any'\""  # the inner quotes are Python's, the outer ones YAML's

# Partitions cpu, gpu (h100), plain (any GPU) and brief; a node has 8 GPUs and 1024000 MB.
SINFO = """\
#!/bin/sh
case "$*" in
*=cpu*) echo 3-00:00:00 ;;
*=gpu,plain*) echo 1-00:00:00; echo infinite ;;
*=gpu*) echo 1-00:00:00 ;;
*=plain*) echo infinite ;;
*=brief*) echo 30:00 ;;
esac
"""
SBATCH = """\
#!/bin/sh
echo "$@" >> {asked}
for option; do
    case "$option" in
    --partition=cpu | --partition=gpu | --partition=gpu,plain) ;;
    --partition=plain | --partition=brief) ;;
    --partition=*) reason="Invalid partition name specified" ;;
    --account=mine | --qos=normal | --constraint=ib) ;;
    --account=* | --qos=*) reason="Invalid account or qos" ;;
    --constraint=*) reason="Invalid feature specification" ;;
    --gres=gpu:h100:[1-8] | --gpus=h100:[1-8] | --gres=gpu:[1-8]) ;;
    --gres=* | --gpus=*) reason="Requested node configuration is not available" ;;
    --mem=1024001) reason="Memory specification can not be satisfied" ;;
    esac
done
[ -z "$reason" ] && exit 0
echo "sbatch: error: this and that" >&2
echo "allocation failure: $reason" >&2
exit 1
"""


@pytest.fixture
def slurm(monkeypatch, tmp_path):
    """A `sinfo` and an `sbatch` on PATH; a function that replaces or adds a program there."""

    def make(name, text):
        program = tmp_path / "bin" / name
        program.parent.mkdir(exist_ok=True)
        program.write_text(text)
        program.chmod(0o755)

    make("sinfo", SINFO)
    make("sbatch", SBATCH.format(asked=tmp_path / "asked"))
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    make("scontrol", "#!/bin/sh\nexit 1\n")
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
    return [str(found) for found in examine([("slurm", lambda: check_slurm(folder, **options))])]


def test_without_sbatch_there_is_no_cluster(monkeypatch, profile):
    monkeypatch.setenv("PATH", "/nonexistent")
    assert lines(profile()) == ["skip slurm      no sbatch on PATH: no Slurm cluster"]


def test_a_profile_that_fits_is_fine_and_no_job_is_submitted(slurm, profile, tmp_path):
    everything = {"slurm_account": "mine", "qos": "normal", "constraint": "ib"}
    assert lines(profile(**everything, max_mem_mb=1024000), gpus=2) == [
        "ok   slurm      partitions cpu and gpu, GPUs of type h100"
    ]
    shared = "--test-only --nodes=1 --time=1 --account=mine"
    assert (tmp_path / "asked").read_text().splitlines() == [
        f"{shared} --partition=cpu --qos=normal --constraint=ib --wrap=true",
        f"{shared} --partition=gpu --qos=normal --constraint=ib --mem=1024000 --gres=gpu:h100:2"
        " --wrap=true",
    ]


def test_a_profile_that_asks_with_gpus_is_asked_for_with_gpus(slurm, profile, tmp_path):
    assert lines(profile(gpu_request="gpus"), gpus=2)[0].startswith("ok")
    assert "--partition=gpu --gpus=h100:2 --wrap" in (tmp_path / "asked").read_text()
    assert lines(profile(gpu_request="gpus", gpu_type="h200"))[0].startswith("FAIL")


@pytest.mark.parametrize(
    ("changes", "fault", "remedy"),
    [
        (
            {"slurm_partition": "compute"},
            "--partition=compute (allocation failure: Invalid partition name specified).",
            "Set slurm_partition in",
        ),
        (
            {"gpu_partition": "gpus"},
            "--partition=gpus --gres=gpu:h100:1 (allocation failure: Invalid partition name",
            "Set gpu_partition in",
        ),
        ({"gpu_partition": "gpu,long"}, "--partition=gpu,long --gres", "Set gpu_partition in"),
        (
            {"gpu_type": "h200"},
            "--gres=gpu:h200:1 (allocation failure: Requested node configuration is not available",
            "Set gpu_type (or `resources.gpus` of the model) in",
        ),
        ({"slurm_account": "theirs"}, "--account=theirs --partition=gpu", "Set slurm_account in"),
        ({"gpu_qos": "night"}, "--qos=night", "Set gpu_qos in"),
        ({"gpu_constraint": "nvlink"}, "Invalid feature specification", "Set gpu_constraint in"),
        (
            {"gpu_partition": "gpus", "gpu_type": "h200"},
            "--partition=gpus --gres=gpu:h200:1 (allocation failure: Requested node",
            "Set gpu_partition or gpu_type (or `resources.gpus` of the model) in",
        ),
        (
            {"max_mem_mb": 1024001},
            "--mem=1024001 --gres=gpu:h100:1 (allocation failure: Memory specification",
            "Set max_mem_mb in",
        ),
        (
            {"max_runtime": 1441},
            "max_runtime is 1441 minutes, the partition 'gpu' allows 1440",
            "Set max_runtime to 1440, or gpu_partition to a longer partition",
        ),
        (
            {"slurm_partition": "brief"},
            "the time for realigning and scoring is 120 minutes, the partition 'brief' allows 30",
            "Set slurm_partition to a longer partition",
        ),
        (
            {"gpu_partition": None},
            "found no gpu_partition; expected the cluster's partition",
            "Name it there",
        ),
        ({"gpu_type": "any"}, "found any, which Python evaluates", "Write gpu_type: \"'any'\""),
    ],
)
def test_what_the_cluster_has_not_fails(slurm, profile, changes, fault, remedy):
    line = lines(profile(**changes))[-1]
    assert line.startswith("FAIL slurm")
    assert fault in line
    assert remedy in line


@pytest.mark.parametrize(
    "changes",
    [
        {"gpu_type": ANY},
        {"gpu_type": None},
        {"gpu_partition": "plain", "gpu_type": ANY, "max_runtime": 100_000},
        {"max_runtime": None},
        {"max_runtime": "null"},
        {"gpu_partition": "gpu,plain", "max_runtime": 100_000},
        {"gpu_partition": "\"'gpu'\""},
    ],
)
def test_any_gpu_and_any_time_fit(slurm, profile, changes):
    (line,) = lines(profile(**changes))
    assert line.startswith("ok")


def test_two_faults_are_two_lines(slurm, profile):
    assert [line[:4] for line in lines(profile(slurm_partition="x", gpu_type="y"))] == [
        "FAIL",
        "FAIL",
    ]


def test_nodes_with_fewer_gpus_than_a_model_takes_are_told(slurm, profile):
    assert lines(profile(), gpus=8)[0].startswith("ok")
    (line,) = lines(profile(), gpus=9)
    assert "--gres=gpu:h100:9 (allocation failure: Requested node configuration is not" in line


def test_resources_may_stand_as_a_list(slurm, tmp_path):
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
def test_a_slurm_that_forgets_what_ended_is_told(slurm, profile, storage, age, told):
    slurm(
        "scontrol",
        f"#!/bin/sh\necho 'AccountingStorageType   = {storage}\nMinJobAge               = {age}'\n",
    )
    assert any("Slurm forgets jobs" in line for line in lines(profile())) == told


def test_a_cluster_that_does_not_answer_is_told(slurm, profile):
    slurm("sinfo", "#!/bin/sh\necho 'one\nsinfo: fatal: no controller' >&2\nexit 1\n")
    (line,) = lines(profile())
    assert line.startswith("FAIL slurm      sinfo: found sinfo: fatal: no controller; expected an")
    assert "SLURM_CONF" in line


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("30:00", 30),
        ("2:05:00", 125),
        ("12:00:00", 720),
        ("1-00:00:00", 1440),
        ("7-12:30:00", 10830),
        ("infinite", math.inf),
    ],
)
def test_times_are_read_as_slurm_writes_them(text, expected):
    assert minutes(text) == expected


def test_the_project_s_own_profile_names_partitions(slurm):
    slurm("sinfo", "#!/bin/sh\necho infinite\n")
    (line,) = lines(REPOSITORY / "profiles" / "slurm")
    assert line.startswith("ok")
