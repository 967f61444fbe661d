"""envs/build.py: an environment's name says what it is made of; what is refused; what is cleaned;
what pip is told.
"""

import errno
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from tests.conftest import REPOSITORY
from tests.unit.build_without_pip import fill, load

BASE = Path(sys.executable).resolve()
DAY = 86400


@pytest.fixture
def checkout(tmp_path) -> Path:
    folder = tmp_path / "checkout"
    (folder / "envs").mkdir(parents=True)
    shutil.copyfile(REPOSITORY / "envs/build.py", folder / "envs/build.py")
    (folder / "envs/cpu.txt").write_text(
        "# The pins.\nBig_Package==2.13.0\n\nother==1.0  # of another\n"
    )
    (folder / "envs/gpu.txt").write_text("-r cpu.txt\nlibrary==1.5\n")
    (folder / "envs/tokenizers.txt").write_text("words==3.0\n")
    (folder / "pyproject.toml").write_text(
        '[project]\nname = "bioner"\ndependencies = ["other"]\n\n[tool.ruff]\nline-length = 120\n'
    )
    return folder


@pytest.fixture
def build(checkout) -> ModuleType:
    return load(checkout)


def get_name(checkout: Path) -> str:
    """The name of the linked environment."""
    return (checkout / ".venv").readlink().name


def get_tree(folder: Path) -> dict[str, tuple[int, int]]:
    """Every file with what changes when it is written or replaced."""
    return {
        str(path): (path.lstat().st_mtime_ns, path.lstat().st_ino) for path in folder.rglob("*")
    }


def replace(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


# The name


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("envs/cpu.txt", "2.13.0", "2.14.0"),
        ("envs/gpu.txt", "1.5", "1.6"),
        ("envs/tokenizers.txt", "3.0", "3.1"),
        ("pyproject.toml", '"other"', '"other", "one-more"'),
    ],
)
def test_other_pins_and_dependencies_make_another_environment(build, checkout, file, old, new):
    build.main([], checkout)
    first = get_name(checkout)
    replace(checkout / file, old, new)
    build.main([], checkout)
    assert get_name(checkout) != first
    assert (checkout / ".venvs" / first / "bin/python").exists(), "it may be in use"


def test_another_python_makes_another_environment(build, checkout, monkeypatch):
    first = build.compute_digest(checkout, "cpu")
    monkeypatch.setattr(build, "VERSION", "3.11.99")
    assert build.compute_digest(checkout, "cpu") != first


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("envs/cpu.txt", "# The pins.", "# These are the pins."),
        ("envs/cpu.txt", "  # of another", ""),
        ("envs/gpu.txt", "library", "\n\nlibrary"),
        ("pyproject.toml", "120", "100"),
        ("pyproject.toml", "[project]", "# What it is.\n[project]"),
        ("envs/build.py", "import", "import"),  # touched
    ],
)
def test_comments_settings_of_tools_and_touched_files_build_nothing(
    build, checkout, file, old, new
):
    build.main([], checkout)
    first = get_name(checkout)
    replace(checkout / file, old, new)
    os.utime(checkout / "envs/cpu.txt")
    os.utime(checkout / "pyproject.toml")
    build.main([], checkout)
    assert (checkout / "installs").read_text().split() == [first]


def test_a_fragment_of_an_address_is_no_comment(build, tmp_path):
    (tmp_path / "pins.txt").write_text("one @ https://example.org/one.whl#sha256=ab  # why\n")
    assert build.read_requirements(tmp_path / "pins.txt") == [
        "one @ https://example.org/one.whl#sha256=ab"
    ]


# cpu and gpu


