"""What users get wrong: one clear message, a non-zero exit, no traceback, nothing half done."""

import os
import subprocess
from pathlib import Path

import pytest

from tests import forked
from tests.workflow.snakemake import snakemake

GOLD = ["--gold", "sound/test.jsonl"]
DIRECT = ["--weights", "sound", "--decoding", "direct"]


def bioner(*arguments: str | Path, cwd: Path, stdin: str = "") -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name != "BIONER_MIRROR"}
    return forked.run(["bioner", *arguments], cwd, environment, stdin)


def overlay(folder: Path, text: str) -> str:
    path = folder / "mine.yaml"
    path.write_text(text)
    return str(path)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("model: [oracle]\n", ["mine.yaml:1", "'model'", "Did you mean 'models'"]),
        ("seeds: [42]\nout: [a]\n", ["mine.yaml:2", "out = ['a']", "expected text"]),
        ("datasets: [BC5CD]\n", ["mine.yaml:1", "'BC5CD'", "Did you mean 'BC5CDR'"]),
        ("models: [oracle, bert-large]\n", ["'bert-large'", "Did you mean 'bert-large-"]),
        ("scoring:\n  length_cuts: [0]\n", ["mine.yaml:2", "length_cuts", "at least 1"]),
        (
            "model_overrides:\n  bert-mini: {train: {epoch: 3}}\n",
            ["mine.yaml:2", "bert-mini.train.epoch'", "Did you mean 'epochs'"],
        ),
        ("models: [oracle]\nmodels: [all-o]\n", ["mine.yaml:2", "'models' again"]),
        ("out: ~/mine\n", ["mine.yaml:1", "letters, digits and"]),
        ("datasets: [BC5CDR\n", ["not valid JSON or YAML"]),
    ],
    ids=[
        "unknown key",
        "wrong type",
        "unknown dataset",
        "unknown model",
        "bad number",
        "bad setting",
        "doubled key",
        "home",
        "broken YAML",
    ],
)
def test_a_wrong_configuration_is_named_by_snakemake(tmp_path, text, named):
    done = snakemake(tmp_path, "--configfile", overlay(tmp_path, text), "--dry-run")
    said = done.stdout + done.stderr
    assert done.returncode != 0
    assert "Traceback" not in said
    for words in named:
        assert words in said


