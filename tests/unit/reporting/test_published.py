"""The published numbers: each is one row, with its known differences."""

import math

import polars as pl
import pytest

from bioner.reporting.published import contradictions, differences, published, unstated_setting
from bioner.reporting.reproduction import MODELS, reproduction_table
from bioner.reporting.tables import BERT_FAMILY, PAPER
from bioner.settings.catalogue import load_models
from bioner.settings.config import load_config
from tests.unit.reporting.numbers import cell, loaded


def test_every_published_number_is_a_row_once():
    """Counted from the files: 5·3 splits, 5·4 lengths, 120·3 scores, 20 seconds, 30·3 scores."""
    sizes = {"I": (5, 3), "II": (5, 4), "III": (120, 3), "IV": (20, 1), "V": (30, 3)}
    files = sorted(PAPER.glob("table*.csv"))
    assert [len(pl.read_csv(path)) for path in files] == [rows for rows, _ in sizes.values()]
    table = reproduction_table(loaded())
    assert {name: table.filter(table=name).height for name in sizes} == {
        name: a * b for name, (a, b) in sizes.items()
    }
    assert table.height == 505
    assert (
        not table.select("table", "dataset", "model", "split", "length", "measure")
        .is_duplicated()
        .any()
    )
    assert math.fsum(table["paper"]) == pytest.approx(
        math.fsum(
            value
            for path in files
            for column in pl.read_csv(path)
            if column.dtype.is_numeric()
            for value in column.cast(pl.Float64)
        )
    )


def test_numbers_are_those_of_the_files():
    table = published()
    assert cell(table, table="I", dataset="BioRED", split="dev")["paper"] == 269
    assert cell(table, table="II", dataset="BC5CDR", length="3+")["paper"] == 964
    where = {"table": "III", "dataset": "JNLPBA", "model": "llama-8b", "length": "2"}
    assert cell(table, **where, measure="precision")["paper"] == 91.51
    assert cell(table, table="IV", dataset="BioRED", model="mistral-7b")["paper"] == 11.5464
    assert (
        cell(table, table="V", dataset="BC5CDR", model="mistral-7b", measure="recall")["paper"]
        == 91.67
    )


def test_three_printed_f1_do_not_follow_from_their_precision_and_recall():
    """2·91.33·90.58 / (91.33 + 90.58) = 90.95, and 90.90 is printed."""
    odd = {
        tuple(next(iter(each.where[key])) for key in ("table", "dataset", "model", "length")): each
        for each in contradictions(published())
    }
    assert sorted(odd) == [
        ("V", "BioRED", "llama-8b", "all"),
        ("V", "ChemProt", "llama-8b", "all"),
        ("V", "Reddit-Impacts", "bert-large-cased", "all"),
    ]
    assert odd["V", "BioRED", "llama-8b", "all"].name.endswith("which give 90.95")
    row = {"table": "V", "dataset": "BioRED", "model": "llama-8b"}
    table = reproduction_table(loaded())
    assert "90.95" in cell(table, **row, measure="f1")["known"]
    assert "90.95" not in cell(table, **row, measure="recall")["known"]


def test_stated_settings_are_those_that_the_paper_s_models_ship_with():
    """Every entry of the catalogue and every point of its search space is as the paper states."""
    for name, entry in load_models(load_config({})).items():
        if name in MODELS:
            assert unstated_setting(name, entry.canonical()) is None
            for key, values in entry.searched().items():
                for value in values:
                    train = entry.canonical()["train"] | {key: value}
                    assert unstated_setting(name, {"train": train}) is None, (name, key, value)
    assert unstated_setting("llama-8b", {"lora": {"r": 64}}) == "lora.r 64, where the paper has 128"


def test_what_is_known_concerns_some_number_and_is_told_in_the_manual(repository):
    manual = (repository / "docs" / "reproduction.md").read_text(encoding="utf-8")
    headings = {line.lstrip("# ") for line in manual.splitlines() if line.startswith("#")}
    cells = list(published().iter_rows(named=True))
    for difference in differences():
        assert any(difference.concerns(each) for each in cells), difference.name
        assert difference.source in headings, difference.name
        names = {key: {each[key] for each in cells} for key in difference.where}
        for key, values in difference.where.items():
            assert values <= names[key], difference.name


def test_what_is_known_stands_beside_its_numbers_alone():
    table = reproduction_table(loaded())
    known = {
        name: table.filter(pl.col("known").str.contains(name))
        for name in ("last epoch", "windows", "mislabelled")
    }
    assert set(known["last epoch"]["model"]) == {*BERT_FAMILY, "deberta-v3-large"}
    assert set(known["windows"].select("table", "length").rows()) == {
        ("III", length) for length in ("1", "2", "3+")
    }
    assert set(known["mislabelled"]["dataset"]) == {"ChemProt"}