def test_an_environment_stays_what_it_is_until_another_is_asked_for(build, checkout, capsys):
    def provide(*arguments: str) -> str:
        assert build.main([*arguments], checkout) == 0
        return capsys.readouterr().err.splitlines()[-1].partition("(")[2]

    assert provide() == "cpu)."
    first = get_name(checkout)
    assert provide("gpu") == "gpu)."
    assert provide() == "gpu)."
    replace(checkout / "envs/cpu.txt", "2.13.0", "2.14.0")
    assert provide() == "gpu)."
    replace(checkout / "envs/cpu.txt", "2.14.0", "2.13.0")
    installed = (checkout / "installs").read_text()
    assert provide("cpu") == "cpu)."
    assert get_name(checkout) == first
    assert (checkout / "installs").read_text() == installed, "it was still there"


def test_an_environment_whose_folder_was_removed_is_built_again_as_what_it_was(build, checkout):
    build.main(["gpu"], checkout)
    name = get_name(checkout)
    shutil.rmtree(checkout / ".venvs" / name)
    assert build.main([], checkout) == 0
    assert get_name(checkout) == name
    assert build.get_kind(checkout) == "gpu"


def test_a_make_that_waited_takes_the_kind_that_was_built_meanwhile(build, checkout, monkeypatch):
    lock = build.lock

    def lock_after_another(*arguments):
        monkeypatch.setattr(build, "lock", lock)
        build.main(["gpu"], checkout)
        return lock(*arguments)

    monkeypatch.setattr(build, "lock", lock_after_another)
    build.main([], checkout)
    assert (checkout / "installs").read_text().split() == [get_name(checkout)]
    assert build.get_kind(checkout) == "gpu"


# What is refused, and what is used as it is


@pytest.fixture
def refuse(build, checkout, capsys) -> Callable[..., str]:
    """One line that says why there is no environment, which leaves everything as it was."""

    def run(*arguments: str) -> str:
        capsys.readouterr()
        before = get_tree(checkout.parent)
        assert build.main([*arguments], checkout) == 1
        (line,) = capsys.readouterr().err.splitlines()
        assert get_tree(checkout.parent) == before
        return line

    return run


def lay(checkout: Path, how: str) -> Path:
    """An environment that make did not build: in .venv itself, or linked from there."""
    folder = checkout / ".venv" if how == "folder" else checkout.parent / "elsewhere"
    fill(folder, BASE)
    if how == "link":
        (checkout / ".venv").symlink_to(folder)
    return folder


@pytest.mark.parametrize("how", ["folder", "link"])
def test_an_environment_that_make_did_not_build_is_used_and_never_changed(
    build, checkout, refuse, capsys, how
):
    folder = lay(checkout, how)
    before = get_tree(checkout.parent)
    assert build.main([], checkout) == 0
    assert get_tree(checkout.parent) == before
    assert capsys.readouterr().err.startswith("Using .venv as it is: make did not build it")
    assert refuse("gpu").startswith("ENV=gpu has no effect on .venv, which make did not build.")
    (folder / "bin/snakemake").unlink()
    assert refuse().startswith(".venv is not make's own, and has no bin/snakemake. Move it away")


def test_a_link_that_leads_nowhere_is_refused(checkout, refuse):
    (checkout / ".venv").symlink_to("/nowhere/.venv")
    assert "no bin/python and no bin/bioner" in refuse()


def test_an_environment_of_another_place_is_refused(build, checkout, refuse):
    """Its commands would run those of the other place."""
    build.main([], checkout)
    marker = checkout / ".venv/.complete"
    marker.write_text(json.dumps(json.loads(marker.read_text()) | {"repository": "/elsewhere"}))
    line = refuse()
    assert "for /elsewhere" in line
    assert f"(rm -r .venvs/{get_name(checkout)})" in line


def test_another_path_to_the_same_place_is_no_other_place(build, checkout, tmp_path):
    build.main([], checkout)
    (tmp_path / "mount").symlink_to(checkout)
    assert build.main([], tmp_path / "mount") == 0
    assert len((checkout / "installs").read_text().split()) == 1


