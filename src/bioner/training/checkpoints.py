"""Checkpoints that can be relied on: sealed when complete, checked before use."""

import hashlib
import json
import logging
import shutil
from pathlib import Path
from typing import Any

from transformers.trainer_utils import sort_checkpoints

from bioner.io.checksums import sha256_of
from bioner.io.files import atomic_path

log = logging.getLogger(__name__)

MANIFEST = "manifest.json"  # written last: sizes and checksums of all files, and the progress


def folder_of(checkpoints: Path, step: int) -> Path:
    """Return where transformers puts the checkpoint of an optimiser step."""
    return checkpoints / f"checkpoint-{step}"


def write_manifest(checkpoint: Path, record: dict[str, Any]) -> None:
    """Seal a complete checkpoint, with a record for `read_manifest`."""
    files = {
        str(path.relative_to(checkpoint)): [path.stat().st_size, sha256_of(path)]
        for path in sorted(checkpoint.rglob("*"))
        if path.is_file() and path.name != MANIFEST
    }
    _seal(checkpoint, {"files": files, "record": record})


def read_manifest(checkpoint: Path) -> dict[str, Any]:
    """Return the record that a checkpoint was sealed with."""
    return dict(_content(checkpoint)["record"])


def replace_record(checkpoint: Path, record: dict[str, Any]) -> None:
    """Replace the record of a sealed checkpoint; its files are not read again."""
    _seal(checkpoint, {"files": _content(checkpoint)["files"], "record": record})


def fault_of(checkpoint: Path) -> str | None:
    """Return what is wrong with a folder, or None if it is sealed and unchanged since."""
    try:
        content = _content(checkpoint)
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


def remove_broken(checkpoints: Path) -> None:
    """Remove every checkpoint that was never finished or has changed since it was sealed."""
    for checkpoint in map(Path, sort_checkpoints(str(checkpoints))):
        if fault := fault_of(checkpoint):
            log.warning("%s is broken (%s): going on without it", checkpoint, fault)
            shutil.rmtree(checkpoint)


def newest(checkpoints: Path) -> Path | None:
    """Return the last checkpoint, if there is one."""
    found = sort_checkpoints(str(checkpoints))
    return Path(found[-1]) if found else None


def _content(checkpoint: Path) -> dict[str, Any]:
    return dict(json.loads((checkpoint / MANIFEST).read_text(encoding="utf-8")))


def _seal(checkpoint: Path, content: dict[str, Any]) -> None:
    with atomic_path(checkpoint / MANIFEST) as path:
        path.write_text(json.dumps(content | {"seal": _digest(content)}), encoding="utf-8")


def _digest(content: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps([content["files"], content["record"]]).encode()).hexdigest()
