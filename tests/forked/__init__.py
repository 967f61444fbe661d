"""`bioner` and `snakemake` for tests, forked from a process that has done their imports: a start
takes 0.05 CPU s.

A command runs as it does for users, in a process of its own with its own arguments, folder,
environment and streams; only the imports are shared. `run` and `start` are for tests; the rules of
a workflow that runs this way find a `bioner` on their PATH that does the same. Commands that use
torch are forked from a second process, since a process that has imported torch takes longer to
fork.
"""

import atexit
import os
import signal
import socket
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import psutil

REPOSITORY = Path(__file__).resolve().parents[2]

# What rules call: hands over its arguments, folder, environment and streams, and ends as the
# command does.
CLIENT = """#!{python} -IS
import _socket, array, os, sys
arguments = [os.path.basename(sys.argv[0]), *sys.argv[1:]]
heavy = arguments[1:2] in {torch} or "--weights" in arguments
server = _socket.socket(_socket.AF_UNIX, _socket.SOCK_SEQPACKET)
server.setsockopt(_socket.SOL_SOCKET, _socket.SO_SNDBUF, 1 << 20)
server.connect({folder!r} + ("/heavy" if heavy else "/light"))
request = repr((arguments, os.getcwd(), dict(os.environ))).encode()
server.sendmsg([request], [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, array.array("i", [0, 1, 2]))])
pid, status = int(server.recv(32)), server.recv(32)
os._exit(int(status) if status else 125)
"""
TORCH = [
    ["train"],
    ["time"],
    ["tag"],
    ["merge"],
    ["normalize"],
]  # they use torch; others do with --weights


@dataclass
class Servers:
    """The processes that fork, and the folder of their sockets and of programs for a PATH."""

    folder: tempfile.TemporaryDirectory[str]
    processes: list[subprocess.Popen[bytes]]

    @property
    def programs(self) -> Path:
        """Return the folder to put first on a PATH: its `bioner` and `snakemake` are forked."""
        return Path(self.folder.name) / "bin"

    def connect(self, arguments: list[str]) -> socket.socket:
        """Open a connection to the process that is to fork a command."""
        heavy = arguments[1:2] in TORCH or "--weights" in arguments
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
        connection.connect(str(Path(self.folder.name) / ("heavy" if heavy else "light")))
        return connection

    def end(self) -> None:
        """End them, so that what they have cost is part of what this process has cost."""
        for process in self.processes:
            process.communicate()


@cache
def servers() -> Servers:
    """Start them at their first use; should this process die, their standard input ends, and they
    with it.
    """
    folder = tempfile.TemporaryDirectory(prefix="bioner-forked-")
    programs = Path(folder.name) / "bin"
    programs.mkdir()
    client = CLIENT.format(python=os.path.realpath(sys.executable), folder=folder.name, torch=TORCH)
    python = f'#!/bin/sh\nexec "{sys.executable}" "$@"\n'
    for name, text in {"bioner": client, "snakemake": client, "python": python}.items():
        (programs / name).write_text(text)
        (programs / name).chmod(0o755)
    command = [sys.executable, "-m", "tests.forked.process", folder.name, str(programs / "python")]
    started = Servers(folder, [])
    for kind in ("light", "heavy"):
        process = subprocess.Popen(
            [*command, kind], cwd=REPOSITORY, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        started.processes.append(process)
    atexit.register(started.end)
    for process in started.processes:
        assert process.stdout is not None
        assert process.stdout.read(1) == b"!", "a process to fork from did not start"
    return started


def cpu_seconds() -> float:
    """Return the CPU seconds, user and system, of all commands that have ended; their imports cost
    nothing.
    """
    if not servers.cache_info().currsize:
        return 0.0
    times = [psutil.Process(process.pid).cpu_times() for process in servers().processes]
    return float(sum(time.children_user + time.children_system for time in times))


def running(program: str) -> list[psutil.Process]:
    """Return the processes of `bioner` or `snakemake` that rules or tests have started and that
    still run.
    """
    children = [
        child for process in servers().processes for child in psutil.Process(process.pid).children()
    ]
    return [
        child
        for child in children
        if child.status() != psutil.STATUS_ZOMBIE and child.name() == program
    ]


class Command:
    """A command that has been started."""

    def __init__(
        self, arguments: list[str], folder: Path, environment: dict[str, str], streams: list[int]
    ) -> None:
        self.arguments = arguments
        self.connection = servers().connect(arguments)
        request = repr((arguments, str(folder), environment)).encode()
        socket.send_fds(self.connection, [request], streams)
        self.pid = int(self.connection.recv(32))
        self.returncode: int | None = None

    def wait(self, seconds: float | None = None) -> int:
        """Wait for its end; return its exit status, negative for a signal. Raises TimeoutError."""
        if self.returncode is None:
            self.connection.settimeout(seconds)
            self.returncode = int(self.connection.recv(32))
            self.connection.close()
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Send a signal if it still runs."""
        if self.returncode is None:
            os.kill(self.pid, number)

    def end(self) -> None:
        """Kill it if it still runs: for `finally`."""
        self.send_signal(signal.SIGKILL)
        self.wait()


def start(
    arguments: list[str | Path],
    folder: Path,
    output: Path,
    environment: dict[str, str] | None = None,
) -> Command:
    """Start `bioner …` or `snakemake …` in a folder; what it prints goes into the file `output`."""
    given = dict(os.environ) if environment is None else environment
    with Path(os.devnull).open() as nothing, output.open("ab") as file:
        streams = [nothing.fileno(), file.fileno(), file.fileno()]
        return Command([str(argument) for argument in arguments], folder, given, streams)


def run(
    arguments: list[str | Path],
    folder: Path,
    environment: dict[str, str] | None = None,
    stdin: str = "",
) -> subprocess.CompletedProcess[str]:
    """Run `bioner …`, `snakemake …` or `python -c …` to its end."""
    given = dict(os.environ) if environment is None else environment
    with (
        tempfile.TemporaryFile() as source,
        tempfile.TemporaryFile() as out,
        tempfile.TemporaryFile() as err,
    ):
        source.write(stdin.encode())
        source.seek(0)
        streams = [source.fileno(), out.fileno(), err.fileno()]
        command = Command([str(argument) for argument in arguments], folder, given, streams)
        try:
            code = command.wait()
        finally:
            command.end()
        out.seek(0)
        err.seek(0)
        said = out.read().decode(errors="replace"), err.read().decode(errors="replace")
    return subprocess.CompletedProcess(command.arguments, code, *said)
