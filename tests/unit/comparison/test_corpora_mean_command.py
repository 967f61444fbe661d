"""`bioner compare-corpora` reads a results folder, and a report reads what it wrote."""

import numpy as np
import polars as pl
import pytest
from typer.testing import CliRunner

from bioner.cli import app
from bioner.data.instances import Instance, Prediction, write_instances, write_predictions
from bioner.errors import InputError
from bioner.io.tables import write_table
from bioner.reporting.corpora_mean import corpora_mean_table
from bioner.results.load import ReportContext, load_results
from bioner.scoring.score import ScoredRun, score
from bioner.scoring.selection import SELECTION
from bioner.settings.config import Scoring

CORPORA, SEEDS = ("east", "west"), (1, 2, 3)
SYSTEMS = {"llm:free": 0.9, "bert:direct": 0.7, "other:direct": 0.6}  # share of entities found
# On west the other encoder is the best on dev.
CHOSEN = {"east": ("llm", "bert"), "west": ("llm", "other")}


@pytest.fixture
def tree(tmp_path):
    """Predictions and scores of three systems on two corpora of 40 documents with 5 entities."""
    draw = np.random.default_rng(1)
    for corpus in CORPORA:
        gold = [
            Instance(f"{corpus}{n}", f"{corpus}{n}", ["gout", "and"] * 5, ["B-D", "O"] * 5)
            for n in range(40)
        ]
        (tmp_path / "data" / corpus).mkdir(parents=True)
        write_instances(tmp_path / "data" / corpus / "test.jsonl", gold)
        for name, share in SYSTEMS.items():
            model, decoding = name.split(":")
            scores = []
            for seed in SEEDS:
                run = [
                    Prediction(
                        each.id, [tag if draw.random() < share else "O" for tag in each.tags]
                    )
                    for each in gold
                ]
                folder = tmp_path / "results" / corpus / model / f"seed{seed}" / decoding
                folder.mkdir(parents=True)
                write_predictions(folder / "predictions.jsonl", run)
                whose = ScoredRun(corpus, model, seed, decoding)
                scores.append(score(gold, run, whose, Scoring(bootstrap=0)))
            write_table(tmp_path / "results" / corpus / model / "scores.csv", pl.concat(scores))
        chosen = [
            {
                "dataset": corpus,
                "family": "llm" if name.startswith("llm") else "encoder",
                "model": name.split(":")[0],
                "decoding": name.split(":")[1],
                "chosen_by": "search",
                "chosen": name.split(":")[0] in CHOSEN[corpus],
            }
            for name in SYSTEMS
        ]
        selection = pl.DataFrame(chosen, schema=SELECTION)
        write_table(tmp_path / "results" / corpus / "selection.csv", selection)
    return tmp_path


def arguments(tree, *more, datasets=CORPORA, systems=SYSTEMS):
    names = [f"--dataset={name}" for name in datasets] + [f"--system={name}" for name in systems]
    names += [f"--seed={seed}" for seed in SEEDS]
    paths = [f"--{name}={tree / name}" for name in ("results", "data")]
    out = tree / "results" / "corpora_mean.csv"
    return ["compare-corpora", *paths, *names, f"--out={out}", "--resamples=2000", *more]


def compared(tree, *more, **changes):
    result = CliRunner().invoke(app, arguments(tree, *more, **changes))
    if result.exception:
        raise result.exception
    return pl.read_csv(tree / "results" / "corpora_mean.csv")


def loaded(tree, models=("llm", "bert", "other"), datasets=CORPORA):
    found = load_results(tree / "results", tree / "data", datasets, models, ReportContext(cross=()))
    return found.corpora_mean, found.faults.get(("corpora_mean", "", ""))


