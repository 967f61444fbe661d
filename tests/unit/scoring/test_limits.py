"""The limits under which a stratum has neither interval nor test."""

import pytest

from bioner.scoring.limits import FEWEST_DOCUMENTS, FEWEST_ENTITIES, limit_of


@pytest.mark.parametrize(
    ("entities", "documents", "kind", "limit"),
    [
        (30, 10, "document", None),
        (29, 10, "document", "29 gold entities"),
        (30, 9, "document", "9 documents"),
        (30, 9, "sentence", "9 sentences"),
        (1, 1, "document", "1 gold entity"),
        (0, 0, "document", "0 gold entities"),
        (30, 1, "document", "1 document"),
    ],
)
def test_the_limit_that_fired_is_named(
    entities: int, documents: int, kind: str, limit: str | None
) -> None:
    assert limit_of(entities, documents, kind) == limit


def test_the_limits_are_those_of_the_documentation() -> None:
    assert (FEWEST_ENTITIES, FEWEST_DOCUMENTS) == (30, 10)
