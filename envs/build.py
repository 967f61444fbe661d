"""Build the environment that .venv links to: `make env`, and before every other target of make.

An environment lies in .venvs/<digest>, named after everything it is made of. It is built there
under a lock, marked as complete, linked from .venv, and never changed again: a process that runs in
it keeps it when .venv links elsewhere. Needs Python 3.11 and nothing else.
"""

from __future__ import annotations

import argparse
import errno
import fcntl
import hashlib
import importlib.util
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

VERSION = sys.version.split()[0]
KINDS = ("cpu", "gpu")
SIZES = {"cpu": "2 GB", "gpu": "7 GB"}
MARKER = ".complete"
LOG = "build.log"
NEEDED = ("python", "bioner", "snakemake")  # in bin/
KEEP_DAYS = 30
DAY = 86400
# These would make Python or pip work on something other than the environment being built.
MISLEADING = (
    "VIRTUAL_ENV",
    "PYTHONHOME",
    "PYTHONPATH",
    "PYTHONUSERBASE",
    "PIP_PREFIX",
    "PIP_ROOT",
    "PIP_TARGET",
)


class Refused(Exception):
    """What is wrong and what to do, in one line."""


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


# What an environment is made of


def read_requirements(path: Path) -> list[str]:
    """Return the lines of a requirements file without comments and blank lines."""
    lines = (
        re.sub(r"(^|\s)#.*", "", line).strip()
        for line in path.read_text(encoding="utf-8").splitlines()
    )
    return [line for line in lines if line]


def list_pins(path: Path) -> set[str]:
    """Return the pins of a requirements file and of those that it includes."""
    pins: set[str] = set()
    for line in read_requirements(path):
        if line.startswith("-r "):
            pins |= list_pins(path.parent / line.removeprefix("-r ").strip())
        else:
            pins.add(line)
    return pins


