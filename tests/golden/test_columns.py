"""reports/README.md explains every report and column, and nothing else."""

from bioner.comparison.cross import DROP
from bioner.reporting.columns import OWN, TITLES, meaning
from tests.golden.trees import built


def test_every_column_of_every_report_is_explained(kept):
    tables = built(kept)
    text = (kept / "reports" / "README.md").read_text()
    for name, table in tables.items():
        assert name in TITLES
        assert f"## `{name}.csv`" in text
        for column in table.columns:
            assert meaning(name, column), (name, column)
            assert f"| `{column}` | {meaning(name, column)} |" in text


def test_nothing_is_explained_that_is_not_there(kept):
    tables = built(kept)
    for name, columns in OWN.items():
        if name != "scores":
            optional = {"conventions", "subsets", "cross"}  # by what the scores hold, and if asked
            assert name in optional or set(columns) <= set(tables[name].columns), name


def test_every_column_of_drops_is_explained_and_nothing_else():
    assert [column for column in DROP if not meaning("cross", column)] == []
    assert set(OWN["cross"]) <= set(DROP)
