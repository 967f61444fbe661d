"""Processes that add up a tensor: NCCL between the visible GPUs, gloo between two processes of a
machine without.
"""

import logging
import os
import signal
import socket
import sys
from collections.abc import Iterator
from datetime import timedelta

from bioner.ops.doctor.hardware import visible_gpus
from bioner.ops.doctor.processes import failure, give_up, run_together
from bioner.ops.doctor.report import Finding, fail, ok, skip

log = logging.getLogger(__name__)

SECONDS = 60  # that finding each other and adding up may take
BACKSTOP = 5  # seconds after which a process that does not even time out is killed
START = 180  # seconds that loading torch may take before
SIZE = 2**20
REMEDIES = {
    "nccl": (
        "NCCL_DEBUG=INFO `bioner doctor` shows why; NCCL_SOCKET_IFNAME=<interface> chooses the"
        " network, NCCL_P2P_DISABLE=1 goes around broken links between GPUs."
    ),
    "gloo": (
        "GLOO_SOCKET_IFNAME=lo chooses the network; does the machine's own name resolve (`hostname"
        " -i`)?"
    ),
}


def check_allreduce() -> Iterator[Finding]:
    """One process a GPU, or two on the CPU, agree on a sum in time."""
    gpus = visible_gpus()
    if gpus == 1:
        yield skip("all-reduce", "one GPU has none to talk to")
        return
    backend, count = ("nccl", gpus) if gpus else ("gloo", 2)
    where = (
        f"{backend}, {gpus} GPUs" if gpus else "gloo, two processes on the CPU (no GPU is visible)"
    )
    reason = all_reduce(backend, count, SECONDS)
    yield (
        fail("all-reduce", f"{where}: {reason}", REMEDIES[backend])
        if reason
        else ok("all-reduce", where)
    )


def all_reduce(backend: str, processes: int, seconds: int) -> str | None:
    """Why an all-reduce of so many processes fails; None where it is right."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    program = [
        sys.executable,
        "-m",
        "bioner.ops.doctor.allreduce",
        backend,
        str(processes),
        str(port),
        str(seconds),
    ]
    ended = run_together([[*program, str(rank)] for rank in range(processes)], START + seconds)
    if any(one.code == -signal.SIGALRM for one in ended):
        reason: str | None = f"no answer within {seconds} s"
    else:
        reason = failure(ended, START + seconds)
    if reason and "NCCL_DEBUG" in os.environ:
        for rank, one in enumerate(ended):
            log.info("all-reduce, process %d:\n%s%s", rank, one.output, one.errors)
    return reason


def take_part(backend: str, processes: int, port: int, seconds: int, rank: int) -> None:
    """One process of an all-reduce; raises where the sum is not that of the numbers 1 to
    `processes`.
    """
    import torch
    from torch import distributed

    signal.alarm(seconds + BACKSTOP)  # ends this process even where it hangs in a library
    device = torch.device("cpu")
    if backend == "nccl":
        device = torch.device("cuda", rank)
        torch.cuda.set_device(device)
    meeting = f"tcp://127.0.0.1:{port}"
    distributed.init_process_group(
        backend,
        init_method=meeting,
        world_size=processes,
        rank=rank,
        timeout=timedelta(seconds=seconds),
    )
    tensor = torch.full((SIZE,), float(rank + 1), device=device)
    distributed.all_reduce(tensor)
    right = processes * (processes + 1) / 2
    if not bool((tensor == right).all()):
        raise RuntimeError(f"the sum is {float(tensor[0])} in place of {right}")
    # the first process keeps the meeting place: it must not leave before the others
    distributed.barrier()
    distributed.destroy_process_group()


if __name__ == "__main__":
    try:
        take_part(sys.argv[1], *map(int, sys.argv[2:]))
    except Exception as error:
        give_up(error)
