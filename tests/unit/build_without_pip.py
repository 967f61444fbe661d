"""envs/build.py with environments that hold no packages, for tests of all else. For make:
PYTHON="python THIS".

An environment gets a module `late` that names its folder. Each installation is noted in `installs`.
If there is a shell script `during`, it is run as pip would be.
"""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType


def load(repository: Path) -> ModuleType:
    """The repository's build.py, installing nothing."""
    spec = importlib.util.spec_from_file_location("build", repository / "envs/build.py")
    build = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(build)

    def install(repository: Path, folder: Path, kind: str, descriptor: int) -> None:
        with (repository / "installs").open("a") as file:
            file.write(f"{folder.name}\n")
        fill(folder, Path(build.get_base_python()))
        if (repository / "during").exists():
            build.run(
                ["sh", str(repository / "during"), str(folder)], folder / build.LOG, descriptor
            )

    build.install, build.install_with_pip = install, build.install
    return build


def fill(folder: Path, base: Path) -> None:
    """What a virtual environment consists of, with the commands that one needs here."""
    packages = folder / f"lib/python{sys.version_info[0]}.{sys.version_info[1]}/site-packages"
    packages.mkdir(parents=True)
    (packages / "late.py").write_text(f"FOLDER = {folder.name!r}\n")
    (folder / "pyvenv.cfg").write_text(f"home = {base.parent}\n")
    (folder / "bin").mkdir()
    (folder / "bin/python").symlink_to(base)
    for name in ("bioner", "snakemake"):
        (folder / "bin" / name).write_text(f"#!{folder}/bin/python\n")
        (folder / "bin" / name).chmod(0o755)


if __name__ == "__main__":
    build = load(Path.cwd())
    build.stop_on_signals()
    sys.exit(build.main(sys.argv[3:]))  # after -IS and the path of build.py
