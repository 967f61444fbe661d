"""Python and the packages, against those that envs/ pins."""

import platform
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from packaging.requirements import Requirement

from bioner.ops.doctor.report import Finding, fail, ok
from bioner.settings.config import REPOSITORY
from bioner.settings.yaml_files import read_yaml

ENVS = REPOSITORY / "envs"
NAMED = 4  # deviating packages named in the report
GPU_MARK = "nvidia-ml-py"  # in gpu.txt, and nothing of cpu.txt asks for it


def check_python() -> Iterator[Finding]:
    """This Python is of the version that the environments are made for."""
    wanted = next(
        text
        for text in read_yaml(ENVS / "cpu.yaml")["dependencies"]
        if str(text).startswith("python=")
    )
    wanted = wanted.partition("=")[2]
    found = platform.python_version()
    if found.split(".")[:2] != wanted.split(".")[:2]:
        remedy = f"`make env PYTHON=…` with a Python {wanted}."
        yield fail("python", f"{found} in {sys.prefix}, {wanted} is pinned", remedy)
    else:
        yield ok("python", f"{found} on {platform.node()}")


def check_packages(gpu: bool) -> Iterator[Finding]:
    """Every pinned package is installed in the version pinned, for a machine with GPUs or
    without.
    """
    name = "gpu" if gpu or _installed(GPU_MARK) else "cpu"
    pinned = pins(ENVS / f"{name}.txt")
    wrong = [found for requirement in pinned if (found := _deviation(requirement))]
    if not wrong:
        yield ok(
            "packages", f"{len(pinned)} as envs/{name}.txt pins them, torch {_installed('torch')}"
        )
        return
    rest = f" and {len(wrong) - NAMED} others" if len(wrong) > NAMED else ""
    found = f"not as envs/{name}.txt pins them: {', '.join(wrong[:NAMED])}{rest}"
    command = f"make env{' ENV=gpu' if name == 'gpu' else ''}"
    # One whose packages were changed by hand keeps the name of its pins.
    remedy = (
        f"`{command}` builds it; if that finds nothing to do, first remove the folder that .venv"
        " links to."
    )
    yield fail("packages", found, remedy)


def pins(path: Path) -> list[Requirement]:
    """The requirements of a file that hold for this machine, and those of the files it names with
    `-r`.
    """
    found = []
    for line in path.read_text(encoding="utf-8").splitlines():
        text = line.partition("#")[0].strip()
        if text.startswith("-r "):
            found += pins(path.parent / text.removeprefix("-r ").strip())
        elif text and (
            (requirement := Requirement(text)).marker is None or requirement.marker.evaluate()
        ):
            found.append(requirement)
    return found


def _deviation(pinned: Requirement) -> str | None:
    """What is wrong with an installed package; a build's own mark (2.13.0+cu130) is not."""
    found = _installed(pinned.name)
    if found is None:
        return f"no {pinned.name}"
    return None if pinned.specifier.contains(found) else f"{pinned.name} {found}"


def _installed(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
