"""Environment files: conda's pins are those of pip, what the container copies is there; make keeps its choice."""

import os
import re
import shutil
import subprocess
import time
from pathlib import Path

import pytest
import yaml

from tests.conftest import REPOSITORY

ENVS = REPOSITORY / "envs"


def pins(name: str) -> set[str]:
    """What a requirements file pins, and what the files pin that it includes."""
    found: set[str] = set()
    for line in (ENVS / name).read_text(encoding="utf-8").splitlines():
        if line.startswith("-r "):
            found |= pins(line.removeprefix("-r ").strip())
        elif line and not line.startswith("#"):
            found.add(line)
    return found


@pytest.mark.parametrize("name", ["cpu", "gpu"])
def test_conda_installs_what_pip_installs(name):
    environment = yaml.safe_load((ENVS / f"{name}.yaml").read_text(encoding="utf-8"))
    python, pip, listed = environment["dependencies"]
    assert (python, pip) == ("python=3.11", "pip")
    difference = set(listed["pip"]) ^ pins(f"{name}.txt")
    assert not difference, f"write the same into envs/{name}.txt and envs/{name}.yaml: {sorted(difference)}"
    assert listed["pip"] == sorted(listed["pip"], key=str.lower)
    assert all(re.fullmatch(r"[\w.-]+==[\w.]+", pin) for pin in listed["pip"]), "nothing that leads to another file"


def test_the_container_is_made_of_what_is_in_the_repository():
    text = (ENVS / "bioner.def").read_text(encoding="utf-8")
    parts = dict(re.findall(r"^%(\w+)\n(.*?)(?=^%|\Z)", text, flags=re.DOTALL | re.MULTILINE))
    copied = [line.split() for line in parts["files"].splitlines() if line.strip()]
    for source, target in copied:
        assert (REPOSITORY / source).exists()
        assert target == f"/opt/bioner-bench/{source}"
    project = (REPOSITORY / "pyproject.toml").read_text(encoding="utf-8")
    needed = {"Snakefile", "src", "envs", "config", "workflow", "resources", "pyproject.toml"}
    assert needed | set(re.findall(r'"?(README\.md|LICENSE)"', project)) <= {source for source, _ in copied}
    for name in ("post", "runscript", "test"):
        subprocess.run(["sh", "-n"], input=parts[name], text=True, check=True)


def test_the_modules_example_is_a_script():
    subprocess.run(["bash", "-n", ENVS / "modules.sh"], check=True)


def make(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """A dry run of make in a copy of the Makefile and the files that it looks at."""
    # Under `make test` these would hand that make's own options and variables down.
    clean = {name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL")}
    command = ["make", "-n", "PYTHON=python", *arguments]
    return subprocess.run(command, cwd=folder, env=clean | environment, capture_output=True, text=True, check=False)


def planned(folder: Path, *arguments: str, **environment: str) -> str:
    """What make would do."""
    done = make(folder, *arguments, **environment)
    assert done.returncode == 0, done.stderr
    return done.stdout


def made(text: str) -> str | None:
    """Which environment is made, if any."""
    found = re.search(r"--requirement envs/(cpu|gpu)\.txt", text)
    assert bool(found) == ("-m venv --clear" in text)
    return found[1] if found else None


@pytest.fixture
def checkout(tmp_path) -> Path:
    """Makefile and pins, all from an hour ago."""
    (tmp_path / "envs").mkdir()
    for name in ("Makefile", "pyproject.toml", *(f"envs/{pins}.txt" for pins in ("cpu", "gpu", "tokenizers"))):
        shutil.copyfile(REPOSITORY / name, tmp_path / name)
        age(tmp_path / name, hours=1)
    return tmp_path


def age(path: Path, hours: float) -> None:
    then = time.time() - 3600 * hours
    os.utime(path, (then, then))


def venv(folder: Path, kind: str, ready: bool = True) -> None:
    """As make leaves an environment, or one that is not ready yet."""
    shutil.rmtree(folder / ".venv", ignore_errors=True)
    (folder / ".venv").mkdir()
    (folder / ".venv" / f".for-{kind}").touch()
    if ready:
        (folder / ".venv" / f".ready-{kind}").touch()


def test_without_an_environment_the_cpu_s_is_made_unless_the_gpu_s_is_asked_for(checkout):
    assert made(planned(checkout, "demo")) == "cpu"
    assert made(planned(checkout, "env", "ENV=gpu")) == "gpu"
    plan = planned(checkout, "env", "ENV=gpu")
    assert plan.index("venv --clear") < plan.index("touch .venv/.for-gpu") < plan.index("pip install")
    assert plan.rstrip().endswith("touch .venv/.ready-gpu")


@pytest.mark.parametrize(("kind", "other"), [("cpu", "gpu"), ("gpu", "cpu")])
def test_an_environment_stays_what_it_is_until_another_is_asked_for(checkout, kind, other):
    venv(checkout, kind)
    for arguments in (["env"], ["test"], ["env", f"ENV={kind}"]):
        assert made(planned(checkout, *arguments)) is None
    assert made(planned(checkout, "env", f"ENV={other}")) == other
    age(checkout / "envs" / "cpu.txt", hours=-1)  # newer pins, of which the GPU's are made, too
    assert made(planned(checkout, "demo")) == kind
    venv(checkout, kind, ready=False)
    assert made(planned(checkout, "demo")) == kind, "its making was cut short"


def test_a_shell_s_own_variable_env_is_none_of_make_s(checkout):
    assert made(planned(checkout, "env", ENV="/usr/share/modules/init/profile.sh")) == "cpu"
    venv(checkout, "gpu")
    assert made(planned(checkout, "env", ENV="cpu")) is None


def test_an_environment_that_there_is_not_is_refused(checkout):
    done = make(checkout, "env", "ENV=cuda")
    assert done.returncode == 2
    assert 'ENV is "cuda": say cpu or gpu' in done.stderr