def test_the_mean_of_a_results_folder_is_that_of_its_scores_and_is_reported(tree):
    table = compared(tree, "--best")
    assert len(table) == 2 * (1 + 3)  # two measures; the best, and three pairs
    scores = pl.concat(
        pl.read_csv(tree / "results" / corpus / model / "scores.csv")
        for corpus, models in CHOSEN.items()
        for model in models
    ).filter(scorer="semeval", scheme="strict", stratum="all", label="all")
    pooled = scores.group_by("dataset", "model").agg(
        f1=200 * pl.col("correct").sum() / (pl.col("possible") + pl.col("actual")).sum()
    )
    is_llm = pl.col("model") == "llm"
    lead = pooled.filter(is_llm)["f1"].mean() - pooled.filter(~is_llm)["f1"].mean()
    first = table.row(0, named=True)
    assert (first["model"], first["baseline_model"]) == ("best-llm", "best-encoder")
    assert first["difference"] == pytest.approx(lead)

    means, fault = loaded(tree)
    assert (len(means), fault) == (8, None)
    judged = corpora_mean_table(means, {"f1": 1.0})
    assert judged["verdict"].unique().to_list() == ["higher"]


def test_means_of_what_is_no_longer_scored_are_left_out_of_a_report(tree):
    compared(tree, "--best")
    # The pair of these two; the best encoder of west is another.
    assert len(loaded(tree, models=("llm", "bert"))[0]) == 2
    path = tree / "results" / "west" / "bert" / "scores.csv"
    lines = path.read_text().splitlines(keepends=True)
    third = [line for line in lines if ",3,direct," not in line]
    path.write_text("".join(third))
    means, fault = loaded(tree)
    assert len(means) == 0
    assert "bert averaged over other runs than are scored" in fault
    path.write_text("".join(lines))
    (tree / "results" / "west" / "selection.csv").write_bytes(
        (tree / "results" / "east" / "selection.csv").read_bytes().replace(b"east", b"west")
    )
    assert "best-encoder averaged with" in loaded(tree)[1], "another encoder is chosen now"
    compared(tree)
    (tree / "results" / "north").mkdir()
    for model in ("llm", "bert", "other"):
        scores = pl.read_csv(tree / "results" / "west" / model / "scores.csv")
        north = scores.with_columns(dataset=pl.lit("north"))
        write_table(tree / "results" / "north" / model / "scores.csv", north)
    fault = loaded(tree, datasets=("east", "west", "north"))[1]
    assert "a mean over east, west, not east, north, west" in fault


def test_members_of_an_unknown_ensemble_are_refused(tree):
    with pytest.raises(InputError, match="--member: found 'vota'; expected one of the systems"):
        compared(tree, "--member=vota=bert")


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"p": 2.0}, "a p-value outside 0 to 1"),
        ({"difference": 50.0}, "a difference that is not that of its scores"),
        ({"score": None}, "best-llm averaged with 0.00 F1 and scored with"),
        ({"corpora": None}, "no corpora"),
    ],
)
def test_a_table_changed_by_hand_is_left_out_of_a_report(tree, changed, said):
    table = compared(tree, "--best")
    first = pl.int_range(pl.len()) == 0
    edited = [
        pl.when(first).then(pl.lit(value)).otherwise(name).alias(name)
        for name, value in changed.items()
    ]
    write_table(tree / "results" / "corpora_mean.csv", table.with_columns(edited))
    means, fault = loaded(tree)
    assert means.is_empty()
    assert said in fault


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"datasets": ["east"]}, "--dataset: found one corpus; expected at least two"),
        ({"datasets": ["east", "east"]}, "--dataset: found east twice"),
        ({"systems": ["llm"]}, "MODEL:DECODING"),
        ({"systems": ["llm:free", "bert:direct"]}, "other:direct chosen"),
        ({"systems": [*SYSTEMS, "gone:direct"]}, "no such file"),
    ],
)
def test_bad_input_is_one_sentence_and_leaves_no_table(tree, changes, said):
    with pytest.raises(InputError, match=said):
        compared(tree, "--best", **changes)
    assert not (tree / "results" / "corpora_mean.csv").exists()
