"""Tables of a small result tree have not changed: text and counts exactly, others to 9 digits."""

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from bioner.reporting.columns import TITLES
from tests.golden.complete_tree import FROZEN, complete_tree, reports_of


@pytest.fixture(scope="module")
def reports(tmp_path_factory):
    folder = tmp_path_factory.mktemp("complete")
    complete_tree(folder)
    reports_of(folder)
    return folder / "reports"


def test_every_table_is_frozen(reports):
    frozen = {path.name for path in FROZEN.glob("*.csv")}
    assert frozen == {path.name for path in reports.glob("*.csv")}
    # The mean over corpora needs larger ones (tests/unit/comparison/test_corpora_mean_command.py).
    filled = frozen - {"corpora_mean.csv"}
    assert all((FROZEN / name).read_text().count("\n") > 1 for name in filled), (
        "a table without a row checks nothing"
    )


@pytest.mark.parametrize("name", [name for name in TITLES if name != "cross"])
def test_a_table_is_what_it_was(reports, name):
    now, then = (
        pl.read_csv(folder / f"{name}.csv", infer_schema_length=None)
        for folder in (reports, FROZEN)
    )
    assert_frame_equal(now, then, rel_tol=1e-9, abs_tol=1e-9)
