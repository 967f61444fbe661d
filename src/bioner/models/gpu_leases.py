"""Reserve the GPUs of one machine for jobs: each has its own, and CUDA sees only these.

A job owns a GPU while it locks (flock) the file named after the GPU. The kernel releases the lock
when the last process that holds the file ends, even by SIGKILL. A job first takes an exclusive
lock, so that only one gets the GPU, then a shared one, which the processes that accelerate starts
can hold as well: they may outlive the process that started them.
"""

import fcntl
import logging
import os
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from bioner.errors import InputError

log = logging.getLogger(__name__)

DEVICES = Path("/dev")
# One folder for all users of a machine, wherever TMPDIR points. systemd spares files that are
# locked when it clears /tmp.
LEASES = Path("/tmp/bioner-gpus")
WAIT = 30.0  # seconds, since processes of a killed job may still be ending
VISIBLE = "CUDA_VISIBLE_DEVICES"

held: list[int] = []  # open files, never closed by this process


class Card(NamedTuple):
    """A GPU: its name in CUDA_VISIBLE_DEVICES, the name of its lock, and its GiB in use."""

    entry: str
    lock: str
    used: int = 0


def gpus_here() -> int:
    """Count the GPUs that the driver shows to this process, or else the device files."""
    with suppress(Exception):  # no pynvml, no driver, or a broken one
        import pynvml

        pynvml.nvmlInit()
        return int(pynvml.nvmlDeviceGetCount())
    return len(list(DEVICES.glob("nvidia[0-9]*")))


def visible_cards() -> list[Card]:
    """Return the GPUs that CUDA would see, without starting it.

    If CUDA_VISIBLE_DEVICES is set, they are its entries up to the first invalid one; UUIDs and MIG
    slices are not translated.
    """
    cards = [_card(number) for number in range(gpus_here())]
    if not cards or VISIBLE not in os.environ:
        return cards
    known = {card.entry: card for card in cards}
    chosen = []
    for entry in map(str.strip, os.environ[VISIBLE].split(",")):
        if entry.startswith("GPU-"):  # a UUID may be abbreviated
            known[entry] = next(
                (card._replace(entry=entry) for card in cards if card.lock.startswith(entry)),
                Card(entry, entry),
            )
        elif entry.startswith("MIG-"):
            known[entry] = Card(entry, entry.replace("/", "-"))
        if entry not in known:
            break
        chosen.append(known[entry])
    return chosen


def _card(number: int) -> Card:
    """Return the GPU of this number; its lock is named by its UUID if the driver gives it."""
    with suppress(Exception):
        import pynvml

        handle = pynvml.nvmlDeviceGetHandleByIndex(number)
        used = pynvml.nvmlDeviceGetMemoryInfo(handle).used
        return Card(str(number), pynvml.nvmlDeviceGetUUID(handle), used >> 30)
    return Card(str(number), str(number))


def lease_gpus(name: str, gpus: int) -> None:
    """Reserve the free GPUs with the least memory in use until this process ends.

    CUDA sees only these. In a Slurm job, on a machine with fewer GPUs and after CUDA has started,
    nothing is reserved.

    Args:
        name: the model, for messages.

    Raises:
        InputError: Too few are free, and none became free within WAIT seconds.
    """
    if not gpus or held or "SLURM_JOB_ID" in os.environ:
        return
    cards, deadline, torch = visible_cards(), time.monotonic() + WAIT, sys.modules.get("torch")
    if len(cards) < gpus or (torch and torch.cuda.is_initialized()):
        return
    if "LOCAL_RANK" in os.environ:  # the launching process has chosen
        files = [_locked(card, fcntl.LOCK_SH) for card in cards[:gpus]]
        held.extend(file for file in files if file is not None)
        return
    while len(found := _free(cards, gpus)) < gpus:
        for file in found.values():
            os.close(file)
        if time.monotonic() > deadline:
            raise InputError(
                name,
                f"{len(found)} of {len(cards)} GPUs not reserved by other bioner jobs",
                f"{gpus}",
                f"Wait until one ends, or start Snakemake with `--resources gpus={len(cards)}`.",
            )
        time.sleep(0.5)
        cards = visible_cards()
    held.extend(found.values())
    os.environ[VISIBLE] = ",".join(card.entry for card in cards if card in found)
    os.environ.setdefault("CUDA_DEVICE_ORDER", "PCI_BUS_ID")  # the driver's numbers
    log.info("%s: reserved GPU %s", name, os.environ[VISIBLE])


def _free(cards: Sequence[Card], gpus: int) -> dict[Card, int]:
    """Lock up to `gpus` cards, least used memory first; return their open files."""
    found: dict[Card, int] = {}
    for card in sorted(cards, key=lambda card: card.used):
        file = None if len(found) == gpus else _locked(card, fcntl.LOCK_EX, fcntl.LOCK_SH)
        if file is not None:
            found[card] = file
    return found


def _locked(card: Card, *locks: int) -> int | None:
    """Return a card's open file with the last of these locks; None if another job has the card."""
    before = os.umask(0)  # for other users, too
    try:
        LEASES.mkdir(0o1777, exist_ok=True)
        path = LEASES / card.lock
        try:
            # In a sticky folder the kernel may refuse O_CREAT for a file of another user.
            file = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
        except FileNotFoundError:
            file = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CREAT, 0o444)
    finally:
        os.umask(before)
    try:
        for lock in locks:
            fcntl.flock(file, lock | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(file)
        return None
    os.set_inheritable(file, True)  # `launch` becomes accelerate
    return file
