"""Work done in shards, each written when finished: a job that was killed resumes with the rest.

A shard's content depends only on the instances and settings, not on who made it or when. So on the
CPU a job that was cut short, or shared among several processes, ends with the same bytes as one
that was not. (A GPU's sums may differ by the batch.)
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
from bioner.io.heartbeat import HEARTBEAT_FILE, JobProgress, exclusive_lock, write_heartbeat
from bioner.io.progress_bars import Meter

log = logging.getLogger(__name__)

SILENCE = 10.0  # seconds between two signs of life

# Takes the instances and number of a shard; returns their outputs and what they took.
Decode = Callable[[Sequence[Instance], int], tuple[list[Generated], dict[str, float]]]


class Shards:
    """The shards of one job, in a subfolder of `folder` named after `identity` and `size`."""

    def __init__(
        self, folder: Path, identity: dict[str, Any], instances: Sequence[Instance], size: int
    ) -> None:
        text = json.dumps({**identity, "size": size}, sort_keys=True)
        self._place, self._text = folder, text
        self._folder = folder / hashlib.sha256(text.encode()).hexdigest()[:16]
        longest_first = sorted(instances, key=lambda instance: -len(instance.tokens))
        self._parts = [
            longest_first[start : start + size] for start in range(0, len(instances), size)
        ]
        self._instances = instances
        self._meter: Meter | None = None  # of all shards, if this process has the place
        self._signed = 0.0

    def __len__(self) -> int:
        return len(self._parts)

    @contextmanager
    def owned(self) -> Iterator[None]:
        """Keep other jobs out; if the block ends well, remove all shards, also those of others.

        Called by one process, before any writes.

        Raises:
            InputError: another job has the place.
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
            # Not read again: it shows a user whose shards these are.
            (self._folder / "job.json").write_text(self._text + "\n", encoding="utf-8")
            self._meter = Meter("predict", "shards", len(self), done=self._count())
            self._tell()
            yield
            shutil.rmtree(self._place, ignore_errors=True)

    def sentences(self, numbers: Sequence[int]) -> int:
        """Count the sentences of these shards."""
        return sum(len(self._parts[number]) for number in numbers)

    def missing(self) -> list[int]:
        """Return the numbers of the unfinished shards."""
        return [number for number in range(len(self)) if self._read(number) is None]

    def make(self, numbers: Sequence[int], decode: Decode) -> None:
        """Decode and write these shards."""
        for number in numbers:
            outputs, took = decode(self._parts[number], number)
            content = {"outputs": [as_record(output) for output in outputs], "took": took}
            with atomic_path(self._path(number)) as path:
                path.write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")
            if time.monotonic() - self._signed > SILENCE:
                self._tell()

    def collect(self) -> tuple[list[Generated], dict[str, float]]:
        """Return all outputs in the order of the instances, and the sums of what they took."""
        texts: dict[str, Generated] = {}
        total: dict[str, float] = {}
        for number in range(len(self)):
            shard = self._read(number)
            if shard is None:
                raise InputError(
                    self._path(number),
                    "no finished shard",
                    "every shard",
                    "Start the same command again.",
                )
            texts |= {output.id: output for output in shard[0]}
            for name, value in shard[1].items():
                total[name] = total.get(name, 0) + value
        return [texts[instance.id] for instance in self._instances], total

    def _tell(self) -> None:
        """Write a heartbeat if this process has the place: how many shards are finished."""
        if self._meter is None:
            return
        self._signed = time.monotonic()
        self._meter.done = self._count()
        left = self._meter.left()
        progress = JobProgress(
            shards=len(self),
            done=self._meter.done,
            seconds_left=None if left is None else round(left, 1),
        )
        write_heartbeat(self._folder / HEARTBEAT_FILE, progress)

    def _count(self) -> int:
        return sum(self._path(number).is_file() for number in range(len(self)))

    def _path(self, number: int) -> Path:
        return self._folder / f"{number:06}.json"

    def _read(self, number: int) -> tuple[list[Generated], dict[str, float]] | None:
        """Read a finished shard; None if there is none or its file is broken."""
        path = self._path(number)
        try:
            content = parse_json(path.read_text(encoding="utf-8"), str(path))
            outputs = [
                check_output(record, str(path), len(instance.tokens))
                for record, instance in zip(content["outputs"], self._parts[number], strict=True)
            ]
            # Adding raises TypeError if it is no number.
            took = {name: value + 0 for name, value in content["took"].items()}
        except (OSError, ValueError, TypeError, KeyError, AttributeError, InputError):
            return None
        texts = [output for output in outputs if isinstance(output, Generated)]
        ids = [instance.id for instance in self._parts[number]]
        return (texts, took) if [output.id for output in texts] == ids else None


def shards_folder(out: Path) -> Path:
    """Return the folder of an output's shards: next to it, under a name that no rule declares."""
    return out.parent / f".{out.name}.shards"
