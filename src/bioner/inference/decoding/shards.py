"""Work that is done in shards, each kept when it is finished: a job that was killed goes on with
those it lacks.

A shard's content depends on the instances and settings alone, not on who made it or when. So on the
CPU a job that was cut short, or shared among several processes, ends with the same bytes as one
that was not. (A GPU's sums may differ by the batch, and where the window is chosen there, it is by
what passes were seen to take.)
"""

import hashlib
import json
import logging
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bioner.data.instances import Instance
from bioner.data.raw_outputs import Generated, as_record, check_output
from bioner.errors import InputError
from bioner.io.files import atomic_path, parse_json
from bioner.io.heartbeat import HEARTBEAT_FILE, exclusive_lock, write_heartbeat

log = logging.getLogger(__name__)

SILENCE = 10.0  # seconds between two signs of life

Decode = Callable[[Sequence[Instance], int], tuple[list[Generated], dict[str, float]]]
"""Outputs of a shard's instances, given its number, and what they took, to be added up."""


class Shards:
    """The shards of one job, in a folder of their own inside `folder`: other jobs' are no use to
    it, nor lost.
    """

    def __init__(
        self, folder: Path, identity: dict[str, Any], instances: Sequence[Instance], size: int
    ) -> None:
        text = json.dumps({**identity, "size": size}, sort_keys=True)
        self._place, self._text = folder, text
        self._folder = folder / hashlib.sha256(text.encode()).hexdigest()[:16]
        order = sorted(
            range(len(instances)), key=lambda index: (-len(instances[index].tokens), index)
        )
        self._parts = [order[start : start + size] for start in range(0, len(order), size)]
        self._instances = instances
        self._since: tuple[float, int] | None = (
            None  # when this process took the place, and what was there
        )
        self._signed = 0.0

    def __len__(self) -> int:
        return len(self._parts)

    @contextmanager
    def owned(self) -> Iterator[None]:
        """Keep other processes out; when the block ends well all shards go, those of other jobs
        among them.

        By one process, before any writes. InputError where another has the place.
        """
        self._place.parent.mkdir(parents=True, exist_ok=True)
        if self._place.is_file():
            raise InputError(
                self._place, "a file", "a folder that prediction makes and removes", "Move it away."
            )
        with exclusive_lock(
            self._place.with_name(f"{self._place.name}.lock"),
            self._place,
            "another process that predicts here",
            "an output of its own",
        ):
            if self._place.is_dir() and not self._folder.is_dir():
                log.info(
                    "predict: settings, weights or data are others than those of the shards that"
                    " lie here; anew"
                )
            self._folder.mkdir(parents=True, exist_ok=True)
            (self._folder / "job.json").write_text(
                self._text + "\n", encoding="utf-8"
            )  # for who wants to know
            self._since = time.monotonic(), self._count()
            self._tell()
            yield
            shutil.rmtree(self._place, ignore_errors=True)

    def sentences(self, numbers: Sequence[int]) -> int:
        """How many there are in these shards."""
        return sum(len(self._parts[number]) for number in numbers)

    def missing(self) -> list[int]:
        """The numbers of the shards that are not there."""
        return [number for number in range(len(self._parts)) if self._read(number) is None]

    def make(self, numbers: Sequence[int], decode: Decode) -> None:
        """Make these shards."""
        for number in numbers:
            outputs, took = decode(
                [self._instances[index] for index in self._parts[number]], number
            )
            content = {"outputs": [as_record(output) for output in outputs], "took": took}
            if self._path(number).is_dir():  # nobody's: no reader takes it for a shard
                shutil.rmtree(self._path(number))
            with atomic_path(self._path(number)) as path:
                path.write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")
            if time.monotonic() - self._signed > SILENCE:
                self._tell()

    def collect(self) -> tuple[list[Generated], dict[str, float]]:
        """All outputs in the order of the instances, and what they took in all."""
        texts: dict[int, Generated] = {}
        total: dict[str, float] = {}
        for number, part in enumerate(self._parts):
            shard = self._read(number)
            if shard is None:
                raise InputError(
                    self._path(number),
                    "no finished shard",
                    "every shard",
                    "Start the same command again.",
                )
            outputs, took = shard
            texts |= dict(zip(part, outputs, strict=True))
            for name, value in took.items():
                total[name] = total.get(name, 0) + value
        return [texts[index] for index in range(len(self._instances))], total

    def _tell(self) -> None:
        """A heartbeat of the process that has the place: how many shards there are, whoever made
        them.
        """
        if self._since is None:
            return
        self._signed = now = time.monotonic()
        (began, there), done = self._since, self._count()
        pace = (now - began) / (done - there) if done > there else None
        left = None if pace is None else round(pace * (len(self) - done), 1)
        write_heartbeat(
            self._folder / HEARTBEAT_FILE, {"shards": len(self), "done": done, "seconds_left": left}
        )

    def _count(self) -> int:
        return sum(self._path(number).is_file() for number in range(len(self)))

    def _path(self, number: int) -> Path:
        return self._folder / f"{number:06}.json"

    def _read(self, number: int) -> tuple[list[Generated], dict[str, float]] | None:
        """A finished shard; None where there is none, or where what is there is none of it."""
        path = self._path(number)
        try:
            content = parse_json(path.read_text(encoding="utf-8"), str(path))
            instances = [self._instances[index] for index in self._parts[number]]
            pairs = zip(content["outputs"], instances, strict=True)
            outputs = [
                check_output(record, str(path), len(instance.tokens)) for record, instance in pairs
            ]
            took = {
                name: value + 0 for name, value in content["took"].items()
            }  # no number is a TypeError
        except (OSError, ValueError, TypeError, KeyError, AttributeError, InputError):
            return None
        texts = [output for output in outputs if isinstance(output, Generated)]
        return (
            (texts, took)
            if [output.id for output in texts] == [instance.id for instance in instances]
            else None
        )


def shards_folder(out: Path) -> Path:
    """Where the shards of an output lie until it is written: beside it, under a name that no rule
    declares.
    """
    return out.parent / f".{out.name}.shards"
