"""A dictionary of one corpus on the test sets of two others, from raw files to the report."""

import json

import polars as pl
import pytest
import yaml

from bioner.ops.planning.jobs import PlannedJob, outputs_of
from bioner.results.load import ReportContext, load_results
from tests import forked
from tests.workflow.snakemake import dry_run, planned, run, snakemake
from tests.workflow.test_plan import in_dry_run, jobs_by_rule, table_of

EAST = {
    "train": "# 1234567\n{Drug|Aspirin} for {Pain|head ache} .\n# e1\n{Drug|Ibuprofen} helps .\n",
    "dev": "# e2\n{Drug|Aspirin} again .\n",
    "test": "# e3\n{Drug|Aspirin} .\n# e4\n{Pain|Head ache} .\n",
}
# The first test document has the PubMed id of one that east is trained on. In the others there are
# five entities: a dictionary of east knows aspirin and ibuprofen, one of west all but ibuprofen.
WEST = {
    "train": "# w1\n{Medicine|Morphine} for {Ache|tooth ache} .\n{Medicine|Aspirin} too .\n",
    "dev": "# w2\n{Medicine|Morphine} again .\n",
    "test": (
        "# 1234567\n{Medicine|Aspirin} for {Ache|head ache} .\n# w4\n{Medicine|Aspirin} or"
        " {Medicine|morphine} ?\n# w5\n{Medicine|Morphine} and {Medicine|ibuprofen} for {Ache|tooth"
        " ache} .\n"
    ),
}
CORPORA = {"east": EAST, "west": WEST, "north": WEST}
TYPES = {"Drug": ["Medicine"], "Pain": ["Ache"]}
PAIRS = (("east", "west"), ("east", "north"))


@pytest.fixture
def corpora(tmp_path):
    """The corpora and a configuration that runs two of them; north is only predicted."""
    entries = {}
    for name, splits in CORPORA.items():
        for split, text in splits.items():
            (tmp_path / f"{name}-{split}.txt").write_text(text)
        files = {f"{split}.txt": {"path": f"{tmp_path}/{name}-{split}.txt"} for split in splits}
        of_splits = {split: f"{split}.txt" for split in splits}
        entries[name] = {"format": "inline", "files": files, "splits": of_splits}
    settings = {
        "datasets": ["east", "west"],
        "models": ["oracle", "dictionary"],
        "dataset_overrides": entries,
        "scoring": {"bootstrap": 200},
        "compare": {"resamples": 200},
    }
    (tmp_path / "without.yaml").write_text(yaml.safe_dump(settings))
    settings["cross"] = {"train": "east", "test": ["west", "north"], "types": TYPES}
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(settings))
    return tmp_path


def loaded(folder, cross=PAIRS, models=("oracle", "dictionary")) -> tuple[pl.DataFrame, list[str]]:
    """What a report reads of the drops, and what it leaves out."""
    about = ReportContext(cross=cross)
    found = load_results(folder / "results", folder / "data", ["east", "west"], models, about)
    return found.cross, [fault for (kind, *_), fault in found.faults.items() if kind == "cross"]


def test_a_run_across_corpora(corpora):
    overlay = corpora / "tiny.yaml"
    assert jobs_by_rule(table_of(corpora, overlay)) == in_dry_run(corpora, overlay)
    # North is fetched and predicted, but nothing is scored on it.
    jobs = run(corpora)
    assert jobs == {
        **dict.fromkeys(("fetch", "normalize"), 3),
        **dict.fromkeys(("predict", "realign"), 2 * 2 + 2),
        **dict.fromkeys(("score", "merge_scores"), 2 * 2),
        **{"cross": 2, "report": 1, "all": 1},
    }
    assert jobs_by_rule(table_of(corpora, overlay)) == in_dry_run(corpora, overlay) == {}

    table = pl.read_csv(corpora / "reports/cross.csv")
    assert table.select("train", "test", "model", "decoding", "label").rows() == [
        ("east", test, "dictionary", "direct", label)
        for test in ("west", "north")
        for label in ("all", "Drug", "Pain")
    ]
    west, north = (table.filter(test=test, label="all").row(0, named=True) for _, test in PAIRS)
    assert (west["gold_entities"], west["left_out"], west["clusters"]) == (5, 1, 2)
    assert (west["precision"], west["recall"]) == (100, 40)
    assert (west["f1"], west["home_f1"]) == (pytest.approx(400 / 7), pytest.approx(800 / 9))
    assert west["drop"] == pytest.approx(800 / 9 - 400 / 7)
    assert north["f1"] == west["f1"]
    assert (north["home_f1"], north["drop"]) == (None, None)
    record = json.loads((corpora / "results/east/cross/west/run.json").read_text())
    assert record["left_out"] == {"1234567": "1234567"}
    page = (corpora / "reports/report.html").read_text()
    assert page.count('id="table-cross"') == 1
    assert "Drop (domain and guideline)" in page
    assert "## `cross.csv`" in (corpora / "reports/README.md").read_text()

    # Without `cross` only the report is another.
    done = dry_run(corpora, "--configfile", str(corpora / "without.yaml"))
    assert "report  " in done
    assert "predict  " not in done
    again = snakemake(corpora, "--configfile", str(corpora / "without.yaml"), "--cores", "1")
    assert again.returncode == 0, again.stdout + again.stderr
    assert not (corpora / "reports/cross.csv").exists()
    reports = {str(path.relative_to(corpora)) for path in (corpora / "reports").iterdir()}
    assert reports == {*outputs_of(PlannedJob("report"))}
    assert "cross" not in (corpora / "reports/report.html").read_text().split("<body>")[1]


