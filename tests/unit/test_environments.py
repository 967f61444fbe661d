"""Environment files: conda's pins are those of pip, what the container copies is there. And what
make does.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml

from tests.conftest import REPOSITORY
from tests.unit.build_without_pip import fill

ENVS = REPOSITORY / "envs"
BUILD = Path(__file__).parent / "build_without_pip.py"
WITHOUT_PIP = f"PYTHON={sys.executable} {BUILD}"
# A script for build_without_pip: it says who runs it, and goes on when it may.
HELD = (
    "echo $PPID > pid; mv pid started; while [ ! -e go ]; do sleep 0.05; done; touch"
    ' "$1/written-by-$PPID"\n'
)


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
    assert not difference, (
        f"write the same into envs/{name}.txt and envs/{name}.yaml: {sorted(difference)}"
    )
    assert listed["pip"] == sorted(listed["pip"], key=str.lower)
    assert all(re.fullmatch(r"[\w.-]+==[\w.]+", pin) for pin in listed["pip"]), (
        "nothing that leads to another file"
    )


def test_the_container_is_made_of_what_is_in_the_repository():
    text = (ENVS / "bioner.def").read_text(encoding="utf-8")
    parts = dict(re.findall(r"^%(\w+)\n(.*?)(?=^%|\Z)", text, flags=re.DOTALL | re.MULTILINE))
    copied = [line.split() for line in parts["files"].splitlines() if line.strip()]
    for source, target in copied:
        assert (REPOSITORY / source).exists()
        assert target == f"/opt/bioner-bench/{source}"
    project = (REPOSITORY / "pyproject.toml").read_text(encoding="utf-8")
    needed = {"Snakefile", "src", "envs", "config", "workflow", "resources", "pyproject.toml"}
    assert needed | set(re.findall(r'"?(README\.md|LICENSE)"', project)) <= {
        source for source, _ in copied
    }
    for name in ("post", "runscript", "test"):
        subprocess.run(["sh", "-n"], input=parts[name], text=True, check=True)


def test_the_modules_example_is_a_script():
    subprocess.run(["bash", "-n", ENVS / "modules.sh"], check=True)


def prepare(**environment: str) -> dict[str, str]:
    """The variables for a make: under `make test`, that make's own options and variables would be
    handed down.
    """
    dropped = ("MAKEFLAGS", "MFLAGS", "MAKELEVEL", "MAKEOVERRIDES", "ENV", "PYTHON", "VIRTUAL_ENV")
    return {name: value for name, value in os.environ.items() if name not in dropped} | environment


def make(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run make; environments hold no packages."""
    command = ["make", WITHOUT_PIP, *arguments]
    variables = prepare(**environment)
    return subprocess.run(
        command, cwd=folder, env=variables, capture_output=True, text=True, check=False
    )


def planned(folder: Path, *arguments: str, **environment: str) -> str:
    """What make would do."""
    done = make(folder, "-n", *arguments, **environment)
    assert done.returncode == 0, done.stderr
    return done.stdout


def asked(text: str) -> str | None:
    """Which kind of environment build.py is asked for, if any."""
    (found,) = re.findall(r"-IS envs/build\.py ?(.*)$", text, flags=re.MULTILINE)
    return found or None


def until(done: Callable[[], object]) -> None:
    limit = time.monotonic() + 300
    while not done():
        assert time.monotonic() < limit
        time.sleep(0.02)


class Making:
    """A `make env` that runs."""

    def __init__(
        self, folder: Path, process: subprocess.Popen[bytes], log: Path, before: int
    ) -> None:
        self.folder = folder
        self.process = process
        self.log = log
        self.before = before

    def end(self) -> str:
        """Its output, once it has ended."""
        self.process.wait(300)
        return self.log.read_text()

    def waits(self) -> bool:
        """Whether it waits for another; otherwise it installs, or has ended."""
        until(
            lambda: (
                "Waiting: another make" in self.log.read_text()
                or len(list_installs(self.folder)) > self.before
                or self.process.poll() is not None
            )
        )
        return "Waiting: another make" in self.log.read_text()


