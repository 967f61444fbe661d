"""Environment files: conda's pins are those of pip, and what the container copies is there."""

import re
import subprocess

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
