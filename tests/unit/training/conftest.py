"""Small jobs, what comes of them when nobody disturbs them, and what is left when somebody does."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from transformers.trainer_utils import rotate_checkpoints

from bioner.io.heartbeat import lock_is_held
from bioner.training.job import TrainingJob
from bioner.training.progress import Progress
from bioner.training.run import train
from bioner.training.workspace import LOCK
from tests.unit.training.helpers import Crash, at_step, crash, stand_in


@pytest.fixture(scope="session")
def job(tiny_encoder, sentences) -> TrainingJob:
    """Twelve sentences in batches of two: six steps an epoch, up to four epochs, dropout as BERT
    has it.
    """
    many = [replace(item, id=f"{item.id}-{number}") for number in range(4) for item in sentences]
    entry = tiny_encoder.changed(train={"epochs": 4, "patience": 3, "learning_rate": 1e-2})
    return TrainingJob("tiny-bert", entry, many, sentences, 7)


@pytest.fixture(scope="session")
def undisturbed(job, tmp_path_factory) -> Path:
    folder: Path = tmp_path_factory.mktemp("undisturbed") / "run"
    train(job, folder)
    return folder


@pytest.fixture(scope="session")
def cut_short(job, tmp_path_factory) -> Path:
    """The job's folder after a crash in the third epoch, with checkpoints 6 and 12; tests take
    copies of it.
    """
    folder: Path = tmp_path_factory.mktemp("cut-short") / "run"
    with pytest.MonkeyPatch.context() as patch, pytest.raises(Crash):
        at_step(patch, 15, crash)
        train(job, folder)
    return folder


@pytest.fixture(scope="session")
def observed(job, tmp_path_factory) -> SimpleNamespace:
    """The job under observation: it leaves a sign at every step, and what it holds and shows is
    written down.
    """
    folder: Path = tmp_path_factory.mktemp("observed") / "run"
    found = SimpleNamespace(folder=folder, locked=[], held=[], closed=[])
    close = Progress.close

    def rotated(where: str, **options: object) -> None:
        rotate_checkpoints(where, **options)
        found.held.append(
            sorted(int(path.name.split("-")[1]) for path in Path(where).glob("checkpoint-*"))
        )

    def closed(self: Progress) -> None:
        close(self)
        found.closed.append(self._meter)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("bioner.training.progress.SILENCE", -1)
        patch.setattr("bioner.training.trainer.rotate_checkpoints", rotated)
        patch.setattr(Progress, "close", closed)
        at_step(patch, 3, lambda: found.locked.append(lock_is_held(folder / LOCK, None, 0)))
        train(job, folder)
    return found


@pytest.fixture(scope="session")
def llama(sentences, tmp_path_factory) -> Path:
    """A stand-in of Llama; read only."""
    return stand_in(tmp_path_factory.mktemp("llama") / "source", "llama", sentences)


@pytest.fixture(scope="session")
def mistral(sentences, tmp_path_factory) -> Path:
    """A stand-in of Mistral; read only."""
    return stand_in(tmp_path_factory.mktemp("mistral") / "source", "mistral", sentences)
