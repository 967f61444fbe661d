"""What a training job is given and what it leaves."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from bioner.config import Tree
from bioner.instances import Instance


@dataclass(frozen=True, slots=True)
class Job:
    """What to train: a catalogue entry on data, under a seed, in one of `processes` processes."""

    name: str
    entry: Tree
    train: Sequence[Instance]
    dev: Sequence[Instance]
    seed: int
    processes: int


@dataclass(frozen=True, slots=True)
class Trained:
    """What training leaves besides weights: history, facts for run.json, the number of trained parameters."""

    history: pl.DataFrame
    facts: dict[str, Any]
    parameters: int
