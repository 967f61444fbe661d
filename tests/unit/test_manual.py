"""The manuals' tables are those of the schemas and the code."""

import runpy

import pytest

from bioner.settings.config import REPOSITORY

MADE = runpy.run_path(str(REPOSITORY / "docs" / "manual.py"))


@pytest.mark.parametrize("path", MADE["MANUALS"], ids=lambda path: path.name)
def test_the_manuals_tables_are_up_to_date(path):
    text = path.read_text(encoding="utf-8")
    assert "made by `make manual`" in text
    assert MADE["manual"](text) == text, "run `make manual`"
