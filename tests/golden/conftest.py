"""Real corpora from a mirror, each read once; a small tree of kept files."""

import os
import shutil
from pathlib import Path

import polars as pl
import pytest

from bioner.corpora.fetching.fetch import fetch
from bioner.corpora.normalize import normalize
from bioner.reporting.figures import figures
from bioner.reporting.page import PageFigure
from bioner.settings.catalogue import load_datasets
from bioner.settings.config import load_config
from bioner.settings.repository import REPOSITORY
from bioner.settings.yaml_files import read_yaml
from tests.golden.trees import bc5cdr

MIRROR = os.environ.get("BIONER_MIRROR")


@pytest.fixture(scope="session")
def catalogue():
    """The catalogue with the stand-in for ChemProt's training split; ChemProt-paper borrows it,
    too.
    """
    config = load_config(read_yaml(REPOSITORY / "config" / "chemprot-standin.yaml"))
    found = load_datasets(config)
    keys = ("files", "splits", "mirror_folder")
    standin = {key: getattr(found["ChemProt-standin"], key) for key in keys}
    return found | {"ChemProt-paper": found["ChemProt-paper"].model_copy(update=standin)}


@pytest.fixture(scope="session")
def corpora(tmp_path_factory, catalogue):
    """Splits, statistics and changes of a corpus, through fetch and normalize, once."""
    out = tmp_path_factory.mktemp("corpora")
    made = {}

    def corpus(name):
        if name not in made:
            fetch(name, catalogue[name], out / "raw" / name, Path(MIRROR))
            splits = normalize(name, catalogue[name], out / "raw" / name, out / name)
            made[name] = (
                splits,
                pl.read_csv(out / name / "stats.csv"),
                pl.read_csv(out / name / "changes.csv"),
            )
        return made[name]

    return corpus


@pytest.fixture(scope="session")
def tree(tmp_path_factory) -> Path:
    return bc5cdr(tmp_path_factory.mktemp("tree"))


@pytest.fixture
def kept(tmp_path, tree) -> Path:
    """A small tree of kept files, a copy for each test to change."""
    return Path(shutil.copytree(tree, tmp_path, dirs_exist_ok=True))


DRAWN: dict[tuple[str, ...], list[PageFigure]] = {}


@pytest.fixture(autouse=True)
def drawn_once(monkeypatch):
    """Figures are drawn once of tables with values in the same places: they are most of what a
    report costs.

    Tests of tables look at none. Notes are not drawn, and of numbers only the sign may make a
    difference in kind.
    """

    def kind(table: pl.DataFrame | dict[str, str]) -> str:
        if not isinstance(table, pl.DataFrame):
            return repr(table)
        return (
            table.select(pl.exclude("note"))
            .with_columns(pl.col(pl.Float64, pl.Int64).sign())
            .write_json()
        )

    def remembered(*tables: pl.DataFrame | dict[str, str]) -> list[PageFigure]:
        key = tuple(map(kind, tables))
        if key not in DRAWN:
            DRAWN[key] = figures(*tables)
        return DRAWN[key]

    monkeypatch.setattr("bioner.reporting.figures.figures", remembered)
