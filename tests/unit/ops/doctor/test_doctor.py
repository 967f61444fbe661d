"""`bioner doctor` as it is called: a line a check, exit code 1 where one fails, 2 for bad input."""

import os
import subprocess
import sys

import huggingface_hub.constants
import pytest
from typer.testing import CliRunner

from bioner.cli import app
from bioner.errors import InputError
from bioner.ops.doctor import checks
from bioner.ops.doctor.report import fail, ok
from tests.unit.ops.doctor.test_cache import COMMIT, make_model

LIGHT = (
    "check_driver",
    "check_gpus",
    "check_nf4",
    "check_allreduce",
    "check_slurm",
)  # all but these run as they are


@pytest.fixture
def machine(monkeypatch, tmp_path):
    """A machine whose slow checks are well, with room everywhere and an empty cache; returns its
    `config`.
    """
    for name in LIGHT:
        monkeypatch.setattr(
            checks, name, lambda *_, name=name: [ok(name.removeprefix("check_"), "fine")]
        )
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))

    def check_space(path, least, setting, made=True):
        return [ok("space", f"{setting} {least:.1f}")]

    monkeypatch.setattr(checks, "check_space", check_space)
    monkeypatch.setattr(checks, "check_packages", lambda gpu: [ok("packages", f"gpu {gpu}")])
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)

    def config(text):
        (tmp_path / "run.yaml").write_text(f"{text}\nout: {tmp_path}\n")
        return tmp_path / "run.yaml"

    return config


def doctor(*arguments):
    return CliRunner().invoke(app, ["doctor", *map(str, arguments)])


def test_a_machine_that_has_all_ends_well(machine):
    done = doctor("--config", machine("models: [oracle, bert-mini]"))
    assert done.exit_code == 0, done.output
    states = [line.split()[:2] for line in done.stdout.splitlines()]
    assert [name for _, name in states] == [
        *("python", "packages", "driver", "gpus", "nf4", "allreduce", "snapshot", "access"),
        *("space", "space", "space", "locks", "rename", "slurm"),
    ]
    assert {state for state, _ in states} == {"ok", "skip"}


def test_a_model_that_is_not_at_hand_fails(machine):
    done = doctor("--config", machine("models: [bert-small]"))
    assert done.exit_code == 1
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("FAIL")]
    assert "google/bert_uncased_L-4_H-512_A-8 (bert-small): not in the cache" in line


def test_a_check_that_breaks_is_a_line_like_others(machine, monkeypatch):
    def broken():
        raise ImportError("libcudart.so.13: cannot open shared object file")

    monkeypatch.setattr(checks, "check_nf4", broken)
    done = doctor("--config", machine("models: [oracle]"))
    assert done.exit_code == 1
    assert "FAIL nf4        ImportError: libcudart.so.13: cannot open" in done.stdout
    assert done.stdout.splitlines()[-1] == "ok   slurm      fine"
    assert "Traceback" not in done.output


def test_gpus_asked_for_reach_their_checks(machine, monkeypatch):
    monkeypatch.setattr(
        checks, "check_gpus", lambda asked, bf16: [fail("gpus", f"{asked} {bf16}", "")]
    )
    models = "models: [bert-small, bert-mini]"  # the second is in fp32
    assert (
        "FAIL gpus       2 ['bert-small']"
        in doctor("--gpus", 2, "--config", machine(models)).stdout
    )
    assert "ok   packages   gpu True" in doctor("--gpus", 2, "--config", machine(models)).stdout


def test_the_environment_is_that_for_gpus_where_there_are_some(machine, monkeypatch):
    monkeypatch.setattr(checks, "gpus_here", lambda: 0)
    assert "packages   gpu False" in doctor("--config", machine("models: [oracle]")).stdout
    monkeypatch.setattr(checks, "gpus_here", lambda: 1)
    assert "packages   gpu True" in doctor("--config", machine("models: [oracle]")).stdout


def test_out_is_the_configuration_s_or_the_option_s(machine, tmp_path):
    config = machine("models: [oracle]")
    assert f"a lock in {tmp_path} keeps" in doctor("--config", config).stdout
    assert (
        f"a lock in {tmp_path / 'other'} keeps"
        in doctor("--config", config, "--out", tmp_path / "other").stdout
    )
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize(("model", "least"), [("mistral-7b", 13.5), ("bert-small", 1.0)])
def test_the_cache_has_room_for_what_is_yet_to_be_fetched(machine, monkeypatch, model, least):
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(checks, "check_access", lambda found, offline: [])
    config = machine(f"models: [{model}]")
    assert f"ok   space      HF_HOME {least}\n" in doctor("--config", config).stdout
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    assert "skip space      HF_HOME: offline" in doctor("--config", config).stdout


def test_the_cache_needs_no_room_for_what_is_there(machine, tmp_path):
    repository = tmp_path / "hub" / "models--a--b"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text(COMMIT)
    make_model(repository / "snapshots" / COMMIT)
    found = [checks.Source("a/b", "main", ("mine",), 20.0)]
    others = [checks.Source(name, "main", ("other",), 1.0) for name in ("c/d", "e/f")]
    assert (
        str(next(checks.check_cache([*found, *others], offline=False)))
        == "ok   space      HF_HOME 1.9"
    )
    assert (
        str(next(checks.check_cache(found, offline=False)))
        == "skip space      HF_HOME: nothing is to be downloaded"
    )


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--profile", "/nowhere"], "--profile"),
        (["--out", __file__], "a file"),
        (["--config", "/nowhere.yaml"], "no such file"),
    ],
)
def test_bad_options_are_no_matter_of_the_machine(machine, options, told):
    done = doctor("--config", machine("models: [oracle]"), *options)
    assert isinstance(done.exception, InputError)
    assert told in str(done.exception)


def test_a_model_that_nobody_knows_is_bad_input(machine):
    assert "unknown model 'bert-smal'" in str(
        doctor("--config", machine("models: [bert-smal]")).exception
    )


@pytest.mark.parametrize(
    ("options", "text", "job", "offline"),
    [
        ([], "", None, None),
        (["--offline"], "", None, "1"),
        ([], "offline: true", None, "1"),
        ([], "", "7", "1"),
        ([], "offline: false", "7", None),
    ],
)
def test_in_a_job_only_the_cache_is_read(machine, monkeypatch, options, text, job, offline):
    monkeypatch.delenv("HF_HUB_OFFLINE")
    if job:
        monkeypatch.setenv("SLURM_JOB_ID", job)
    seen = []
    monkeypatch.setattr(
        checks, "check_nf4", lambda: seen.append(os.environ.get("HF_HUB_OFFLINE")) or []
    )
    done = doctor("--config", machine(f"models: [oracle]\nhf_home: /elsewhere\n{text}"), *options)
    assert done.exit_code == 0, done.output
    assert seen == [offline]
    assert os.environ["HF_HOME"] == "/elsewhere"


def test_no_heavy_library_is_loaded_before_it_is_needed():
    heavy = "{'torch', 'transformers', 'huggingface_hub', 'bitsandbytes'}"
    code = (
        f"import sys, bioner.cli, bioner.ops.doctor.checks; sys.exit(str({heavy} & set(sys.modules)"
        " or 0))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stderr.strip() in ("", "0"), done.stderr
