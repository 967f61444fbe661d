"""Small instances and tiny models that the tests share."""

import gc
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import settings

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
# Tiny models: a second thread only waits for the first, and a waiting thread burns its core.
os.environ.setdefault("OMP_NUM_THREADS", "1")

from bioner.data.instances import Instance
from bioner.settings.catalogue import parse_entry
from bioner.settings.model_entry import ModelEntry

# The same cases in every run, however slow the machine; `--hypothesis-profile default` draws
# others.
settings.register_profile("steady", deadline=None, derandomize=True)
settings.load_profile("steady")

pytest_plugins = ["tests.cpu", "tests.signals"]

REPOSITORY = Path(__file__).resolve().parents[1]


def instance(identity: str, text: str) -> Instance:
    """An instance from `token/TAG` words; a word without a slash is outside."""
    words = [word.rpartition("/") if "/" in word else (word, "/", "O") for word in text.split()]
    return Instance(
        identity, identity, [word for word, _, _ in words], [tag for _, _, tag in words]
    )


def wait_for(there: Callable[[], object], seconds: float = 300) -> None:
    """Wait until something is there; the limit is generous, for the machine may be busy with other
    things.
    """
    end = time.monotonic() + seconds
    while not there():
        assert time.monotonic() < end, f"nothing came of it in {seconds} seconds"
        time.sleep(0.01)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whole runs first: as the last tests, they would keep one process busy while the others
    wait.
    """
    items.sort(key=lambda item: "workflow" not in item.path.parts)


def pytest_collection_finish() -> None:
    """Imported modules are never garbage: looking through torch's half a million objects costs 0.5
    s per training.
    """
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def download_cache(tmp_path_factory, monkeypatch) -> Path:
    """No test leaves or finds downloads in the user's cache."""
    folder: Path = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("BIONER_CACHE", str(folder))
    return folder


@pytest.fixture
def repository() -> Path:
    return REPOSITORY


@pytest.fixture(scope="session")
def sentences() -> list[Instance]:
    """Three sentences with entities of one to three tokens, a colon inside a token, and a Greek
    letter.
    """
    return [
        instance(
            "s1",
            "Oral/O aspirin/B-Chemical worsened/O chronic/B-Disease renal/I-Disease"
            " failure/I-Disease ./O",
        ),
        instance("s2", "C18:1/B-Chemical raised/O TNF-α/B-Gene (/O 1:4/O )/O ./O"),
        instance("s3", "No/O gout/B-Disease ./O"),
    ]


@pytest.fixture(scope="session")
def tiny_encoder() -> ModelEntry:
    return parse_entry(
        ModelEntry,
        "tiny-bert",
        {
            "family": "encoder",
            "source": {
                "scratch": {
                    "architecture": "bert",
                    "vocabulary": 300,
                    "config": {
                        "hidden_size": 32,
                        "num_hidden_layers": 1,
                        "num_attention_heads": 2,
                        "intermediate_size": 32,
                        "max_position_embeddings": 32,
                    },
                }
            },
            "max_length": 32,
            "train": {"epochs": 2, "learning_rate": 1e-3, "batch_size": 2, "patience": 2},
        },
    )


@pytest.fixture(scope="session")
def tiny_llm() -> ModelEntry:
    return parse_entry(
        ModelEntry,
        "tiny-llama",
        {
            "family": "llm",
            "source": {
                "scratch": {
                    "architecture": "llama",
                    "vocabulary": 512,
                    "copy_steps": 2,
                    "config": {
                        "hidden_size": 64,
                        "num_hidden_layers": 1,
                        "num_attention_heads": 2,
                        "num_key_value_heads": 2,
                        "intermediate_size": 64,
                    },
                }
            },
            "train": {"epochs": 1, "learning_rate": 1e-3, "batch_size": 2, "patience": None},
        },
    )


@pytest.fixture(scope="session")
def trained_encoder(tiny_encoder, sentences, tmp_path_factory) -> Path:
    """The output folder of a small training of `tiny_encoder`, seed 7; read only."""
    return trained("tiny-bert", tiny_encoder, sentences, tmp_path_factory.mktemp("encoder"))


@pytest.fixture(scope="session")
def trained_llm(tiny_llm, sentences, tmp_path_factory) -> Path:
    """The output folder of a small training of `tiny_llm`, seed 7; read only."""
    return trained("tiny-llama", tiny_llm, sentences, tmp_path_factory.mktemp("llm"))


def trained(name: str, entry: ModelEntry, sentences: list[Instance], folder: Path) -> Path:
    from bioner.training.job import TrainingJob  # here: most tests need no torch
    from bioner.training.run import train

    data = {"dataset": "made-up", "train": "1" * 64, "dev": "2" * 64}
    train(TrainingJob(name, entry, sentences, sentences, 7, data=data), folder)
    return folder
