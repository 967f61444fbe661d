"""The schemas and the manuals' tables are those of the settings and the code."""

import runpy

import pytest

from bioner.settings.repository import REPOSITORY

MADE = runpy.run_path(str(REPOSITORY / "docs" / "manual.py"))


@pytest.mark.parametrize("path", MADE["MANUALS"], ids=lambda path: path.name)
def test_the_manuals_tables_are_up_to_date(path):
    text = path.read_text(encoding="utf-8")
    assert "made by `make manual`" in text
    assert MADE["manual"](text) == text, "run `make manual`"


@pytest.mark.parametrize("name", ["config", "datasets", "models"])
def test_the_schemas_are_up_to_date(name):
    name = f"{name}.schema.yaml"
    text = (MADE["SCHEMAS"] / name).read_text(encoding="utf-8")
    assert MADE["schema_texts"]()[name] == text, "run `make manual`"
