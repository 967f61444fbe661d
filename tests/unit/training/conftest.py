"""A small job, and what comes of it when nobody disturbs it."""

from dataclasses import replace
from pathlib import Path

import pytest

from bioner.config import merged
from bioner.training.job import Job
from bioner.training.run import train


@pytest.fixture(scope="module")
def job(tiny_encoder, sentences) -> Job:
    """Twelve sentences in batches of two: six steps an epoch, up to four epochs, dropout as BERT has it."""
    many = [replace(item, id=f"{item.id}-{number}") for number in range(4) for item in sentences]
    entry = merged(tiny_encoder, {"train": {"epochs": 4, "patience": 3, "learning_rate": 1e-2}})
    return Job("tiny-bert", entry, many, sentences, 7)


@pytest.fixture(scope="module")
def undisturbed(job, tmp_path_factory) -> Path:
    folder: Path = tmp_path_factory.mktemp("undisturbed") / "run"
    train(job, folder)
    return folder
