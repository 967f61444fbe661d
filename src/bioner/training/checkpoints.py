"""Checkpoints that can be relied on: sealed when whole, checked before use, the newest and the best
of them kept.
"""

import hashlib
import json
import logging
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bioner.io.checksums import sha256_of
from bioner.io.files import atomic_path

log = logging.getLogger(__name__)

MANIFEST = (
    "manifest.json"  # written last: sizes and checksums of all files, and how far training was
)


def folder_of(checkpoints: Path, step: int) -> Path:
    """Where transformers puts the checkpoint of an optimiser step."""
    return checkpoints / f"checkpoint-{step}"


def write_manifest(checkpoint: Path, record: dict[str, Any]) -> None:
    """Declare a checkpoint whole; `record` is what `sealed` gives back."""
    files = {
        str(path.relative_to(checkpoint)): [path.stat().st_size, sha256_of(path)]
        for path in sorted(checkpoint.rglob("*"))
        if path.is_file() and path.name != MANIFEST
    }
    content = {"files": files, "record": record}
    with atomic_path(checkpoint / MANIFEST) as path:
        path.write_text(json.dumps(content | {"seal": _digest(content)}), encoding="utf-8")


def read_manifest(checkpoint: Path) -> dict[str, Any]:
    """The record that a checkpoint was sealed with."""
    content = json.loads((checkpoint / MANIFEST).read_text(encoding="utf-8"))
    record: dict[str, Any] = content["record"]
    return record


def remove_broken(checkpoints: Path) -> None:
    """Remove every checkpoint that was not finished, or that is no longer what was sealed."""
    for checkpoint in _by_step(checkpoints):
        if fault := _fault(checkpoint):
            log.warning("%s is broken (%s): going on without it", checkpoint, fault)
            shutil.rmtree(checkpoint)


def newest(checkpoints: Path) -> Path | None:
    """The last checkpoint, where there is one."""
    return next(iter(_by_step(checkpoints)), None)


def rotate(checkpoints: Path, second_step: int | None) -> None:
    """Keep two: the newest, and that of `second_step` or, where there is none, the one before."""
    found = list(_by_step(checkpoints))
    second = None if second_step is None else folder_of(checkpoints, second_step)
    if second not in found[1:]:
        second = next(iter(found[1:]), None)
    for checkpoint in found[1:]:
        if checkpoint != second:
            shutil.rmtree(checkpoint)


def is_complete(folder: Path) -> bool:
    """Whether a folder was sealed and is as it was then."""
    return folder.is_dir() and _fault(folder) is None


def _digest(content: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps([content["files"], content["record"]]).encode()).hexdigest()


def _by_step(checkpoints: Path) -> Iterator[Path]:
    found = [
        path
        for path in checkpoints.glob("checkpoint-*")
        if path.name.removeprefix("checkpoint-").isdigit()
    ]
    yield from sorted(found, key=lambda path: -int(path.name.removeprefix("checkpoint-")))


def _fault(checkpoint: Path) -> str | None:
    try:
        content = json.loads((checkpoint / MANIFEST).read_text(encoding="utf-8"))
        if content["seal"] != _digest(content):
            return f"{MANIFEST} is not as it was written"
        files = content["files"]
    except FileNotFoundError:
        return "it was never finished"
    except (OSError, ValueError, KeyError, TypeError):
        return f"{MANIFEST} cannot be read"
    for name, (size, checksum) in files.items():
        path = checkpoint / name
        if not path.is_file() or path.stat().st_size != size:
            return f"{name} is not whole"
        if sha256_of(path) != checksum:
            return f"{name} holds other bytes"
    return None