def test_an_output_folder_that_a_shell_would_take_apart_is_refused_before_anything_is_written(
    tmp_path,
):
    path = overlay(tmp_path, "datasets: [demo]\nout: runs/r&d\n")
    done = snakemake(tmp_path, "--configfile", path, "--cores", "1")
    assert done.returncode != 0
    said = [line for line in (done.stdout + done.stderr).splitlines() if "r&d" in line]
    assert len(said) == 1
    assert said[0].startswith(f"{path}:2: found out = 'runs/r&d'; expected text that matches ")
    there = {entry.name for entry in tmp_path.iterdir()}
    assert there - {".snakemake"} == {"mine.yaml"}


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("results/bc5cdr/oracle/scores.csv", "found no dataset 'bc5cdr'; expected 'BC5CDR'"),
        (
            "results/BC5CDR/biomedbert-large/seed42/constrained/scores.csv",
            "found no decoding of biomedbert-large 'constrained'; expected one of direct",
        ),
        (
            "runs/other/results/BC5CDR/oracle/scores.csv",
            "found the folder 'runs/other'; expected a path below ., the configured output folder."
            " Name the overlay that sets `out`, with --configfile.",
        ),
    ],
    ids=["dataset", "decoding", "output folder"],
)
def test_a_requested_file_that_no_run_of_the_configuration_has_is_named(tmp_path, target, said):
    done = snakemake(tmp_path, target, "--dry-run")
    assert done.returncode != 0
    assert f"{target}: {said}" in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("there", "problem"),
    [
        ((), "no such folder"),
        (("config.json",), "no tokenizer"),
        (("config.json", "tokenizer.json"), "no weights"),
    ],
    ids=["no folder", "a configuration only", "no weights"],
)
def test_a_folder_that_holds_no_model_is_named_before_any_job(folder, there, problem):
    for name in there:
        (folder / "nowhere").mkdir(exist_ok=True)
        (folder / "nowhere" / name).write_text("{}")
    models = "{bert-small: {source: {hub: ./nowhere}}}"
    given = ["--config", "models=[bert-small]", f"model_overrides={models}"]
    done = snakemake(folder, "--configfile", str(folder / "tiny.yaml"), "--dry-run", *given)
    assert done.returncode != 0
    assert f"bert-small: source.hub ./nowhere: {problem}" in done.stdout + done.stderr
    assert "Job stats" not in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["fetch", "BC5CD", "--out", "raw"], ["'BC5CD'", "Did you mean 'BC5CDR'"]),
        (
            ["fetch", "BC5CDR", "--out", "raw", "--mirror", "empty"],
            ["empty/BC5CDR/train.tsv", "no such file"],
        ),
        (
            ["fetch", "Reddit-Impacts", "--out", "raw"],
            ["no address to download from", "Ask its authors"],
        ),
        (
            ["fetch", "BC5CDR", "--out", "raw", "--mirror", "wrong"],
            ["sha256", "an HTML page"],
        ),
        (
            ["normalize", "BioRED", "--raw", "wrong/BC5CDR", "--out", "data"],
            ["Train.PubTator", "no such file"],
        ),
        (
            ["normalize", "BC5CDR", "--raw", "wrong/BC5CDR", "--out", "data"],
            ["train.tsv: ", "an HTML page"],
        ),
        (
            ["validate", "sound/other.jsonl", "--gold", "sound/test.jsonl"],
            ["2 broken invariants", "bioner realign"],
        ),
        (
            ["normalize", "demo-organs", "--raw", "wrong/demo", "--out", "data"],
            ["train.txt:2", "{Gene|IL-2", "mark-up"],
        ),
        (["train", "bert-mini", "--data", "data", "--out", "run"], ["train.jsonl", "no such file"]),
        (
            ["train", "oracle", "--data", "sound", "--out", "run"],
            ["the family 'control'", "needs no training"],
        ),
        (
            ["train", "mistral-7b", "--data", "sound", "--out", "run"],
            ["0 CUDA GPUs", "expected 2", "profile slurm"],
        ),
        (
            ["predict", "bert-mini", "--gold", "sound/test.jsonl", "--out", "raw.jsonl"],
            ["folder of a trained model"],
        ),
        (
            [
                "score",
                "--gold",
                "sound/test.jsonl",
                "--pred",
                "sound/test.jsonl.gz",
                "--out",
                "s.csv",
            ],
            ["no such file"],
        ),
        (
            [
                "score",
                "--gold",
                "sound/test.jsonl",
                "--pred",
                "sound/other.jsonl",
                "--out",
                "s.csv",
            ],
            ["other.jsonl:1", "'x'"],
        ),
        (
            ["score", "--gold", "sound/test.jsonl", "--pred", "sound/test.jsonl", "--out", "s.csv"],
            ["'doc'", "id and tags"],
        ),
        (
            [
                "realign",
                "--gold",
                "sound/test.jsonl",
                "--raw",
                "sound/other.jsonl",
                "--out",
                "sound/test.jsonl",
            ],
            ["--out"],
        ),
        (
            ["predict", "dictionary", "--gold", "sound/test.jsonl", "--out", "raw.jsonl"],
            ["Give --train"],
        ),
        (
            ["predict", "all-o", "--gold", "sound/test.jsonl", "--out", "empty"],
            ["empty", "Check the path"],
        ),
        (
            ["predict", "all-o", *GOLD, "--out", "raw.jsonl", "--decoding", "constrained"],
            ["decoding 'constrained'", "direct"],
        ),
        (
            ["predict", "all-o", *GOLD, "--out", "raw.jsonl", "--draft", "sound/other.jsonl"],
            ["--draft", "constrained"],
        ),
        (
            ["predict", "vote-of-six", *GOLD, "--out", "raw.jsonl"],
            ["the family 'ensemble'", "bioner ensemble"],
        ),
        (
            ["predict", "all-o", *GOLD, "--out", "sound/other.jsonl/raw"],
            ["other.jsonl, which is a file"],
        ),
        (
            ["predict", "all-o", *GOLD, "--out", "raw.jsonl", "--record", "/dev/null"],
            ["a device", "--record"],
        ),
        (
            ["predict", "llama-mini", *GOLD, "--weights", "sound", "--out", "sound/x"],
            ["sound/x", "an input"],
        ),
        (
            ["time", "bert-mini", *GOLD, *DIRECT, "--out", "sound/test.jsonl"],
            ["an input or another output"],
        ),
        (["time", "bert-mini", *GOLD, *DIRECT, "--out", "t.csv.gz"], ["a compressed table"]),
        (
            ["time", "bert-mini", *GOLD, *DIRECT, "--draft", "sound/other.jsonl", "--out", "t.csv"],
            ["--draft"],
        ),
        (["time", "bert-mini", *GOLD, *DIRECT, "--seed", "-5", "--out", "t.csv"], ["--seed"]),
        (
            ["time", "bert-mini", *GOLD, *DIRECT, "--seed", "1", "--seed", "2", "--out", "t.csv"],
            ["1 --weights and 2"],
        ),
        (
            [
                "realign",
                *GOLD,
                "--raw",
                "sound/raw.jsonl",
                "--out",
                "p.jsonl",
                "--alignment",
                "a.csv.gz",
            ],
            ["a.csv.gz", "a plain .csv"],
        ),
        (
            [
                "realign",
                *GOLD,
                "--raw",
                "sound/raw.jsonl",
                "--out",
                "p.jsonl",
                "--alignment",
                "p.jsonl",
            ],
            ["p.jsonl", "--alignment"],
        ),
        (
            ["realign", *GOLD, "--raw", "sound/raw.jsonl", "--out", "p.jsonl"],
            ["raw.jsonl:1", "new_tokens -3"],
        ),
        (
            ["fetch", "demo", "--out", "raw", "--entry", '{"format": "conll", "format": "jsonl"}'],
            ["--entry", "the key 'format' twice"],
        ),
        (["fetch", "demo", "--out", "sound"], ["sound: found dev.jsonl", "Choose another folder"]),
        (
            ["report", "--results", "nowhere", "--data", "data", "--out", "reports"],
            ["nowhere", "no such folder"],
        ),
        (["summary", "nowhere"], ["nowhere/table3_strict.csv", "bioner report"]),
    ],
    ids=lambda value: " ".join(value[:2]) if isinstance(value, list) else None,
)
def test_a_command_names_what_is_wrong_and_leaves_nothing(tmp_path, arguments, named):
    (tmp_path / "empty").mkdir()
    for name in ("train.tsv", "devel.tsv", "test.tsv"):
        (tmp_path / "wrong" / "BC5CDR").mkdir(parents=True, exist_ok=True)
        (tmp_path / "wrong" / "BC5CDR" / name).write_text("<html>Sign in</html>\n")
    for name in ("train.txt", "dev.txt", "test.txt"):
        (tmp_path / "wrong" / "demo").mkdir(exist_ok=True)
        (tmp_path / "wrong" / "demo" / name).write_text("# d1\nThe {Gene|IL-2 gene is .\n")
    (tmp_path / "sound").mkdir()
    line = '{"id": "a", "doc": "a", "tokens": ["gout"], "tags": ["B-Disease"]}\n'
    for name in ("train", "dev", "test"):
        (tmp_path / "sound" / f"{name}.jsonl").write_text(line)
    raw = '{"id": "a", "text": "", "new_tokens": -3, "stopped": true}\n'
    (tmp_path / "sound" / "raw.jsonl").write_text(raw)
    (tmp_path / "sound" / "other.jsonl").write_text('{"id": "x", "tags": ["O"]}\n')
    before = sorted(tmp_path.rglob("*"))

    done = bioner(*arguments, cwd=tmp_path)

    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    for words in named:
        assert words in done.stderr
    after = {path for path in tmp_path.rglob("*") if path not in before and path.is_file()}
    assert after == set()


def test_a_failing_stage_stops_the_workflow_with_its_message_and_its_log(tmp_path):
    done = snakemake(
        tmp_path, "--config", f"mirror={tmp_path}", "--cores", "1", "data/BC5CDR/test.jsonl"
    )
    said = done.stdout + done.stderr
    assert done.returncode != 0
    assert "no such file" in said
    assert "Traceback" not in said
    assert "BC5CDR/train.tsv" in (tmp_path / "logs" / "fetch" / "BC5CDR.log").read_text()
    assert not (tmp_path / "data" / "BC5CDR" / "raw").exists()
