"""Text of the configuration that a shell would run, or a page would take for its own code."""

import html

import polars as pl
import pytest
import yaml

from tests.workflow.snakemake import snakemake

HOSTILE = 'it\'s $(touch pwned) `touch pwned` "x" {y} <b>z</b> ; touch pwned'
FREE = ("notice", "obtain", "license", "description")


@pytest.fixture
def hostile(folder):
    """A corpus that is there and one that is not, described by hostile text in every free key."""
    texts = {key: f"{key}: {HOSTILE}" for key in FREE}
    splits = {split: f"{split}.txt" for split in ("train", "dev", "test")}
    config = yaml.safe_load((folder / "tiny.yaml").read_text())
    config["datasets"] = ["tiny", "absent"]
    config["dataset_overrides"] = {
        "tiny": texts,
        "absent": {"format": "inline", "splits": splits, **texts},
    }
    config["prices"] = {"gpu_hour": 1, "cpu_hour": 2, "currency": HOSTILE}
    (folder / "tiny.yaml").write_text(yaml.safe_dump(config))
    return folder


def test_free_text_of_a_configuration_reaches_the_report_and_no_shell(hostile, monkeypatch):
    monkeypatch.delenv("BIONER_MIRROR", raising=False)
    done = snakemake(hostile, "--configfile", str(hostile / "tiny.yaml"), "--cores", "2")
    assert done.returncode == 0, done.stdout + done.stderr
    assert list(hostile.rglob("pwned")) == []
    page = (hostile / "reports" / "report.html").read_text()
    assert HOSTILE not in page
    shown = html.unescape(page)
    for key in ("notice", "obtain"):
        assert f"{key}: {HOSTILE}" in shown, key
    strict = pl.read_csv(hostile / "reports" / "table3_strict.csv").filter(length="all")
    assert strict.filter(dataset="tiny")["model"].to_list() == ["oracle", "all-o", "dictionary"]
