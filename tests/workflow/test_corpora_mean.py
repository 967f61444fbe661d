"""The mean difference over two corpora, from raw files to the report: ensembles of controls."""

import re

import polars as pl
import pytest
import yaml

from tests.workflow.snakemake import dry_run, jobs, run


def text_of(corpus: str) -> str:
    """Twelve documents of three drugs, of which a dictionary knows as many as chance has it."""
    documents = []
    for number in range(12):
        drugs = ["Aspirin" if (number * place) % 5 < 2 else "Ibuprofen" for place in (1, 2, 3)]
        marked = " , ".join(f"{{Drug|{drug}}}" for drug in drugs)
        documents.append(f"# {corpus}{number}\n{marked} .\n")
    return "".join(documents)


@pytest.fixture
def folder(tmp_path):
    entries = {}
    for name in ("east", "west"):
        splits = {"train": "# t\n{Drug|Aspirin} helps .\n", "dev": "# d\n{Drug|Aspirin} .\n"}
        splits["test"] = text_of(name)
        for split, text in splits.items():
            (tmp_path / f"{name}-{split}.txt").write_text(text)
        files = {f"{split}.txt": {"path": f"{tmp_path}/{name}-{split}.txt"} for split in splits}
        of_splits = {split: f"{split}.txt" for split in splits}
        entries[name] = {"format": "inline", "files": files, "splits": of_splits}
    ensembles = {
        f"with-{control}": {
            "family": "ensemble",
            "combine": "union",
            "members": ["dictionary", control],
        }
        for control in ("oracle", "all-o")
    }
    (tmp_path / "models.yaml").write_text(yaml.safe_dump(ensembles))
    settings = {
        "datasets": ["east", "west"],
        "models": ["dictionary", *ensembles],
        "seeds": [1, 2, 3],
        "dataset_overrides": entries,
        "catalogues": {"models": ["config/models.yaml", str(tmp_path / "models.yaml")]},
        "scoring": {"bootstrap": 200},
        "compare": {"resamples": 2000},
    }
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(settings))
    return tmp_path


def test_the_mean_is_planned_once_for_all_corpora_with_the_best_of_each_and_not_for_one(folder):
    settings = yaml.safe_load((folder / "tiny.yaml").read_text())

    def plan(*targets, **changes):
        (folder / "tiny.yaml").write_text(yaml.safe_dump(settings | changes))
        configured = ("--configfile", str(folder / "tiny.yaml"))
        return dry_run(folder, *targets, "--printshellcmds", *configured)

    models = [*settings["models"], "bert-mini", "llama-mini"]
    text = plan("results/corpora_mean.csv", "results/east/comparisons.csv", models=models)
    assert (jobs(text)["compare_corpora"], jobs(text)["select_best"]) == (1, 2)
    (command,) = re.findall(r"bioner compare-all .*", text)
    assert "--deterministic dictionary" in command

    text = plan(datasets=["east"], compare={"resamples": 2000, "margins": {"f1": 0.5}})
    assert "compare_corpora" not in jobs(text)
    assert re.search(r"bioner report .*--margins '\{\"f1\":\s*0.5\}'", text)


@pytest.mark.slow
def test_the_mean_is_on_the_page(folder):
    assert run(folder)["compare_corpora"] == 1
    (row,) = pl.read_csv(folder / "reports/corpora_mean.csv").filter(measure="f1").to_dicts()
    assert (row["model"], row["baseline_model"]) == ("with-oracle", "with-all-o")
    scores = pl.read_csv(folder / "reports/scores.csv").filter(
        scorer="semeval", scheme="strict", stratum="all", label="all"
    )
    means = dict(scores.group_by("model").agg(pl.col("f1").mean()).iter_rows())
    assert row["difference"] == pytest.approx(means["with-oracle"] - means["with-all-o"])
    assert (row["family"], row["verdict"]) == ("exploratory", "higher")
    assert 'id="table-corpora_mean"' in (folder / "reports/report.html").read_text()
