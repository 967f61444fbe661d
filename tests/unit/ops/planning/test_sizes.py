"""Sizes of corpora: counted, known beforehand, from the paper, or unknown."""

import polars as pl
import pytest

from bioner.corpora.fetching.fetch import fetch
from bioner.corpora.normalize import normalize
from bioner.errors import InputError
from bioner.ops.planning.sizes import KNOWN, Size, size_of
from bioner.settings.catalogue import load_datasets
from bioner.settings.config import load_config

HEADER = "dataset,split,statistic,stratum,value\n"


def statistics(folder, text):
    (folder / "mine").mkdir()
    (folder / "mine" / "stats.csv").write_text(HEADER + text)


def test_what_is_normalized_is_counted(tmp_path):
    rows = [("train", 10, 130), ("dev", 4, 52), ("test", 6, 78)]
    text = [
        f"mine,{split},instances,all,{count}\nmine,{split},tokens,all,{tokens}\n"
        for split, count, tokens in rows
    ]
    statistics(
        tmp_path, "".join(text) + "mine,test,tags,O,3\nmine,test,tokens_per_instance,mean,12.5\n"
    )
    size = size_of("mine", tmp_path)
    assert size == Size({"train": 10, "dev": 4, "test": 6}, 13.0, "counted")
    assert size.length == 13 / 26


def test_corpora_of_the_catalogue_are_known_before_they_are_there(tmp_path):
    size = size_of("JNLPBA", tmp_path)
    assert size.sentences == {"train": 16807, "dev": 1739, "test": 3856}
    assert size.length == pytest.approx((445090 + 47461 + 101039) / (16807 + 1739 + 3856) / 26)
    # Nobody has counted ChemProt's training tokens; its other splits tell their length.
    assert size_of("ChemProt", tmp_path).tokens == pytest.approx((101544 + 246778) / (3360 + 8179))


def test_the_paper_tells_how_many_where_nothing_else_does(tmp_path):
    size = size_of("Reddit-Impacts", tmp_path)
    assert size.sentences == {"train": 842, "dev": 258, "test": 278}
    assert (size.tokens, size.length) == (None, 1.0)
    assert size_of("mine", tmp_path) is None


@pytest.mark.parametrize(
    "text",
    [
        "mine,train,instances,all,10\n",
        "".join(
            f"mine,{split},{what},all,0\n"
            for split in ("train", "dev", "test")
            for what in ("instances", "tokens")
        ),
        "mine,train,instances,all,NaN\n",
        "mine,train,instances,all,ten\n",
    ],
    ids=["half", "nothing", "no number", "a word"],
)
def test_broken_statistics_are_an_error(tmp_path, text):
    statistics(tmp_path, text)
    with pytest.raises(InputError, match=r"stats\.csv: found"):
        size_of("mine", tmp_path)


def test_the_demo_is_known_as_it_is(tmp_path):
    entry = load_datasets(load_config({}))["demo"]
    fetch("demo", entry, tmp_path / "raw", None)
    normalize("demo", entry, tmp_path / "raw", tmp_path / "demo")
    counted = size_of("demo", tmp_path)
    known = pl.read_csv(KNOWN).filter(dataset="demo")
    assert dict(known.select("split", "instances").iter_rows()) == counted.sentences
    assert known["tokens"].sum() == counted.tokens * sum(counted.sentences.values())