def test_an_environment_whose_python_is_gone_is_refused(build, checkout, refuse):
    build.main([], checkout)
    (checkout / ".venv/bin/python").unlink()
    (checkout / ".venv/bin/python").symlink_to("/opt/module/bin/python3.11")
    assert "links to a Python that is not here. Load the module that has it." in refuse()


def test_an_older_python_is_refused(refuse, monkeypatch):
    monkeypatch.setattr(sys, "version_info", (3, 10, 1))
    assert "make PYTHON=/path/to/python3.11" in refuse()


def test_a_python_without_venv_is_refused(build, checkout, capsys, monkeypatch):
    monkeypatch.setattr(build.importlib.util, "find_spec", lambda name: None)
    assert build.main([], checkout) == 1
    assert capsys.readouterr().err.endswith(
        "cannot make virtual environments: install python3-venv.\n"
    )
    assert not (checkout / ".venv").exists()


@pytest.fixture
def read_only(checkout, monkeypatch) -> Callable[[], None]:
    """Turns the file system read-only, for root too."""

    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(checkout))

    def turn() -> None:
        for name in ("mkdir", "open", "utime", "symlink", "replace", "unlink", "rename"):
            monkeypatch.setattr(os, name, refuse)

    return turn


def test_a_read_only_checkout_serves_what_it_has_and_says_what_it_lacks(
    build, checkout, refuse, read_only
):
    build.main([], checkout)
    age(checkout / ".venv/.complete", days=40)  # its use would be noted
    read_only()
    assert build.main([], checkout) == 0
    assert refuse("gpu").endswith("cannot be written: Read-only file system.")


# Building


def test_a_failed_build_shows_what_failed_and_leaves_the_link(build, checkout, capfd):
    build.main([], checkout)
    first = get_name(checkout)
    replace(checkout / "envs/cpu.txt", "2.13.0", "9.9")
    (checkout / "during").write_text("echo no such version; echo of Big_Package >&2; exit 3\n")
    assert build.main([], checkout) == 1
    *said, last = capfd.readouterr().err.splitlines()
    assert said[-2:] == ["no such version", "of Big_Package"]
    assert last.startswith("This failed (exit status 3): sh ")
    assert get_name(checkout) == first
    (checkout / "during").unlink()
    assert build.main([], checkout) == 0
    assert get_name(checkout) != first


def test_pins_that_change_while_they_are_installed_are_not_taken_for_the_former(
    build, checkout, capsys
):
    (checkout / "during").write_text(f"echo new==1.0 >> {checkout}/envs/cpu.txt\n")
    assert build.main([], checkout) == 1
    assert "changed while they were being installed: run make again" in capsys.readouterr().err
    assert not (checkout / ".venv").exists()
    (checkout / "during").unlink()
    assert build.main([], checkout) == 0


def test_an_environment_without_its_commands_is_not_complete(build, checkout, capsys):
    (checkout / "during").write_text('rm "$1/bin/bioner"\n')
    assert build.main([], checkout) == 1
    assert "was built without bin/bioner" in capsys.readouterr().err
    assert not (checkout / ".venv").exists()


def test_pip_is_told_the_pins_and_works_in_the_real_folder(build, checkout, monkeypatch, capsys):
    """Console scripts and `activate` name the folder by which Python was started."""
    folder, commands = checkout / ".venvs/one", []

    def record(command, log, descriptor, watch=None):
        log.parent.mkdir(parents=True, exist_ok=True)
        log.touch()
        commands.append(command)

    monkeypatch.setattr(build, "run", record)
    build.install_with_pip(checkout, folder, "gpu", 0)
    base, *others = [command[0] for command in commands]
    assert Path(base).resolve() == BASE
    assert set(others) == {str(folder / "bin/python")}
    assert commands[0][1:] == ["-I", "-m", "venv", "--without-pip", str(folder)]
    said = [" ".join(command) for command in commands[2:]]
    assert said[0].endswith(f"--requirement {checkout}/envs/gpu.txt")
    assert f"--dest {folder}/tokenizers --requirement {checkout}/envs/tokenizers.txt" in said[1]
    assert said[2].endswith(f"install --no-deps --no-build-isolation --editable {checkout}")
    assert "2/4 Installing 3 pinned packages" in capsys.readouterr().err


