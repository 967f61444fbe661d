"""What is installed against what envs/ pins."""

import platform
import sys

import pytest

from bioner.ops.doctor import versions


@pytest.fixture
def envs(tmp_path, monkeypatch):
    """Two pins, of which the second is for GPUs; and what is installed."""
    (tmp_path / "cpu.txt").write_text("# pins\nBig_Package==2.13.0\n\n")
    (tmp_path / "gpu.txt").write_text("-r cpu.txt\nnvidia-thing==1.5\n")
    (tmp_path / "cpu.yaml").write_text(
        "dependencies:\n  - python=3.11\n  - pip:\n      - -r cpu.txt\n"
    )
    monkeypatch.setattr(versions, "ENVS", tmp_path)
    installed = {"Big_Package": "2.13.0", "nvidia-thing": "1.5", "torch": "2.13.0"}
    monkeypatch.setattr(versions, "_installed", installed.get)
    return installed


def only(findings):
    (finding,) = findings
    return finding


def test_pins_are_the_lines_of_all_files(envs):
    assert [str(pin) for pin in versions.pins("cpu", "gpu")] == [
        "Big_Package==2.13.0",
        "nvidia-thing==1.5",
    ]


@pytest.mark.parametrize("found", ["2.13.0", "2.13.0+cu130", "2.13.0+cpu"])
def test_the_mark_of_a_build_is_no_other_version(envs, found):
    envs["Big_Package"] = found
    assert only(versions.check_packages(gpu=False)).state == "ok"


@pytest.mark.parametrize("found", ["2.13.1", "2.13.0rc1", "2.12"])
def test_another_version_is_named(envs, found):
    envs["Big_Package"] = found
    line = str(only(versions.check_packages(gpu=False)))
    assert line.startswith(
        f"FAIL packages   not as envs/cpu.txt pins them: Big_Package {found}. `make env`"
    )


def test_a_machine_with_gpus_needs_what_gpu_txt_pins(envs):
    del envs["nvidia-thing"]
    assert only(versions.check_packages(gpu=False)).state == "ok"
    line = str(only(versions.check_packages(gpu=True)))
    assert "not as envs/gpu.txt pins them: no nvidia-thing. `make env ENV=gpu`" in line


def test_the_environment_for_gpus_is_known_on_a_login_node_too(envs):
    envs[versions.GPU_MARK] = "13"
    assert "2 as envs/gpu.txt pins them" in only(versions.check_packages(gpu=False)).said


def test_of_many_deviations_some_are_named(envs, tmp_path):
    (tmp_path / "cpu.txt").write_text("".join(f"p{number}==1\n" for number in range(6)))
    assert (
        "no p0, no p1, no p2, no p3 and 2 others" in only(versions.check_packages(gpu=False)).said
    )


@pytest.mark.parametrize(
    ("version", "state"), [("3.11.2", "ok"), ("3.12.0", "FAIL"), ("3.1.1", "FAIL")]
)
def test_python_is_of_the_pinned_minor_version(envs, monkeypatch, version, state):
    monkeypatch.setattr(platform, "python_version", lambda: version)
    finding = only(versions.check_python())
    assert finding.state == state
    assert version in finding.said


def test_this_environment_s_own_pins_can_be_read():
    names = {pin.name for pin in versions.pins("cpu", "gpu")}
    assert {"torch", "transformers", versions.GPU_MARK} <= names
    assert versions.GPU_MARK not in {pin.name for pin in versions.pins("cpu")}
    assert only(versions.check_python()).state == (
        "ok" if sys.version_info[:2] == (3, 11) else "FAIL"
    )