@contextmanager
def making(folder: Path, python: str = WITHOUT_PIP, **environment: str) -> Iterator[Making]:
    """Start a `make env` in a process group of its own, which is ended with the block."""
    log, before = folder.parent / f"log-{time.monotonic_ns()}", len(list_installs(folder))
    with log.open("wb") as output:
        process = subprocess.Popen(
            ["make", python, "env"],
            cwd=folder,
            env=prepare(**environment),
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        yield Making(folder, process, log, before)
    finally:
        (folder / "go").touch()  # an orphan ends, too
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@pytest.fixture
def checkout(tmp_path) -> Path:
    """What make needs of a repository."""
    folder = tmp_path / "a checkout"
    (folder / "envs").mkdir(parents=True)
    for name in (
        "Makefile",
        "pyproject.toml",
        *(f"envs/{path.name}" for path in ENVS.glob("*.txt")),
        "envs/build.py",
    ):
        shutil.copyfile(REPOSITORY / name, folder / name)
    return folder


def change_pins(folder: Path) -> None:
    with (folder / "envs/cpu.txt").open("a") as file:
        file.write("one-more==1.0\n")


def get_environment(folder: Path) -> str:
    """The name of the linked environment, which works."""
    name = (folder / ".venv").readlink()
    assert name.parent == Path(".venvs")
    python = folder / name / "bin/python"
    done = subprocess.run(
        [python, "-c", "import late; print(late.FOLDER)"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == name.name
    return name.name


def list_installs(folder: Path) -> list[str]:
    file = folder / "installs"
    return file.read_text().split() if file.exists() else []


def test_make_builds_an_environment_once_and_then_changes_nothing(checkout):
    done = make(checkout, "env")
    assert done.returncode == 0, done.stderr
    name = get_environment(checkout)
    before = {path: path.lstat().st_mtime_ns for path in checkout.rglob("*")}
    assert f"Using .venvs/{name} (cpu)." in make(checkout, "env").stderr
    assert {path: path.lstat().st_mtime_ns for path in checkout.rglob("*")} == before
    assert list_installs(checkout) == [name]


def test_every_target_that_uses_the_environment_provides_it_first(checkout):
    text = (checkout / "Makefile").read_text()
    targets = re.findall(r"^([\w-]+):[^=\n]*\n(?:\t.*\n)*?\t.*\$\(BIN\)", text, flags=re.MULTILINE)
    assert {"demo", "test"} <= set(targets)
    for target in targets:
        before, _, after = planned(checkout, target, "PYTHON=python").partition("-IS envs/build.py")
        assert ".venv/bin/" in after
        assert ".venv/bin/" not in before


def test_a_dry_run_builds_nothing(checkout):
    planned(checkout, "demo")
    assert not (checkout / ".venvs").exists()


def test_which_environment_is_said_to_make_and_not_to_the_shell(checkout):
    assert asked(planned(checkout, "demo")) is None
    assert asked(planned(checkout, "env", ENV="gpu")) is None
    assert asked(planned(checkout, "env", ENV="/usr/share/modules/init/profile.sh")) is None
    assert asked(planned(checkout, "env", "ENV=gpu")) == "gpu"
    assert asked(planned(checkout, "test", "ENV=cpu")) == "cpu"
    assert asked(planned(checkout, "clean-envs")) == "--clean"
    done = make(checkout, "env", "ENV=cuda")
    assert done.returncode == 2
    assert 'ENV is "cuda": say cpu or gpu' in done.stderr


def test_what_runs_keeps_its_environment_when_another_is_linked(checkout):
    (checkout / "benchmarks").mkdir()
    (checkout / "benchmarks/waits.py").write_text(
        "import sys, time\n"
        "from pathlib import Path\n"
        "Path('running').touch()\n"
        "while not Path('go').exists(): time.sleep(0.05)\n"
        "import late\n"
        "Path('found').write_text(f'{late.FOLDER} {Path(sys.executable).parents[1].name}')\n"
    )
    make(checkout, "env")
    first = get_environment(checkout)
    with subprocess.Popen(["make", WITHOUT_PIP, "bench"], cwd=checkout, env=prepare()) as bench:
        try:
            until((checkout / "running").exists)
            change_pins(checkout)
            make(checkout, "env")
        finally:
            (checkout / "go").touch()
        bench.wait(300)
    assert get_environment(checkout) != first
    assert (checkout / "found").read_text() == f"{first} {first}"


def activate(folder: Path) -> dict[str, str]:
    """The variables that an environment's `activate` sets."""
    real = folder.resolve()
    return {"VIRTUAL_ENV": str(real), "PATH": f"{real}/bin:{os.environ['PATH']}"}


@pytest.mark.parametrize("activated", [False, True])
def test_two_makes_at_once_build_one_environment(checkout, activated):
    make(checkout, "env")
    variables = activate(checkout / ".venv") if activated else {}
    python = f"PYTHON=.venv/bin/python {BUILD}" if activated else WITHOUT_PIP
    change_pins(checkout)
    (checkout / "during").write_text(HELD)
    with making(checkout, python, **variables) as first:
        until((checkout / "started").exists)
        with making(checkout, python, **variables) as second:
            assert second.waits()
            (checkout / "go").touch()
            for run in (first, second):
                said = run.end()
                assert run.process.returncode == 0, said
    name = get_environment(checkout)
    assert list_installs(checkout)[1:] == [name]
    base = (checkout / ".venvs" / name / "bin/python").readlink()
    assert base.resolve() == Path(sys.executable).resolve()
    assert not base.is_relative_to(checkout), "it would change or vanish with an environment"


@pytest.mark.parametrize("whole", [True, False], ids=["make and all it started", "build.py alone"])
def test_a_make_that_is_killed_leaves_the_environment_as_it_was(checkout, whole):
    make(checkout, "env")
    first = get_environment(checkout)
    change_pins(checkout)
    (checkout / "during").write_text(HELD)
    with making(checkout) as killed:
        until((checkout / "started").exists)
        builder = int((checkout / "started").read_text())
        os.killpg(killed.process.pid, signal.SIGKILL) if whole else os.kill(builder, signal.SIGKILL)
        killed.end()
        assert killed.process.returncode != 0
        assert get_environment(checkout) == first
        with making(checkout) as second:
            assert second.waits() == (not whole), (
                "for what build.py had started, which is still at work"
            )
            (checkout / "go").touch()
            said = second.end()
            assert second.process.returncode == 0, said
    name = get_environment(checkout)
    assert list_installs(checkout) == [first, name, name]
    (written,) = (checkout / ".venvs" / name).glob("written-by-*")
    assert written.name != f"written-by-{builder}"


def test_a_build_that_is_asked_to_end_ends_what_it_started(checkout):
    (checkout / "during").write_text(HELD)
    with making(checkout) as ended:
        until((checkout / "started").exists)
        os.kill(int((checkout / "started").read_text()), signal.SIGTERM)
        assert "Interrupted: .venv is as it was." in ended.end()
        assert not (checkout / ".venv").exists()
        with making(checkout) as second:
            assert not second.waits()
            (checkout / "go").touch()
            second.end()
    get_environment(checkout)


def test_an_environment_elsewhere_is_used_through_its_own_folder(checkout, tmp_path):
    """A clone that borrows the environment of another one, which may be switched meanwhile."""
    fill(tmp_path / "other/.venvs/theirs", Path(sys.executable).resolve())
    (tmp_path / "other/.venv").symlink_to(".venvs/theirs")
    (checkout / ".venv").symlink_to(tmp_path / "other/.venv")
    assert "Using .venv as it is" in make(checkout, "env").stderr
    assert f"{tmp_path}/other/.venvs/theirs/bin/python -m pytest" in planned(checkout, "test")


def test_make_takes_the_environment_s_python_and_else_one_on_the_path(checkout, tmp_path):
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in ("realpath", "touch"):
        (tools / name).symlink_to(shutil.which(name))

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [shutil.which("make"), *arguments]
        return subprocess.run(
            command,
            cwd=checkout,
            env=prepare(PATH=str(tools)),
            capture_output=True,
            text=True,
            check=False,
        )

    none = run("env")
    assert none.returncode == 2
    assert none.stderr.splitlines()[0].startswith("No Python 3.11 with venv on PATH")
    (tools / "python3").write_text("#!/bin/sh\nexit 1\n")  # too old, or without venv
    (tools / "python3").chmod(0o755)
    assert run("env").returncode == 2
    (tools / "python3").write_text("#!/bin/sh\n")
    assert "python3 -IS envs/build.py" in run("-n", "env").stdout
    fill(checkout / ".venv", Path(sys.executable).resolve())
    assert ".venv/bin/python -IS envs/build.py" in run("-n", "env").stdout
    (tools / "python3").unlink()
    assert "Using .venv as it is" in run("env").stderr


def test_git_ignores_environments(tmp_path):
    shutil.copyfile(REPOSITORY / ".gitignore", tmp_path / ".gitignore")
    subprocess.run(["git", "init", "--quiet"], cwd=tmp_path, check=True)
    (tmp_path / ".venvs/one").mkdir(parents=True)
    (tmp_path / ".venvs/one/file").touch()
    (tmp_path / ".venv").symlink_to(".venvs/one")
    found = subprocess.run(
        ["git", "status", "--short"], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert found.stdout.split() == ["??", ".gitignore"]