def test_commands_do_not_see_variables_of_another_environment(build, tmp_path, monkeypatch):
    for name in build.MISLEADING:
        monkeypatch.setenv(name, "elsewhere")
    descriptor = os.open(tmp_path, os.O_RDONLY)
    try:
        build.run(["env"], tmp_path / "log", descriptor)
    finally:
        os.close(descriptor)
    assert "elsewhere" not in (tmp_path / "log").read_text()


def test_how_far_pip_is(build, tmp_path, capsys, monkeypatch):
    log = tmp_path / "log"
    log.write_text("Installing collected packages: setuptools, pip\n")
    packages = tmp_path / "lib/python3.11/site-packages"
    (packages / "pip-24.dist-info").mkdir(parents=True)
    progress = build.Progress(tmp_path, log, 30)
    with log.open("a") as file:
        file.write(
            "".join(f"Collecting one{number}==1.0\n  Downloading one\n" for number in range(9))
        )
    progress.show()
    assert capsys.readouterr().err == ""
    with log.open("a") as file:
        file.write("Processing /wheels/two.whl\n")
    progress.show()
    progress.show()
    assert capsys.readouterr().err == "    10 of 30 downloaded (0 s)\n"
    with log.open("a") as file:
        file.write("Installing collected packages: one0, one1\n")
    for number in range(20):
        (packages / f"one{number}-1.dist-info").mkdir()
    progress.show()
    assert capsys.readouterr().err == "    20 of 30 installed (0 s)\n"
    now = time.monotonic()
    monkeypatch.setattr(build.time, "monotonic", lambda: now + 31)
    progress.show()
    assert capsys.readouterr().err.startswith("    20 of 30 installed (3"), "that it still runs"


BACKEND = """
import os
from zipfile import ZipFile

def write_wheel(folder, name, command, lines):
    with ZipFile(f"{folder}/{name}-1.0-py3-none-any.whl", "w") as wheel:
        about = f"{name}-1.0.dist-info"
        for path, text in {
            **lines,
            f"{about}/METADATA": f"Metadata-Version: 2.1\\nName: {name}\\nVersion: 1.0\\n",
            f"{about}/WHEEL": "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n",
            f"{about}/entry_points.txt": f"[console_scripts]\\n{command} = {name}:main\\n",
            f"{about}/RECORD": "",
        }.items():
            wheel.writestr(path, text)
    return f"{name}-1.0-py3-none-any.whl"

def build_editable(folder, *_):
    return write_wheel(folder, "bioner", "bioner", {"bioner.pth": os.path.abspath("src")})
"""