def test_what_does_not_belong_is_left_out(corpora):
    # East's dictionary on west, and west's own.
    assert planned(corpora, "results/east/cross/west/drop.csv")["predict"] == 2
    run(corpora, *(f"results/east/cross/{test}/drop.csv" for _, test in PAIRS))
    run(corpora, *(f"results/{name}/dictionary/scores.csv" for name in ("east", "west")))
    table, faults = loaded(corpora)
    assert (len(table), faults) == (6, [])
    assert len(loaded(corpora, cross=None)[0]) == 6, "those that are there"
    table, faults = loaded(corpora, models=["oracle"])
    assert (len(table), faults) == (0, []), "a model that is no part of the report"
    assert loaded(corpora, cross=[("west", "east")])[1][0].startswith(
        str(corpora / "results/west/cross/east/drop.csv")
    )

    for place in ("east/dictionary/seed42/direct/cross/west", "west/dictionary/seed42/direct"):
        predictions = corpora / "results" / place / "predictions.jsonl"
        before = predictions.read_text()
        predictions.write_text(before.replace("B-", "I-"))
        table, (fault,) = loaded(corpora)
        assert set(table["test"]) == {"north"}
        assert fault.endswith(f"dictionary: {predictions} was replaced since")
        predictions.unlink()
        assert loaded(corpora)[1] == [], "predictions may be gone"
        predictions.write_text(before)

    drop = corpora / "results/east/cross/west/drop.csv"
    of_one_seed = drop.read_text()
    pl.read_csv(drop).with_columns(home_seeds=2).write_csv(drop)
    assert loaded(corpora)[1][0].endswith("west × dictionary has 1 sound seeds, not 2")
    drop.write_text(of_one_seed)

    record = corpora / "results/east/dictionary/seed42/direct/cross/west/run.json"
    of_west = record.read_text()
    record.write_text(of_west.replace(json.loads(of_west)["data"]["gold"], "0" * 64))
    assert "seed 42, direct/cross/west: predicted for" in loaded(corpora)[1][0]
    record.write_text(of_west)

    dev = corpora / "data/north/dev.jsonl"
    dev.write_text(dev.read_text().replace("again", "anew"))
    table, (fault,) = loaded(corpora)
    assert set(table["test"]) == {"west"}
    assert "found drops made from another north/dev.jsonl" in fault

    (corpora / "results/west/dictionary/scores.csv").unlink()
    table, faults = loaded(corpora)
    assert len(table) == 0
    assert "west × dictionary has 0 sound seeds" in faults[0]


def test_types_that_a_corpus_does_not_have_end_with_one_line(corpora):
    run(corpora, "results/east/cross/west/drop.csv")
    predictions = "results/east/dictionary/seed42/direct/cross/west/predictions.jsonl"
    arguments = ["bioner", "cross", "east", "west", "--data", corpora / "data"]
    arguments += ["--system", f"dictionary:direct={corpora / predictions}", "--out", "drop.csv"]
    for types, said in (
        ({"Drug": ["Medicin"]}, "types.Drug: found no Drug or Medicin in west"),
        ({"all": ["Drug"]}, "--types: types.all: found the common name 'all'"),
    ):
        done = forked.run([*arguments, "--types", json.dumps(types)], corpora)
        assert done.returncode == 2
        (line,) = done.stderr.splitlines()
        assert said in line
        assert not (corpora / "drop.csv").exists()
