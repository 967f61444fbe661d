"""Python and the packages, against those that envs/ pins."""

import platform
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version

from packaging.requirements import Requirement

from bioner.ops.doctor.report import Finding, fail, ok
from bioner.settings.repository import REPOSITORY
from bioner.settings.yaml_files import read_yaml

ENVS = REPOSITORY / "envs"
NAMED = 4  # deviating packages named in the report
GPU_MARK = "nvidia-ml-py"  # in gpu.txt, and nothing of cpu.txt asks for it


def check_python() -> Iterator[Finding]:
    """Check that this Python has the version that the environments are made for."""
    wanted = str(read_yaml(ENVS / "cpu.yaml")["dependencies"][0]).removeprefix("python=")
    found = platform.python_version()
    if found.startswith(f"{wanted}."):
        yield ok("python", f"{found} on {platform.node()}")
    else:
        remedy = f"`make env PYTHON=…` with a Python {wanted}."
        yield fail("python", f"{found} in {sys.prefix}, {wanted} is pinned", remedy)


def check_packages(gpu: bool) -> Iterator[Finding]:
    """Check that every pinned package is installed in that version; `gpu` adds pins for GPUs."""
    name = "gpu" if gpu or _installed(GPU_MARK) else "cpu"
    pinned = pins("cpu", "gpu") if name == "gpu" else pins("cpu")
    wrong = [found for requirement in pinned if (found := _deviation(requirement))]
    if not wrong:
        said = f"{len(pinned)} as envs/{name}.txt pins them, torch {_installed('torch')}"
        yield ok("packages", said)
        return
    rest = f" and {len(wrong) - NAMED} others" if len(wrong) > NAMED else ""
    found = f"not as envs/{name}.txt pins them: {', '.join(wrong[:NAMED])}{rest}"
    # An environment whose packages were changed by hand keeps the name of its pins.
    remedy = (
        f"`make env{' ENV=gpu' if name == 'gpu' else ''}` builds it; if that finds nothing to do,"
        " first remove the folder that .venv links to."
    )
    yield fail("packages", found, remedy)


def pins(*names: str) -> list[Requirement]:
    """Return the requirements in the text files of envs/ with these names."""
    lines = [line for name in names for line in (ENVS / f"{name}.txt").read_text().splitlines()]
    return [Requirement(line) for line in lines if line and not line.startswith(("#", "-r"))]


def _deviation(pinned: Requirement) -> str | None:
    """Return what is wrong with an installed package; a build's label (2.13.0+cu130) is not."""
    found = _installed(pinned.name)
    if found is None:
        return f"no {pinned.name}"
    return None if pinned.specifier.contains(found) else f"{pinned.name} {found}"


def _installed(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