@pytest.mark.slow
def test_a_real_build_leads_to_the_real_folder(checkout, tmp_path):
    """With pip and wheels made here, so that no network is needed."""
    exec(BACKEND, made := {})
    tells = "import sys\ndef main(): print(sys.executable, sys.prefix)\n"
    for name, command in (("tiny", "snakemake"), ("words", "unused")):
        made["write_wheel"](tmp_path, name, command, {f"{name}.py": tells})
    (checkout / "envs/cpu.txt").write_text("tiny==1.0\n")
    (checkout / "envs/tokenizers.txt").write_text("words==1.0\n")
    (checkout / "backend.py").write_text(BACKEND)
    (checkout / "src").mkdir()
    (checkout / "src/bioner.py").write_text(tells)
    (checkout / "pyproject.toml").write_text(
        '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
        '[project]\nname = "bioner"\nversion = "1.0"\n'
    )
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    environment |= {
        "PIP_CONFIG_FILE": os.devnull,
        "PIP_NO_INDEX": "1",
        "PIP_FIND_LINKS": str(tmp_path),
    }
    command = [sys.executable, "-IS", str(checkout / "envs/build.py")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert [line[:3] for line in done.stderr.splitlines() if "/4 " in line] == [
        "1/4",
        "2/4",
        "3/4",
        "4/4",
    ]
    folder = checkout.resolve() / ".venvs" / get_name(checkout)
    for name in ("snakemake", "bioner"):
        command = [checkout / ".venv/bin" / name]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        assert done.stdout == f"{folder}/bin/python {folder}\n"
    assert f'VIRTUAL_ENV="{folder}"' in (checkout / ".venv/bin/activate").read_text()
    assert [path.name for path in (folder / "tokenizers").iterdir()] == [
        "words-1.0-py3-none-any.whl"
    ]


# Cleaning


def age(path: Path, days: float) -> None:
    then = time.time() - DAY * days
    os.utime(path, (then, then), follow_symlinks=False)


@pytest.fixture
def environments(build, checkout) -> dict[str, Path]:
    """Four environments that were not used for long, of which the last is linked."""
    folders = {}
    for number in range(4):
        replace(checkout / "envs/tokenizers.txt", f"{3 + number}.0", f"{4 + number}.0")
        build.main([], checkout)
        folders[str(number)] = folder = checkout / ".venvs" / get_name(checkout)
        age(folder / ".complete", days=40)
        age(folder / "pyvenv.cfg", days=40)
    return folders


def test_environments_are_removed_that_are_neither_linked_nor_used(
    build, checkout, environments, capsys
):
    age(environments["1"] / ".complete", days=29)
    read, written = time.time() - 29 * DAY, time.time() - 40 * DAY
    os.utime(
        environments["2"] / "pyvenv.cfg", (read, written)
    )  # read by each Python that starts there
    (checkout / ".venvs/cut-short").mkdir()
    (checkout / ".venvs/cut-short-long-ago").mkdir()
    age(checkout / ".venvs/cut-short-long-ago", days=40)
    assert build.main(["--clean"], checkout) == 0
    left = {path.name for path in (checkout / ".venvs").glob("[!.]*")}
    assert left == {*(environments[number].name for number in "123"), "cut-short"}
    lines = {line.split()[0]: line for line in capsys.readouterr().out.splitlines()}
    assert len(lines) == 6
    assert lines[f".venvs/{environments['0'].name}"].endswith("  removed")
    assert lines[f".venvs/{environments['1'].name}"].endswith("  kept: used in the last 30 days")
    assert "  cpu  last used 20" in lines[f".venvs/{environments['3'].name}"]
    assert lines[f".venvs/{environments['3'].name}"].endswith("  kept: .venv links to it")
    assert "  incomplete  " in lines[".venvs/cut-short"]


def test_a_removal_that_is_cut_short_leaves_nothing_that_looks_complete(
    build, checkout, environments, monkeypatch
):
    def fail(path):
        raise OSError(errno.EBUSY, os.strerror(errno.EBUSY), str(path))

    monkeypatch.setattr(build.shutil, "rmtree", fail)
    assert build.main(["--clean"], checkout) == 1
    assert not (environments["0"] / ".complete").exists()


def test_using_an_environment_is_noted_once_a_day(build, checkout):
    build.main([], checkout)
    marker = checkout / ".venv/.complete"
    age(marker, days=2)
    build.main([], checkout)
    noted = marker.stat().st_mtime_ns
    assert time.time() - noted / 1e9 < DAY
    build.main([], checkout)
    assert marker.stat().st_mtime_ns == noted


def test_without_environments_there_is_nothing_to_clean(build, checkout, capsys):
    assert build.main(["--clean"], checkout) == 0
    assert capsys.readouterr().out == "No environments in .venvs.\n"
    assert not (checkout / ".venvs").exists()
