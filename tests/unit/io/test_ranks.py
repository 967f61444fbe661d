"""Ranks of one job end together; here one process that takes itself for one of two."""

from collections.abc import Iterator

import pytest
from torch.distributed import TCPStore

from bioner.io.ranks import ending_together


@pytest.fixture
def one_of_two(monkeypatch) -> Iterator[None]:
    store = TCPStore("127.0.0.1", 0, is_master=True)
    monkeypatch.setenv("MASTER_ADDR", "127.0.0.1")
    monkeypatch.setenv("MASTER_PORT", str(store.port))
    monkeypatch.setattr("signal.alarm", lambda seconds: None)
    monkeypatch.setattr("os._exit", lambda code: pytest.fail("ended without a word"))
    yield
    del store


def test_a_failure_of_a_prediction_within_a_training_is_raised(one_of_two):
    with pytest.raises(ValueError, match="a bug"), ending_together(2), ending_together(2):
        raise ValueError("a bug")
