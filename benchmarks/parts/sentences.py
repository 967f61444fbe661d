"""Sentences to measure on: a real corpus where BIONER_MIRROR names a mirror, else the demo
corpus.
"""

import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from bioner.corpora.fetching.fetch import fetch
from bioner.corpora.normalize import normalize
from bioner.data.instances import Instance
from bioner.settings.catalogue import load_datasets
from bioner.settings.config import load_config

Item = TypeVar("Item")


def corpus(folder: Path, name: str = "JNLPBA") -> tuple[str, list[Instance], list[Instance]]:
    """Name, training and test sentences of that corpus, or of the demo's where there is no
    mirror.
    """
    mirror = Path(os.environ["BIONER_MIRROR"]) if "BIONER_MIRROR" in os.environ else None
    name = name if mirror else "demo"
    entry = load_datasets(load_config({}))[name]
    fetch(name, entry, folder / name / "raw", mirror)
    splits = normalize(name, entry, folder / name / "raw", folder / name)
    return name, splits["train"], splits["test"]


def evenly(items: Sequence[Item], count: int, length: Callable[[Item], int]) -> list[Item]:
    """That many of them, of all lengths as they are among all."""
    ordered = sorted(items, key=length)
    return [ordered[(2 * place + 1) * len(ordered) // (2 * count)] for place in range(count)]


def seconds(run: Callable[[], Any]) -> tuple[float, Any]:
    """Wall time, and what came out."""
    start = time.perf_counter()
    result = run()
    return time.perf_counter() - start, result
