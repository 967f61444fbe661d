"""The session of a card: time limits, resuming, its table; and its steps, rehearsed on the CPU."""

import importlib
import json
import os
import signal
import subprocess
import sys
import time
from argparse import Namespace
from types import SimpleNamespace

import pytest

from bioner.settings.repository import REPOSITORY

BENCHMARKS = REPOSITORY / "benchmarks"
# On the road of a card's machine, which has few packages (docs/performance.md).
ABSENT = ("matplotlib", "nervaluate", "polars", "rapidfuzz", "snakemake", "spacy")


@pytest.fixture
def card(monkeypatch):
    """The benchmark, the table and the probes."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    names = {"session": "gpu_session", "table": "parts.card.table", "probes": "parts.card.probes"}
    return SimpleNamespace(**{key: importlib.import_module(name) for key, name in names.items()})


@pytest.fixture
def run(card, monkeypatch, tmp_path, capsys):
    """Run made-up steps and return the lines that they print."""
    options = {"rehearse": True, "again": False, "minutes": 10.0}

    def run_steps(limit: float = 60, **chosen):
        changed = {key: chosen.pop(key) for key in list(chosen) if key in options}
        monkeypatch.setitem(sys.modules, "parts.card.made_up", SimpleNamespace(**chosen))
        steps = [card.session.Step(name, "made_up", limit) for name in chosen]
        card.session.run_steps(steps, tmp_path, tmp_path, Namespace(**options | changed))
        return [json.loads(line) for line in capsys.readouterr().out.splitlines()]

    return run_steps


def measure(session):
    session.say(ms=1)


def fail(session):
    session.say(ms=1)
    raise ValueError("no such kernel")


def kill(session):
    os.kill(os.getpid(), signal.SIGKILL)


def hang(session):
    session.say(ms=1)
    with session.file.open("a") as stream:
        stream.write('{"ms": ')  # cut short
        stream.flush()
        time.sleep(600)


def test_a_steps_line_has_what_it_measured_and_why_it_failed(run, tmp_path):
    fine, failed, killed = run(fine=measure, failed=fail, killed=kill)
    assert fine.pop("seconds") >= 0
    assert fine == {"step": "fine", "card": "rehearsal", "measured": [{"ms": 1}]}
    assert failed["failed"] == "ValueError: no such kernel"
    assert failed["measured"] == [{"ms": 1}]
    assert "Traceback" in (tmp_path / "failed.log").read_text()
    assert killed["failed"] == "ended by signal 9"


def test_a_step_out_of_time_is_killed_and_keeps_what_it_measured(run):
    hung, after = run(limit=0.3, hung=hang, after=measure)
    assert hung["timed_out"] == 0.3
    assert hung["measured"] == [{"ms": 1}]
    assert hung["seconds"] < 60
    assert after["measured"] == [{"ms": 1}]


def test_a_session_resumes_with_the_steps_that_are_not_finished(run):
    assert [line["step"] for line in run(one=measure, two=fail)] == ["one", "two"]
    (again,) = run(one=measure, two=measure)
    assert (again["step"], again["measured"]) == ("two", [{"ms": 1}])
    assert run(one=measure, two=measure) == []
    assert [line["step"] for line in run(one=measure, two=measure, again=True)] == ["one", "two"]


def test_a_step_that_was_out_of_time_runs_again(run):
    assert run(limit=0.3, one=hang)[0]["timed_out"]
    assert [line["step"] for line in run(one=measure)] == ["one"]


def test_no_step_outlasts_the_session(card, run, monkeypatch):
    monkeypatch.setattr(card.session, "SHORTEST", 0.0)
    (line,) = run(minutes=0.3 / 60, one=hang)
    assert line["timed_out"] <= 0.3


def test_no_step_starts_without_time_left(run):
    assert run(one=measure, minutes=0.01) == []
    assert [line["step"] for line in run(one=measure)] == ["one"]


def test_the_time_limits_of_all_steps_sum_to_at_most_ten_minutes(card):
    assert sum(step.limit for step in card.session.STEPS) <= 60 * card.session.MINUTES


def test_steps_of_another_card_are_left_out(run, tmp_path):
    old = {"step": "old", "card": "NVIDIA H100", "seconds": 1.0, "measured": []}
    (tmp_path / "steps.json").write_text(json.dumps({"old": old}))
    run(new=measure)
    assert list(json.loads((tmp_path / "steps.json").read_text())) == ["new"]


def test_a_cards_file_has_its_name_and_all_lines_in_order(card, tmp_path):
    lines = {name: {"step": name, "card": None, "measured": []} for name in ("nf4", "kernels")}
    assert card.session.write_card(lines, tmp_path) is None
    lines["kernels"]["card"] = "NVIDIA H200"
    path = card.session.write_card(lines, tmp_path)
    assert path.name == "nvidia-h200.json"
    record = json.loads(path.read_text())
    assert record["card"] == "NVIDIA H200"
    assert [step["step"] for step in record["steps"]] == ["kernels", "nf4"]


def test_the_process_that_forks_steps_imports_no_torch(card):
    code = "import gpu_session, sys; sys.exit('torch' in sys.modules)"
    path = f"{BENCHMARKS}:{REPOSITORY / 'src'}"
    command, environment = [sys.executable, "-c", code], os.environ | {"PYTHONPATH": path}
    assert subprocess.run(command, env=environment, check=False).returncode == 0


def test_the_table_says_which_goals_are_met(card):
    decoding = {"corpus": "JNLPBA", "weights": "merged", "pass_ms": 5.0}
    measured = [{"ms_per_sentence": 12.5, "batch": 1, **decoding}]
    measured += [{"ms_per_sentence": 9.0, "batch": 32, **decoding}]
    measured += [{"ms_per_sentence": 15.0, "batch": 1, **decoding, "weights": "as-trained"}]
    seconds = [{"seconds_per_1000_sentences": value} for value in (50.0, 41.0)]
    too_large = {"micro_batch": 32, "checkpointing": False, "out_of_memory": True}
    steps = [
        {"step": "constrained", "measured": measured},
        {"step": "training", "timed_out": 100, "measured": [*seconds, too_large]},
    ]
    table = card.table.table({"NVIDIA H200": steps})
    assert (
        "JNLPBA, constrained, merged, batch 1: ms per sentence (per pass) | 20 | 12.5 (5.0), met"
        in table
    )
    assert "batch 32: ms per sentence (per pass) | 8.4 | 9.0 (5.0), not met |" in table
    assert "as-trained, batch 1: ms per sentence (per pass) |  | 15.0 (5.0) |" in table
    assert "training: s per 1,000 sentences | 45 | 41.0, met |" in table
    assert "GiB, FLOP utilisation) |  | out of memory |" in table


def test_the_page_has_the_table_of_all_cards(card):
    text = card.table.PAGE.read_text(encoding="utf-8")
    made = card.table.table(card.table.measured_cards())
    assert card.table.BEGIN in text
    assert card.table.page(text, made) == text, "run `python benchmarks/gpu_session.py --table`"


@pytest.mark.parametrize(("step", "status"), [(measure, 0), (fail, 1)])
def test_a_rehearsal_leaves_the_cards_alone_and_ends_as_its_steps_do(
    card, monkeypatch, tmp_path, step, status
):
    monkeypatch.setitem(sys.modules, "parts.card.made_up", SimpleNamespace(one=step))
    monkeypatch.setattr(card.session, "STEPS", [card.session.Step("one", "made_up", 60)])
    monkeypatch.setattr(card.session, "CARDS", tmp_path / "cards")
    monkeypatch.setattr(card.session, "write_table", lambda: pytest.fail("a card's table"))
    monkeypatch.setattr("signal.signal", lambda *_: None)
    monkeypatch.setattr(sys, "argv", ["", "--rehearse", "--out", str(tmp_path / "out")])
    with pytest.raises(SystemExit) as ended:
        card.session.main()
    assert ended.value.code == status
    assert (tmp_path / "out" / "rehearsal.json").is_file()
    assert not (tmp_path / "cards").exists()


def test_without_a_gpu_one_sentence_says_what_to_do(card, monkeypatch):
    monkeypatch.setattr(card.session, "gpus_here", lambda: 0)
    monkeypatch.setattr(sys, "argv", ["gpu_session.py"])
    with pytest.raises(SystemExit, match=r"No GPU here\. --rehearse runs every step on the CPU"):
        card.session.main()


def test_the_probes_find_a_sound_cpu(card, tmp_path):
    found = {}
    for name in ("kernels", "nf4", "optimizer"):
        session = card.session.Session(name, tmp_path, tmp_path, rehearse=True)
        getattr(card.probes, name)(session)
        found[name] = session.measured()
    assert not any(figures.get("nan") for figures in found["kernels"])
    assert not any(figures.get("not_finite") for figures in found["kernels"])
    tried = [figures["cudnn_attention"] for figures in found["kernels"][1:]]
    assert sorted(tried) == [False] * (len(tried) // 2) + [True] * (len(tried) // 2)
    assert [figures["sound"] for figures in found["nf4"]] == [True]
    assert found["optimizer"] == [{"resumed_equal": True}]


@pytest.mark.slow
def test_every_step_is_rehearsed_without_the_packages_that_a_card_does_not_need(card, tmp_path):
    for package in ABSENT:
        (tmp_path / "absent").mkdir(exist_ok=True)
        (tmp_path / "absent" / f"{package}.py").write_text("raise ImportError(__name__)")
    path = f"{tmp_path / 'absent'}:{REPOSITORY / 'src'}"
    out = tmp_path / "out"
    command = [sys.executable, BENCHMARKS / "gpu_session.py", "--rehearse", "--out", out]
    environment = os.environ | {"PYTHONPATH": path}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [line["step"] for line in lines] == [step.name for step in card.session.STEPS]
    assert [line for line in lines if not card.session.is_finished(line)] == []
    assert not (out / "weights").exists()
    record = json.loads((out / "rehearsal.json").read_text())
    assert record["steps"] == lines
    rows = card.table.table({"rehearsal": record["steps"]}).splitlines()
    assert len(rows) == len(card.table.ROWS) + 2
    sizes = ("micro-batch 16", "micro-batch 32")  # left out of a rehearsal
    assert not [row for row in rows if row.endswith("|  |") and not any(s in row for s in sizes)]
