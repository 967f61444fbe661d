"""The process that tests' commands are forked from: `python -m tests.forked.process FOLDER PYTHON
light|heavy`.
"""

import ast
import atexit
import gc
import logging
import os
import selectors
import signal
import socket
import sys
import threading
import traceback
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import snakemake.cli

import bioner.cli
from tests.forked.imports import preload, preload_light

PROGRAMS: dict[str, Callable[[], object]] = {
    "bioner": bioner.cli.main,
    "snakemake": snakemake.cli.main,
    "python": lambda: exec(sys.argv[2], {"__name__": "__main__"}),  # python -c CODE
}
# Libraries read these when they are imported: a command that is given others is started anew.
READ_AT_IMPORT = ("HF_", "TRANSFORMERS_", "HUGGINGFACE_", "BITSANDBYTES_", "MPLBACKEND", "PYTHON")

Request = tuple[list[str], str, dict[str, str]]


def serve(listener: socket.socket) -> tuple[Request, list[int]]:
    """Answer requests until standard input ends; returns in each fork, with what it was asked and
    its streams.
    """
    selector = selectors.DefaultSelector()
    selector.register(sys.stdin.fileno(), selectors.EVENT_READ, "parent")
    selector.register(listener, selectors.EVENT_READ, "listener")
    running: dict[
        int, tuple[int, socket.socket]
    ] = {}  # process file descriptor: process, who waits for it
    while True:
        for key, _ in selector.select():
            if key.data == "parent":
                for pid, _ in running.values():
                    os.kill(pid, signal.SIGKILL)
                os._exit(0)
            elif key.data == "listener":
                connection, _ = listener.accept()
                message, streams, *_ = socket.recv_fds(connection, 1 << 20, 3)
                if not (pid := os.fork()):
                    listener.close()
                    connection.close()
                    selector.close()
                    return ast.literal_eval(message.decode()), streams
                for stream in streams:
                    os.close(stream)
                connection.send(str(pid).encode())
                watch = os.pidfd_open(pid)
                running[watch] = pid, connection
                selector.register(watch, selectors.EVENT_READ, "command")
                selector.register(connection, selectors.EVENT_READ, watch)
            elif key.data == "command":  # it has ended
                pid, connection = running.pop(key.fd)
                code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
                selector.unregister(key.fd)
                os.close(key.fd)
                selector.unregister(connection)
                with suppress(BrokenPipeError):
                    connection.send(str(code).encode())
                connection.close()
            elif key.data in running:  # who waited for it has gone
                os.kill(running[key.data][0], signal.SIGKILL)


def execute(request: Request, streams: list[int], before: dict[str, str], python: str) -> int:
    """Be the command: its streams, folder and environment, then its program."""
    arguments, folder, environment = request
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    os.chdir(folder)
    Path("/proc/self/comm").write_text(arguments[0])
    os.environ.clear()
    os.environ.update(environment)
    if imported(environment) != imported(before):
        program = str(Path(sys.executable).parent / arguments[0])
        os.execv(program, arguments)
    sys.argv = arguments
    sys.path[0] = str(Path(sys.executable).parent)
    sys.executable = python  # the workflow puts its folder first on the jobs' PATH
    try:
        PROGRAMS[arguments[0]]()
    except SystemExit as end:
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except KeyboardInterrupt:
        traceback.print_exc()
        return 130
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


def imported(environment: dict[str, str]) -> dict[str, str]:
    """The variables that libraries read when they are imported."""
    return {name: value for name, value in environment.items() if name.startswith(READ_AT_IMPORT)}


def main() -> None:
    folder, python, kind = sys.argv[1:]
    before = dict(os.environ)
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
        listener.bind(f"{folder}/{kind}")
        listener.listen(16)
        os.write(1, b"!")  # commands may come; they wait until the imports are done
        {"light": preload_light, "heavy": preload}[kind]()
        gc.collect()
        gc.freeze()
        request, streams = serve(listener)
        code = execute(request, streams, before, python)
        threading._shutdown()  # type: ignore[attr-defined]  # as at the end of any program
        if kind == "light":
            atexit._run_exitfuncs()  # torch's only clean up, and cost more than most commands
        logging.shutdown()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    main()
