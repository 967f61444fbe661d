"""Work that is done in shards, each kept when it is finished: a job that was killed goes on with those it lacks.

A shard's content depends on the instances and settings alone, not on who made it or when, so a job that was cut short,
or shared among several processes, ends with the same bytes as one that was not.
"""

import json
import logging
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from bioner.errors import InputError
from bioner.files import atomic_path
from bioner.instances import Instance
from bioner.raw import Generated, as_record

log = logging.getLogger(__name__)

Decode = Callable[[Sequence[Instance], int], tuple[list[Generated], dict[str, float]]]
"""Outputs of a shard's instances, given its number, and what they took, to be added up."""


class Shards:
    """The shards of one job in a folder of their own; those of another job found there are thrown away."""

    def __init__(self, folder: Path, identity: dict[str, Any], instances: Sequence[Instance], size: int) -> None:
        self._folder, self._identity = folder, json.loads(json.dumps({**identity, "size": size}))
        order = sorted(range(len(instances)), key=lambda index: (-len(instances[index].tokens), index))
        self._parts = [order[start : start + size] for start in range(0, len(order), size)]
        self._instances = instances

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Make the folder this job's; when the block ends well it goes. InputError where another process has it.

        By one process, before any writes.
        """
        self._folder.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(f"{self._folder}.lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            remedy = "Wait for it, end it, or choose another --out."
            found, expected = "another process that predicts here", "an output of its own"
            raise InputError(self._folder, found, expected, remedy) from None
        try:
            self._claim()
            yield
            shutil.rmtree(self._folder, ignore_errors=True)
        finally:
            Path(lock.lock_file).unlink(missing_ok=True)
            lock.release()

    def _claim(self) -> None:
        job = self._folder / "job.json"
        with suppress(OSError, ValueError):
            if json.loads(job.read_text(encoding="utf-8")) == self._identity:
                return
        if self._folder.exists():
            log.info("predict: settings or data have changed since %s was begun; starting over", self._folder.name)
            shutil.rmtree(self._folder)
        with atomic_path(self._folder) as folder:
            folder.mkdir()
            (folder / "job.json").write_text(json.dumps(self._identity), encoding="utf-8")

    def make(self, decode: Decode, process: int = 0, processes: int = 1) -> None:
        """Make the shards that are missing, every `processes`-th of them from number `process` on."""
        missing = [number for number in range(len(self._parts)) if self._read(number) is None]
        if len(missing) < len(self._parts) and process == 0:
            log.info("predict: going on; %d of %d shards are there", len(self._parts) - len(missing), len(self._parts))
        for number in missing:
            if number % processes != process:
                continue
            outputs, took = decode([self._instances[index] for index in self._parts[number]], number)
            content = {"outputs": [as_record(output) for output in outputs], "took": took}
            with atomic_path(self._path(number)) as path:
                path.write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")
            log.info("predict: shard %d of %d", number + 1, len(self._parts))

    def collect(self) -> tuple[list[Generated], dict[str, float]]:
        """All outputs in the order of the instances, and what they took in all."""
        texts: dict[int, Generated] = {}
        total: dict[str, float] = {}
        for number, part in enumerate(self._parts):
            shard = self._read(number)
            if shard is None:
                raise InputError(
                    self._path(number), "no finished shard", "every shard", "Start the same command again."
                )
            outputs, took = shard
            texts |= dict(zip(part, outputs, strict=True))
            for name, value in took.items():
                total[name] = total.get(name, 0) + value
        return [texts[index] for index in range(len(self._instances))], total

    def _path(self, number: int) -> Path:
        return self._folder / f"{number:06}.json"

    def _read(self, number: int) -> tuple[list[Generated], dict[str, float]] | None:
        """A finished shard; None where there is none, or where what is there is none of it."""
        try:
            content = json.loads(self._path(number).read_text(encoding="utf-8"))
            outputs = [Generated(**output) for output in content["outputs"]]
            took: dict[str, float] = content["took"]
        except (OSError, ValueError, TypeError, KeyError):
            return None
        ids = [self._instances[index].id for index in self._parts[number]]
        return (outputs, took) if [output.id for output in outputs] == ids else None


def shards_folder(out: Path) -> Path:
    """Where the shards of an output lie until it is written: beside it, under a name that no rule declares."""
    return out.parent / f".{out.name}.shards"
