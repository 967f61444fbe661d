"""Targets of a command line that no run can make, and the names that were meant."""

import pytest

from bioner.errors import InputError
from bioner.ops.targets import check_target
from bioner.settings.config import load_config
from bioner.settings.matrix import load_matrix

MATRIX = load_matrix(
    load_config(
        {
            "out": "runs/mine",
            "datasets": ["BC5CDR"],
            "models": ["oracle", "bert-mini", "bert-large-cased", "mistral-7b", "vote-of-six"],
            "cross": {"train": "BC5CDR", "test": ["BioRED"], "types": {"Disease": ["DPF"]}},
        }
    ),
    [],
)


@pytest.mark.parametrize(
    "target",
    [
        "all",
        "report",
        "runs/mine/reports/report.html",
        "runs/mine/data/BioRED/stats.csv",
        "runs/mine/models/bert-large-cased.json",
        "runs/mine/results/BC5CDR/comparisons.csv",
        "runs/mine/results/BC5CDR/oracle/scores.csv",
        "runs/mine/results/BC5CDR/vote-of-six/seed42/direct/predictions.jsonl",
        "runs/mine/results/BC5CDR/bert-mini/timing.csv",
        "runs/mine/results/BC5CDR/bert-mini/seed7/run.json",
        "runs/mine/results/BC5CDR/bert-mini/seed7/direct/run.json",
        "runs/mine/results/BC5CDR/mistral-7b/search.csv",
        "runs/mine/results/BC5CDR/mistral-7b/trials/lr2e-05/run.json",
        "runs/mine/results/BC5CDR/mistral-7b/seed42/model",
        "runs/mine/results/BC5CDR/mistral-7b/seed7/constrained/dev/scores.csv",
        "runs/mine/results/BC5CDR/oracle/seed42/direct/predictions.jsonl",
        "runs/mine/results/BC5CDR/cross/BioRED/drop.csv",
        "runs/mine/results/BC5CDR/bert-mini/seed7/direct/cross/JNLPBA/predictions.jsonl",
        "/elsewhere/x/y",
    ],
)
def test_what_a_run_can_make_passes(target):
    check_target(MATRIX, target)


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("result/BC5CDR/oracle/scores.csv", "no folder 'result'; expected 'results'"),
        ("data/bc5cdr/stats.csv", "no dataset 'bc5cdr'; expected 'BC5CDR'"),
        ("results/bc5cdr/oracle/scores.csv", "no dataset 'bc5cdr'; expected 'BC5CDR'"),
        ("results/BC5CDR/comparison.csv", "no file 'comparison.csv'; expected 'comparisons.csv'"),
        ("results/BC5CDR/mistral/scores.csv", "no model 'mistral'; expected 'mistral-7b'"),
        ("results/BC5CDR/oracle/score.csv", "no file 'score.csv'; expected 'scores.csv'"),
        ("results/BC5CDR/bert-mini/search.csv", "no search of bert-mini"),
        ("results/BC5CDR/bert-mini/trials/lr1e-05/run.json", "no search of bert-mini"),
        ("results/BC5CDR/mistral-7b/trials/lr2e-5/run.json", "no trial of mistral-7b 'lr2e-5'"),
        (
            "results/BC5CDR/bert-mini/seed042/direct/scores.csv",
            "no seed 'seed042'; expected 'seed42'",
        ),
        ("results/BC5CDR/bert-mini/42/direct/scores.csv", "no seed '42'"),
        ("results/BC5CDR/oracle/timing.csv", "no training of oracle"),
        ("results/BC5CDR/vote-of-six/seed42/model", "no training of vote-of-six"),
        (
            "results/BC5CDR/vote-of-six/seed42/direct/alignment.csv",
            "no file 'alignment.csv'; expected one of predictions.jsonl, scores.csv",
        ),
        (
            "results/BC5CDR/bert-mini/seed42/constrained/scores.csv",
            "no decoding of bert-mini 'constrained'; expected one of direct",
        ),
        ("results/BC5CDR/oracle/seed42/free/scores.csv", "no decoding of oracle 'free'"),
        (
            "results/BC5CDR/mistral-7b/seed42/direct/scores.csv",
            "no decoding of mistral-7b 'direct'",
        ),
        ("results/BC5CDR/mistral-7b/seed42/constraint/scores.csv", "expected 'constrained'"),
        ("results/BC5CDR/oracle/seed42/direct/prediction.jsonl", "expected 'predictions.jsonl'"),
        ("results/BC5CDR/oracle/seed42/direct/dev/score.csv", "expected 'scores.csv'"),
        ("results/JNLPBA/cross/BioRED/drop.csv", "no test corpus of JNLPBA under `cross` 'BioRED'"),
        ("results/BC5CDR/cross/JNLPBA/drop.csv", "no test corpus of BC5CDR under `cross` 'JNLPBA'"),
        ("results/BC5CDR/cross/BioRED/drops.csv", "no file 'drops.csv'; expected 'drop.csv'"),
        (
            "results/BC5CDR/oracle/seed42/direct/cross/biored/raw.jsonl.gz",
            "no dataset 'biored'; expected 'BioRED'",
        ),
        (
            "results/BC5CDR/oracle/seed42/direct/cross/BioRED/scores.csv",
            "no file 'scores.csv'; expected one of predictions.jsonl, raw.jsonl.gz, run.json",
        ),
        ("results/BC5CDR/vote-of-six/seed42/direct/cross/BioRED/predictions.jsonl", "no file"),
    ],
)
def test_a_target_that_there_is_not_names_what_was_meant(path, said):
    with pytest.raises(InputError) as caught:
        check_target(MATRIX, f"runs/mine/{path}")
    assert str(caught.value).startswith(f"runs/mine/{path}: found no ")
    assert said in str(caught.value)


def test_a_target_of_an_overlay_that_was_not_named_asks_for_it():
    with pytest.raises(InputError, match=r"the folder 'runs/demo'.*--configfile"):
        check_target(MATRIX, "runs/demo/results/demo/oracle/scores.csv")
