"""JNLPBA and BC5CDR from a mirror: the paper's Tables I and II, and the dictionary control's known score."""

import os
from pathlib import Path

import polars as pl
import pytest

from bioner.config import REPOSITORY, load_catalogue, load_config
from bioner.corpora.fetch import fetch
from bioner.corpora.normalize import normalize
from bioner.instances import Prediction
from bioner.models.controls import predict_control
from bioner.scoring.score import score

MIRROR = os.environ.get("BIONER_MIRROR")
PAPER = REPOSITORY / "resources" / "paper"
DATASETS = ("JNLPBA", "BC5CDR")

pytestmark = pytest.mark.skipif(not MIRROR, reason="set BIONER_MIRROR to a folder of raw corpora to run this")


@pytest.fixture(scope="module")
def corpora(tmp_path_factory):
    """Splits and statistics of each corpus, through fetch and normalize."""
    out = tmp_path_factory.mktemp("corpora")
    catalogue = load_catalogue("datasets", load_config({}))
    found = {}
    for name in DATASETS:
        fetch(name, catalogue[name], out / "raw" / name, Path(MIRROR))
        splits = normalize(name, catalogue[name], out / "raw" / name, out / name)
        found[name] = splits, pl.read_csv(out / name / "stats.csv")
    return found


def paper_row(table, dataset):
    return pl.read_csv(PAPER / table).row(by_predicate=pl.col("dataset") == dataset, named=True)


def counts(stats, statistic, **where):
    return dict(
        stats.filter(statistic=statistic, **where).select("stratum" if "split" in where else "split", "value").rows()
    )


@pytest.mark.parametrize("dataset", DATASETS)
def test_instances_of_every_split_are_those_of_table_1(corpora, dataset):
    expected = paper_row("table1_instances.csv", dataset)
    del expected["dataset"]
    assert counts(corpora[dataset][1], "instances") == expected


@pytest.mark.parametrize("dataset", DATASETS)
def test_test_entities_by_length_are_those_of_table_2(corpora, dataset):
    expected = paper_row("table2_test_entities.csv", dataset)
    found = counts(corpora[dataset][1], "entities", split="test")
    assert found["all"] == expected["total"]
    assert found["1"] == expected["length_1"]
    assert found["2"] == expected["length_2"]
    assert found["3+"] == expected["length_3_plus"]


def test_the_jnlpba_test_set_has_404_documents(corpora):
    splits, stats = corpora["JNLPBA"]
    assert counts(stats, "documents", split="test") == {"all": 404}
    assert len({instance.doc for instance in splits["test"]}) == 404


@pytest.mark.parametrize(
    ("dataset", "types"),
    [("JNLPBA", {"DNA", "RNA", "protein", "cell_line", "cell_type"}), ("BC5CDR", {"Chemical", "Disease"})],
)
def test_the_entity_types_are_the_corpus_own(corpora, dataset, types):
    strata = counts(corpora[dataset][1], "entities", split="test")
    assert {stratum.removeprefix("type:") for stratum in strata if stratum.startswith("type:")} == types


def test_ids_are_unique_over_the_splits_of_a_corpus(corpora):
    for splits, _ in corpora.values():
        ids = [instance.id for instances in splits.values() for instance in instances]
        assert len(ids) == len(set(ids))


def test_a_dictionary_of_training_entities_reaches_70_to_71_5_strict_f1_on_bc5cdr(corpora):
    splits, _ = corpora["BC5CDR"]
    tags = predict_control("dictionary", splits["train"], splits["test"])
    predictions = [Prediction(gold.id, found) for gold, found in zip(splits["test"], tags, strict=True)]
    table = score(splits["test"], predictions, per_type=False)
    (f1,) = table.filter(scorer="semeval", scheme="strict", stratum="all", label="all")["f1"]
    assert 70.0 <= f1 <= 71.5
