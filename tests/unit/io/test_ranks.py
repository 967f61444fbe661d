"""One rank of two fails, here without processes (with them: training/test_failures.py)."""

import pytest

from bioner.errors import InputError, Interrupted
from bioner.io import ranks
from bioner.io.ranks import GRACE, ending_together


class Store:
    """Where ranks meet; the count of those that failed before."""

    failures = 0

    def __init__(self, *_, **__):
        pass

    def add(self, key: str, more: int) -> int:
        Store.failures += more
        return Store.failures


@pytest.fixture
def alarms(monkeypatch) -> list[int]:
    """The seconds until this process would be killed; it has met another one."""
    found: list[int] = []
    monkeypatch.setattr("torch.distributed.TCPStore", Store)
    monkeypatch.setattr(Store, "failures", 0)
    monkeypatch.setattr(ranks.signal, "alarm", found.append)
    monkeypatch.setenv("MASTER_ADDR", "127.0.0.1")
    monkeypatch.setenv("MASTER_PORT", "1")
    return found


def test_a_rank_that_fails_says_so_and_is_killed_if_it_hangs(alarms):
    with pytest.raises(InputError), ending_together(2):
        raise InputError("a", "b", "c", "d")
    assert (Store.failures, alarms) == (1, [GRACE])


def test_a_rank_that_is_interrupted_has_not_failed(alarms):
    with pytest.raises(Interrupted), ending_together(2):
        raise Interrupted("tiny", 15, "")
    assert (Store.failures, alarms) == (0, [])


def test_a_failure_of_a_prediction_within_a_training_is_raised(alarms):
    with pytest.raises(ValueError, match="a bug"), ending_together(2), ending_together(2):
        raise ValueError("a bug")
    assert Store.failures == 1