def compute_digest(repository: Path, kind: str) -> str:
    """Name an environment after its kind, this Python's version, all pins, and the project's
    table.
    """
    import tomllib  # not in the Pythons that main refuses

    project = tomllib.loads((repository / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    pins = {path.name: read_requirements(path) for path in (repository / "envs").glob("*.txt")}
    content = {"kind": kind, "python": VERSION, "pins": pins, "project": project}
    return hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()[
        :12
    ]


# What is there


def get_linked(repository: Path) -> Path | None:
    """Return the folder in .venvs that .venv links to, whether it exists or not."""
    link, ours = repository / ".venv", repository / ".venvs"
    if not link.is_symlink():
        return None
    target = repository / link.readlink()
    with suppress(OSError):
        if target.parent == ours or target.parent.samefile(ours):
            return ours / target.name
    return None


def read_marker(folder: Path) -> dict[str, str] | None:
    """Return what was written when the environment was complete, or None if it is not."""
    try:
        marker: dict[str, str] = json.loads((folder / MARKER).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return marker


def is_complete(repository: Path, folder: Path) -> bool:
    """Tell whether an environment can be used.

    Raises:
        Refused: It is complete but for somewhere else. Others may be using it, so it is not
            replaced.
    """
    marker = read_marker(folder)
    if marker is None:
        return False
    remedy = f"Remove it (rm -r {os.path.relpath(folder, repository)}) and run make again."
    for name, here in (("repository", repository), ("folder", folder)):
        if marker[name] != str(here) and not _is_same(marker[name], here):
            raise Refused(
                f"{folder} was built as {marker['folder']} for {marker['repository']}. {remedy}"
            )
    python = folder / "bin/python"
    if not python.exists():
        raise Refused(
            f"{python} links to a Python that is not here. Load the module that has it. Or:"
            f" {remedy}"
        )
    return True


def _is_same(path: str, other: Path) -> bool:
    with suppress(OSError):
        return other.samefile(path)
    return False


def get_kind(repository: Path) -> str:
    """Return the kind of the linked environment, cpu if there is none."""
    linked = get_linked(repository)
    if linked is None:
        return "cpu"
    if marker := read_marker(linked):
        return marker["kind"]
    # Its folder was removed; its name still says what it was if the pins are the same.
    return next((kind for kind in KINDS if compute_digest(repository, kind) == linked.name), "cpu")


def is_foreign(repository: Path) -> bool:
    """Tell whether .venv is there and is not a link to a folder in .venvs."""
    return os.path.lexists(repository / ".venv") and get_linked(repository) is None


def check_foreign(repository: Path, asked: str | None) -> None:
    """Refuse a .venv that make did not build if it cannot be used, or if it was asked to change."""
    missing = [name for name in NEEDED if not os.access(repository / ".venv/bin" / name, os.X_OK)]
    remedy = "Move it away (mv .venv .venv-old) to have make build one."
    if asked:
        raise Refused(f"ENV={asked} has no effect on .venv, which make did not build. {remedy}")
    if missing:
        raise Refused(
            f".venv is not make's own, and has no bin/{' and no bin/'.join(missing)}. {remedy}"
        )


# Building


@contextmanager
def lock(repository: Path, purpose: str) -> Iterator[int]:
    """Hold the lock on .venvs, which one process at a time may change; yield its descriptor."""
    folder = repository / ".venvs"
    try:
        folder.mkdir(exist_ok=True)
        # NFS wants it open for writing.
        descriptor = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT, 0o666)
    except OSError as error:
        raise Refused(f"{purpose}, but {folder} cannot be written: {error.strerror}.") from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("Waiting: another make is building an environment here.")
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        except OSError as error:
            if error.errno not in (
                errno.ENOSYS,
                errno.ENOTSUP,
                errno.EOPNOTSUPP,
                errno.ENOLCK,
                errno.EINVAL,
            ):
                raise
            say(
                f"{folder} is on a file system without locks: start no other make until this one"
                " ends."
            )
        yield descriptor
    finally:
        os.close(descriptor)


def get_base_python() -> str:
    """Return the interpreter that this one comes from, if this one is that of a virtual
    environment.
    """
    base = getattr(sys, "_base_executable", None)
    return base if base and Path(base).is_file() else os.path.realpath(sys.executable)


def run(
    command: list[str], log: Path, descriptor: int, watch: Callable[[], None] | None = None
) -> None:
    """Run a command with its output in a log; call `watch` twice a second meanwhile.

    It inherits the lock: should this process be killed, no other starts to build until the command
    has ended too.

    Raises:
        Refused: The command failed. Its output has been shown.
    """
    environment = {name: value for name, value in os.environ.items() if name not in MISLEADING}
    environment |= {"PYTHONUNBUFFERED": "1", "PIP_USER": "0"}
    with log.open("ab") as output:
        start = output.tell()
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=environment,
            pass_fds=[descriptor],
        )
        try:
            while process.poll() is None:
                with suppress(subprocess.TimeoutExpired):
                    process.wait(0.5)
                if watch:
                    watch()
        finally:
            if process.poll() is None:
                process.terminate()
                process.wait()
    if process.returncode:
        say(log.read_bytes()[start:].decode(errors="replace").rstrip())
        raise Refused(f"This failed (exit status {process.returncode}): {shlex.join(command)}")


class Progress:
    """How far pip is: it names each package as it finds and downloads it, then installs all of them
    silently.
    """

    def __init__(self, folder: Path, log: Path, total: int) -> None:
        self.folder = folder
        self.log = log
        self.total = total
        self.skip = log.stat().st_size
        self.already = self._count_installed()
        self.start = self.said_at = time.monotonic()
        self.tens = 0

    def _count_installed(self) -> int:
        return sum(1 for _ in self.folder.glob("lib/python*/site-packages/*.dist-info"))

    def describe(self) -> tuple[int, str]:
        """Return how many tens of packages are done, and that in words."""
        text = self.log.read_bytes()[self.skip :].decode(errors="replace")
        if "\nInstalling collected packages:" in text:
            done, verb = max(0, self._count_installed() - self.already), "installed"
        else:
            done, verb = (
                len(re.findall(r"^(?:Collecting|Processing) ", text, flags=re.MULTILINE)),
                "downloaded",
            )
        done = min(done, self.total)
        return done // 10, f"    {done} of {self.total} {verb}"

    def show(self) -> None:
        """Update a line on a terminal; elsewhere, add one every ten packages and every 30
        seconds.
        """
        tens, text = self.describe()
        now = time.monotonic()
        line = f"{text} ({now - self.start:.0f} s)"
        if sys.stderr.isatty():
            print(f"\r{line}   ", end="", file=sys.stderr, flush=True)
        elif tens != self.tens or now - self.said_at > 30:
            say(line)
            self.tens, self.said_at = tens, now

    def end(self) -> None:
        if sys.stderr.isatty():
            say("")


def install(repository: Path, folder: Path, kind: str, descriptor: int) -> None:
    """Make a virtual environment and install the pins and the project into it."""
    name = os.path.relpath(folder, repository)
    envs, python, log = repository / "envs", str(folder / "bin/python"), folder / LOG
    pip = [python, "-m", "pip", "--disable-pip-version-check", "--no-input"]
    pins, tokenizers = list_pins(envs / f"{kind}.txt"), read_requirements(envs / "tokenizers.txt")
    base = get_base_python()
    say(f"1/4 Creating {name} with Python {VERSION} ({base})")
    run([base, "-I", "-m", "venv", "--without-pip", str(folder)], log, descriptor)
    run([python, "-I", "-m", "ensurepip", "--upgrade", "--default-pip"], log, descriptor)
    say(
        f"2/4 Installing {len(pins)} pinned packages (envs/{kind}.txt; some minutes, about"
        f" {SIZES[kind]})"
    )
    progress = Progress(folder, log, len(pins))
    command = [*pip, "install", "--progress-bar", "off", "--requirement", str(envs / f"{kind}.txt")]
    try:
        run(command, log, descriptor, progress.show)
    finally:
        progress.end()
    say(f"3/4 Downloading {len(tokenizers)} tokenizers (envs/tokenizers.txt)")
    download = [
        "download",
        "--progress-bar",
        "off",
        "--no-deps",
        "--dest",
        str(folder / "tokenizers"),
    ]
    run([*pip, *download, "--requirement", str(envs / "tokenizers.txt")], log, descriptor)
    say("4/4 Installing bioner from this folder")
    run(
        [*pip, "install", "--no-deps", "--no-build-isolation", "--editable", str(repository)],
        log,
        descriptor,
    )


def build(repository: Path, folder: Path, kind: str, descriptor: int) -> None:
    """Build an environment at its final place and mark it as complete.

    Raises:
        Refused: A step failed, or the pins changed meanwhile.
    """
    if importlib.util.find_spec("ensurepip") is None:
        raise Refused(
            f"{get_base_python()} cannot make virtual environments: install python3-venv."
        )
    start = time.monotonic()
    if folder.exists():  # cut short: .venv never linked to it
        shutil.rmtree(folder)
    folder.mkdir()
    install(repository, folder, kind, descriptor)
    if missing := [name for name in NEEDED if not os.access(folder / "bin" / name, os.X_OK)]:
        raise Refused(f"{folder} was built without bin/{missing[0]}: see {folder / LOG}.")
    if compute_digest(repository, kind) != folder.name:
        raise Refused(
            "The pins in envs/ or pyproject.toml changed while they were being installed: run make"
            " again."
        )
    marker = {"kind": kind, "folder": str(folder), "repository": str(repository)}
    unfinished = folder / f"{MARKER}.new"
    unfinished.write_text(json.dumps(marker) + "\n", encoding="utf-8")
    unfinished.replace(folder / MARKER)
    say(f"Built {os.path.relpath(folder, repository)} in {time.monotonic() - start:.0f} s.")


def switch_link(repository: Path, folder: Path) -> None:
    """Let .venv link to an environment, in one step."""
    new = repository / ".venv.new"
    new.unlink(missing_ok=True)
    new.symlink_to(Path(".venvs", folder.name))
    new.replace(repository / ".venv")


def note_use(folder: Path) -> None:
    """Note once a day that an environment is in use, if it can be written."""
    marker = folder / MARKER
    with suppress(OSError):
        if time.time() - marker.stat().st_mtime > DAY:
            os.utime(marker)


def provide(repository: Path, asked: str | None) -> None:
    """Let .venv be a complete environment of the present pins.

    Args:
        repository: The checkout.
        asked: cpu or gpu; without it the linked environment's kind is kept.
    """
    if is_foreign(repository):
        check_foreign(repository, asked)
        say(
            "Using .venv as it is: make did not build it and does not update it. Move it away to"
            " have make build one."
        )
        return

    def find() -> tuple[str, Path]:
        kind = asked or get_kind(repository)
        return kind, repository / ".venvs" / compute_digest(repository, kind)

    kind, folder = find()
    if get_linked(repository) != folder or not is_complete(repository, folder):
        with lock(repository, "The pinned environment must be built or linked") as descriptor:
            kind, folder = find()  # another make may have switched the link
            if not is_complete(repository, folder):
                build(repository, folder, kind, descriptor)
            if get_linked(repository) != folder:
                switch_link(repository, folder)
    note_use(folder)
    say(f"Using .venvs/{folder.name} ({kind}).")


# Cleaning


def get_last_use(folder: Path) -> float:
    """Return when an environment was last used, or worked on if it is not complete."""
    times: list[float] = []
    for name, which in (
        (MARKER, "st_mtime"),
        ("pyvenv.cfg", "st_atime"),
    ):  # Python reads the latter as it starts
        with suppress(OSError):
            times.append(getattr((folder / name).stat(), which))
    if not (folder / MARKER).exists():
        times.append(folder.stat().st_mtime)
    return max(times)


def clean(repository: Path) -> bool:
    """List the environments, and remove those that are not linked and were not used for 30 days."""
    ours = repository / ".venvs"
    folders = (
        [path for path in sorted(ours.glob("[!.]*")) if path.is_dir()] if ours.is_dir() else []
    )
    if not folders:
        print("No environments in .venvs.")
        return True
    done = True
    with lock(repository, "Old environments are to be removed"):
        linked = get_linked(repository)
        for folder in folders:
            used = get_last_use(folder)
            marker = read_marker(folder)
            kind = marker["kind"] if marker else "incomplete"
            line = (
                f".venvs/{folder.name}  {kind}  last used"
                f" {time.strftime('%Y-%m-%d', time.localtime(used))}"
            )
            if folder == linked:
                print(f"{line}  kept: .venv links to it")
            elif time.time() - used < KEEP_DAYS * DAY:
                print(f"{line}  kept: used in the last {KEEP_DAYS} days")
            else:
                try:
                    (folder / MARKER).unlink(
                        missing_ok=True
                    )  # first, so that a part of it is never taken for complete
                    shutil.rmtree(folder)
                    print(f"{line}  removed")
                except OSError as error:
                    print(f"{line}  not removed: {error.strerror}")
                    done = False
    return done


def stop_on_signals() -> None:
    """End as with Ctrl-C when asked to end: the running command is ended too."""

    def stop(number: int, _: object) -> None:
        raise KeyboardInterrupt(number)

    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, stop)


