"""Processes that add up a tensor: NCCL between the visible GPUs, gloo between two without GPUs."""

import signal
import sys
import tempfile
from collections.abc import Iterator
from datetime import timedelta

from bioner.models.devices import count_devices
from bioner.ops.doctor.processes import ProgramFailed, run_program
from bioner.ops.doctor.report import Finding, fail, ok, skip

SECONDS = 60  # for the processes to find each other and add up
BACKSTOP = 5  # more seconds, after which a process that does not even time out is killed
START = 180  # seconds before that for loading torch
SIZE = 2**20  # of the tensor
REMEDIES = {
    "nccl": (
        "`NCCL_DEBUG=INFO NCCL_DEBUG_FILE=nccl.%p bioner doctor` writes why into files nccl.*;"
        " NCCL_SOCKET_IFNAME=<interface> chooses the network, NCCL_P2P_DISABLE=1 goes around broken"
        " links between GPUs."
    ),
    "gloo": (
        "GLOO_SOCKET_IFNAME=lo chooses the network; does the machine's own name resolve (`hostname"
        " -i`)?"
    ),
}


def check_allreduce() -> Iterator[Finding]:
    """Check that one process per GPU, or two on the CPU, agree on a sum in time."""
    gpus = count_devices()
    if gpus == 1:
        yield skip("all-reduce", "one GPU has none to talk to")
        return
    backend, where = "nccl", f"nccl, {gpus} GPUs"
    if not gpus:
        backend, where = "gloo", "gloo, two processes on the CPU (no GPU is visible)"
    program = [sys.executable, "-m", "bioner.ops.doctor.allreduce", backend, str(gpus or 2)]
    try:
        run_program(program, START + SECONDS)
    except ProgramFailed as error:
        hung = signal.SIGALRM.name in str(error)
        reason = f"no answer within {SECONDS} s" if hung else error
        yield fail("all-reduce", f"{where}: {reason}", REMEDIES[backend])
    else:
        yield ok("all-reduce", where)


def all_reduce(backend: str, processes: int) -> None:
    """Add up a tensor in so many processes; raise the error of the first that fails."""
    from torch.multiprocessing.spawn import spawn

    with tempfile.TemporaryDirectory() as folder:
        # A file: a server for them would be a thread, and no process is forked safely beside one.
        spawn(take_part, (backend, processes, f"file://{folder}/meeting"), processes)


def take_part(rank: int, backend: str, processes: int, meeting: str) -> None:
    """Run one process of an all-reduce; raise RuntimeError if the sum is wrong.

    Args:
        meeting: where the processes find each other, as torch.distributed names it.
    """
    import torch
    from torch import distributed

    signal.alarm(SECONDS + BACKSTOP)  # ends this process even if it hangs in a library
    device = torch.device("cpu")
    if backend == "nccl":
        device = torch.device("cuda", rank)
        torch.cuda.set_device(device)
    distributed.init_process_group(
        backend,
        init_method=meeting,
        world_size=processes,
        rank=rank,
        timeout=timedelta(seconds=SECONDS),
    )
    tensor = torch.full((SIZE,), float(rank + 1), device=device)
    distributed.all_reduce(tensor)
    right = processes * (processes + 1) / 2
    if not bool((tensor == right).all()):
        raise RuntimeError(f"the sum is {float(tensor[0])} in place of {right}")
    distributed.destroy_process_group()


if __name__ == "__main__":
    all_reduce(sys.argv[1], int(sys.argv[2]))