def main(arguments: list[str] | None = None, repository: Path | None = None) -> int:
    parser = argparse.ArgumentParser(
        description="Build the environment that .venv links to, if it is not there."
    )
    parser.add_argument(
        "kind", nargs="?", choices=KINDS, help="without it, the kind of the linked environment"
    )
    parser.add_argument(
        "--clean", action="store_true", help="remove environments that nobody used for 30 days"
    )
    options = parser.parse_args(arguments)
    repository = repository or Path(os.path.realpath(Path(__file__).absolute().parents[1]))

    try:
        if sys.version_info < (3, 11):  # noqa: UP036 (make PYTHON=… can name any)
            raise Refused(f"{sys.executable} is Python {VERSION}: make PYTHON=/path/to/python3.11")
        if options.clean:
            return 0 if clean(repository) else 1
        provide(repository, options.kind)
    except Refused as refusal:
        say(str(refusal))
        return 1
    except OSError as error:
        say(f"{error.filename or repository}: {error.strerror}.")
        return 1
    except KeyboardInterrupt as interrupt:
        say("Interrupted: .venv is as it was.")
        return 128 + (interrupt.args[0] if interrupt.args else signal.SIGINT)
    return 0


if __name__ == "__main__":
    stop_on_signals()
    sys.exit(main())
