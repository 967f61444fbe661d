"""A decoding job that was cut short resumes and ends as if it had not been interrupted."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from bioner.data.instances import Prediction, write_instances, write_predictions
from bioner.data.raw_outputs import Generated
from bioner.errors import InputError, Interrupted
from bioner.inference.decoding.constrained import ConstrainedDecoder
from bioner.inference.decoding.free import FreeDecoder
from bioner.inference.decoding.shards import Shards, shards_folder
from bioner.inference.predict import SHARD, PredictionJob, load_predictor, predict_to
from bioner.io.heartbeat import HEARTBEAT_FILE, lock_is_held, read_heartbeat
from bioner.training.job import TrainingJob
from bioner.training.launch import ENVIRONMENT, launch_command
from bioner.training.run import train
from tests.conftest import instance

GOLD = [instance(f"s{number}", "gout " * (1 + number % 4)) for number in range(10)]


def decode(instances, number):
    return [Generated(item.id, f"{number}", len(item.tokens), True) for item in instances], {
        "sentences": len(instances)
    }


class Killed(Exception):
    pass


def test_outputs_come_in_the_order_of_the_instances(tmp_path):
    shards = Shards(tmp_path / "work", {}, GOLD, 3)
    with shards.owned():
        shards.make(shards.missing(), decode)
        outputs, took = shards.collect()
    assert [output.id for output in outputs] == [item.id for item in GOLD]
    assert took == {"sentences": 10}
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("at", range(4))
def test_what_is_finished_is_not_done_again(tmp_path, at):
    asked = []

    def until(instances, number):
        if number == at:
            raise Killed
        return decode(instances, number)

    def noted(instances, number):
        asked.extend(item.id for item in instances)
        return decode(instances, number)

    shards = Shards(tmp_path / "work", {"seed": 1}, GOLD, 3)
    with pytest.raises(Killed), shards.owned():
        shards.make(shards.missing(), until)
    with shards.owned():
        shards.make(shards.missing(), noted)
        outputs, took = shards.collect()
    assert len(asked) == 10 - 3 * at
    assert took == {"sentences": 10}
    undisturbed = Shards(tmp_path / "other", {"seed": 1}, GOLD, 3)
    with undisturbed.owned():
        undisturbed.make(undisturbed.missing(), decode)
        assert undisturbed.collect() == (outputs, took)


@pytest.mark.parametrize("at", ["decoding", "writing"])
def test_a_process_that_is_killed_leaves_its_finished_shards_to_the_next(tmp_path, at):
    """Killed at the third of four; neither its lock nor a file half written is in the way."""
    shards, write, asked = Shards(tmp_path / "work", {}, GOLD, 3), Path.write_text, []

    def until(instances, number):
        if number == 2 and at == "decoding":
            os.kill(os.getpid(), signal.SIGKILL)
        return decode(instances, number)

    def half(path, text, **options):
        write(path, text[:9] if "000002" in path.name else text, **options)
        if "000002" in path.name:
            os.kill(os.getpid(), signal.SIGKILL)

    child = os.fork()
    if not child:
        try:
            Path.write_text = half
            with shards.owned():
                shards.make(shards.missing(), until)
        finally:
            os._exit(1)
    assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGKILL
    assert (tmp_path / "work.lock").exists()

    def noted(instances, number):
        asked.append(number)
        return decode(instances, number)

    with shards.owned():
        shards.make(shards.missing(), noted)
        assert [output.id for output in shards.collect()[0]] == [item.id for item in GOLD]
    assert asked == [2, 3]
    assert list(tmp_path.iterdir()) == []


def test_another_job_s_shards_are_no_use_and_stay_until_there_is_an_output(tmp_path, caplog):
    """A typo in the settings costs nothing."""
    first, second = (Shards(tmp_path / "work", {"seed": seed}, GOLD, 3) for seed in (1, 2))
    with pytest.raises(Killed), first.owned():
        first.make(first.missing(), decode)
        raise Killed
    with pytest.raises(Killed), caplog.at_level("INFO"), second.owned():
        with pytest.raises(InputError, match="no finished shard"):
            second.collect()
        second.make(second.missing()[:1], decode)
        raise Killed
    assert "are others than those of the shards that lie here" in caplog.text
    with first.owned():
        assert first.missing() == []
        first.collect()
    assert list(tmp_path.iterdir()) == []


def test_the_longest_come_first():
    lengths = []

    def noted(instances, number):
        lengths.extend(len(item.tokens) for item in instances)
        return decode(instances, number)

    with TemporaryDirectory() as place:
        shards = Shards(Path(place) / "work", {}, GOLD, 3)
        with shards.owned():
            shards.make(shards.missing(), noted)
    assert lengths == sorted(lengths, reverse=True)


@pytest.mark.parametrize(
    "change",
    [
        *(lambda content, text=text: text for text in ("", "{", "[]", "null")),
        lambda content: {**content, "outputs": content["outputs"][:2]},
        lambda content: {**content, "outputs": content["outputs"][::-1]},
        lambda content: {
            **content,
            "outputs": [{**output, "text": 5} for output in content["outputs"]],
        },
        lambda content: {
            **content,
            "outputs": [{**output, "text": "\ud800"} for output in content["outputs"]],
        },
        lambda content: {
            **content,
            "outputs": [{**output, "confidence": [1]} for output in content["outputs"]],
        },
        lambda content: {**content, "took": 5},
        lambda content: {**content, "took": {"sentences": "x"}},
        lambda content: {**content, "took": {"sentences": None}},
    ],
)
def test_a_broken_shard_is_made_again(tmp_path, change):
    shards = Shards(tmp_path / "work", {}, GOLD, 3)
    with shards.owned():
        shards.make(shards.missing(), decode)
        before = shards.collect()
        shard = next((tmp_path / "work").glob("*/000001.json"))
        changed = change(json.loads(shard.read_text()))
        shard.write_text(changed if isinstance(changed, str) else json.dumps(changed))
        assert shards.missing() == [1]
        shards.make(shards.missing(), decode)
        assert shards.collect() == before


def test_a_file_in_the_place_of_the_shards_is_not_removed(tmp_path):
    shards = Shards(tmp_path / "work", {}, GOLD, 3)
    (tmp_path / "work").write_text("")
    with pytest.raises(InputError, match="found a file; expected a folder"), shards.owned():
        pass


def test_two_jobs_do_not_write_to_one_place(tmp_path):
    shards = Shards(tmp_path / "work", {}, GOLD, 3)
    with shards.owned(), pytest.raises(InputError, match="another process"), shards.owned():
        pass


def test_processes_share_the_shards_out(tmp_path):
    made = []

    def noted(instances, number):
        made.append(number)
        return decode(instances, number)

    shards = Shards(tmp_path / "work", {}, GOLD, 2)
    with shards.owned():
        missing = shards.missing()
        for process in range(2):
            shards.make(missing[process::2], noted)
        outputs, _ = shards.collect()
    assert made == [0, 2, 4, 1, 3]
    assert len(outputs) == 10


@pytest.fixture(scope="module")
def trained(tiny_llm, sentences, tmp_path_factory):
    """A trained model and a command that predicts with it, slowly enough to be killed."""
    folder = tmp_path_factory.mktemp("llm")
    train(TrainingJob("tiny-llama", tiny_llm, sentences, sentences, 1), folder)
    gold = [replace(item, id=f"{item.id}-{number}") for number in range(400) for item in sentences]
    write_instances(folder / "gold.jsonl", gold)
    entry = tiny_llm.changed(predict={"batch_size": 4, "tokens_per_word": 3})
    return folder, entry, gold


def command(folder, entry, out, decoding):
    weights, gold = folder / "model", folder / "gold.jsonl"
    options = {
        "--entry": json.dumps(entry.canonical()),
        "--gold": gold,
        "--weights": weights,
        "--decoding": decoding,
        "--out": out,
    }
    arguments = [str(part) for pair in options.items() for part in pair]
    return ["predict", "tiny-llama", *arguments, "--record", str(out.with_suffix(".json"))]


def predict(trained, out, decoding, record=None):
    """Predict the first 24 sentences."""
    folder, entry, gold = trained
    job = PredictionJob("tiny-llama", entry, gold[:24], [], folder / "model", decoding, seed=42)
    predict_to(job, out, record)


@pytest.mark.parametrize(
    ("decoding", "number"), [("constrained", signal.SIGTERM), ("free", signal.SIGINT)]
)
def test_a_job_that_is_cut_short_goes_on_and_ends_with_the_same_bytes(
    trained, tmp_path, monkeypatch, caplog, decoding, number
):
    """Four shards of six sentences; the signal comes while the third is decoded."""
    decoder = {"constrained": ConstrainedDecoder, "free": FreeDecoder}[decoding]
    call, asked, out = decoder.__call__, [], tmp_path / "raw.jsonl"

    def noted(self, instances, size, part=0):
        asked.append(part)
        if len(asked) == 3:
            signal.raise_signal(number)
        return call(self, instances, size, part)

    def unhandled(*_):
        raise AssertionError("nobody waits for the signal")

    monkeypatch.setitem(SHARD, decoding, 6)
    monkeypatch.setattr(decoder, "__call__", noted)
    before = signal.signal(number, unhandled)
    try:
        with pytest.raises(
            Interrupted, match="Finished shards are kept; the same command goes on"
        ) as ended:
            predict(trained, out, decoding)
        assert signal.getsignal(number) is unhandled, "the handler of before is back"
    finally:
        signal.signal(number, before)
    assert ended.value.signal == number
    assert not out.exists()
    assert sorted(path.stem for path in shards_folder(out).glob("*/0*.json")) == [
        "000000",
        "000001",
    ]

    with caplog.at_level("INFO"):
        predict(trained, out, decoding, tmp_path / "raw.json")
    assert asked == [0, 1, 2, 2, 3]
    assert "going on; 2 of 4 shards are there" in caplog.text
    assert sorted(path.name for path in tmp_path.iterdir()) == ["raw.json", "raw.jsonl"]
    predict(trained, tmp_path / "other.jsonl", decoding)
    assert out.read_bytes() == (tmp_path / "other.jsonl").read_bytes()
    record = json.loads((tmp_path / "raw.json").read_text())
    assert (record["decoding"], record["sentences"], record["processes"]) == (decoding, 24, 1)


@pytest.mark.parametrize(
    ("decoding", "shards"), [("free", [60, 60]), ("free-paper", [32, 32, 32, 24])]
)
def test_free_decoding_takes_the_batch_its_entry_asks_for(
    trained, tmp_path, monkeypatch, decoding, shards
):
    folder, entry, gold = trained
    seen = []

    def noted(self, instances, batch_size, part=0):
        seen.append(len(instances))
        return [Generated(item.id, "", 0, True) for item in instances]

    monkeypatch.setattr(FreeDecoder, "__call__", noted)
    entry = entry.changed(predict={"batch_size": 60})
    job = PredictionJob("tiny-llama", entry, gold[:120], [], folder / "model", decoding, seed=42)
    predict_to(job, tmp_path / "raw.jsonl")
    assert seen == shards


def test_two_processes_make_what_one_makes(trained, tmp_path, monkeypatch):
    """Two threads and a barrier stand in for processes, which the slow tests start."""
    barrier, loading, own, made = (
        threading.Barrier(2),
        threading.Lock(),
        threading.local(),
        {0: [], 1: []},
    )
    call, load = ConstrainedDecoder.__call__, load_predictor

    class State:
        num_processes = 2

        def __init__(self, cpu, timeout):
            assert cpu
            assert timeout > timedelta(days=1), "the others decode for hours"
            self.process_index = own.number

        def wait_for_everyone(self):
            barrier.wait(300)

    def load_alone(*arguments, **options):
        with loading:
            return load(*arguments, **options)

    def noted(self, instances, size, part=0):
        made[own.number].append(part)
        return call(self, instances, size, part)

    def process(number):
        own.number = number
        try:
            predict(trained, tmp_path / "raw.jsonl", "constrained", tmp_path / "raw.json")
        except BaseException:
            barrier.abort()
            raise

    monkeypatch.setitem(SHARD, "constrained", 5)
    monkeypatch.setattr("bioner.inference.predict.load_predictor", load_alone)
    with monkeypatch.context() as patch, ThreadPoolExecutor(2) as pool:
        patch.setenv("WORLD_SIZE", "2")
        patch.setattr("accelerate.PartialState", State)
        patch.setattr("bioner.inference.predict.ending_together", lambda _: nullcontext())
        patch.setattr(ConstrainedDecoder, "__call__", noted)
        list(pool.map(process, range(2)))
    assert made == {0: [0, 2, 4], 1: [1, 3]}
    assert json.loads((tmp_path / "raw.json").read_text())["processes"] == 2
    predict(trained, tmp_path / "other.jsonl", "constrained")
    assert (tmp_path / "raw.jsonl").read_bytes() == (tmp_path / "other.jsonl").read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("decoding", "number"),
    [
        ("constrained", signal.SIGKILL),
        ("free", signal.SIGKILL),
        ("constrained", signal.SIGTERM),
        ("free", signal.SIGINT),
    ],
)
def test_a_process_that_is_cut_short_goes_on_and_ends_with_the_same_bytes(
    trained, tmp_path, decoding, number
):
    folder, entry, gold = trained
    out = tmp_path / "raw.jsonl"
    ours = [sys.executable, "-m", "bioner", *command(folder, entry, out, decoding)]
    process = subprocess.Popen(ours, stderr=subprocess.PIPE)
    try:
        limit = time.monotonic() + 600
        while len(list(shards_folder(out).glob("*/0*.json"))) < 2 and process.poll() is None:
            assert time.monotonic() < limit, "no shard came to be"
            time.sleep(0.01)
        process.send_signal(number)
        said = process.communicate()[1]
    finally:
        process.kill()
        process.wait()
    assert process.returncode == (-number if number == signal.SIGKILL else 128 + number)
    assert number == signal.SIGKILL or b"Finished shards are kept; the same command goes on" in said
    assert not out.exists()
    there = len(list(shards_folder(out).glob("*/0*.json")))
    assert there > 0

    again = subprocess.run(ours, capture_output=True, text=True)
    assert again.returncode == 0, again.stderr
    assert f"going on; {there} of" in again.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["raw.json", "raw.jsonl"]
    job = PredictionJob("tiny-llama", entry, gold, [], folder / "model", decoding, seed=42)
    predict_to(job, tmp_path / "other.jsonl")
    assert out.read_bytes() == (tmp_path / "other.jsonl").read_bytes()
    record = json.loads(out.with_suffix(".json").read_text())
    assert (record["decoding"], record["sentences"], record["processes"]) == (
        decoding,
        len(gold),
        1,
    )


@pytest.mark.slow
def test_two_ranks_of_torchrun_make_what_one_process_makes(trained, tmp_path):
    folder, entry, gold = trained
    out = tmp_path / "raw.jsonl"
    environment = os.environ | ENVIRONMENT | {"ACCELERATE_USE_CPU": "true"}
    ours = launch_command(2, command(folder, entry, out, "constrained"))
    done = subprocess.run(ours, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert json.loads(out.with_suffix(".json").read_text())["processes"] == 2
    job = PredictionJob("tiny-llama", entry, gold, [], folder / "model", "constrained", seed=42)
    predict_to(job, tmp_path / "other.jsonl")
    assert out.read_bytes() == (tmp_path / "other.jsonl").read_bytes()


def test_what_shards_depend_on(trained, tmp_path, monkeypatch):
    """Whatever may change an answer is part of a job's identity, and nothing else."""
    folder, entry, gold = trained
    seen = []

    class Noted(Shards):
        def __init__(self, place, identity, instances, size):
            seen.append(json.dumps(identity, sort_keys=True))
            raise Killed

    monkeypatch.setattr("bioner.inference.predict.Shards", Noted)

    def identity(decoding="free", *, seed=1, gold=gold, train=(), change=None, draft=None):
        settings = entry.changed(predict=change or {})
        with pytest.raises(Killed):
            weights = folder / "model"
            job = PredictionJob("m", settings, gold, train, weights, decoding, seed, draft=draft)
            predict_to(job, tmp_path / "raw.jsonl")
        return seen[-1]

    assert identity(seed=1) == identity(seed=2), "greedy"
    assert identity("free-paper", seed=1) != identity("free-paper", seed=2)
    assert identity(change={"batch_size": 1}) == identity(), "for want of memory"
    assert identity(change={"tokens_per_word": 9}) != identity()
    assert identity(train=gold[:3]) == identity(), "free generation has no drafts"
    assert identity("constrained", train=gold[:3]) != identity("constrained")
    assert identity("constrained") != identity()
    for name, tag in (("a", "O"), ("b", "B-Gene")):
        told = [Prediction(item.id, [tag] + ["O"] * (len(item.tokens) - 1)) for item in gold]
        write_predictions(tmp_path / name, told)
    assert identity("constrained", draft=tmp_path / "a") != identity(
        "constrained", draft=tmp_path / "b"
    )
    other = [replace(gold[0], tokens=[*gold[0].tokens[:-1], "!"]), *gold[1:]]
    assert identity(gold=other) != identity()
    before = identity()
    os.utime(folder / "model" / "config.json", (1, 1))
    assert identity() != before
    before = identity()
    monkeypatch.setattr("bioner.inference.predict.version", lambda package: "another")
    assert identity() != before


def test_a_sign_tells_how_many_shards_there_are(tmp_path, monkeypatch):
    """Ten instances make four shards; the third kills the job, and a second one begins with two."""
    monkeypatch.setattr("bioner.inference.decoding.shards.SILENCE", -1)
    signs = []

    def until(instances, number):
        signs.append(read_heartbeat(next((tmp_path / "work").glob(f"*/{HEARTBEAT_FILE}"))))
        if number == 2 and len(signs) == 3:
            raise Killed
        return decode(instances, number)

    shards = Shards(tmp_path / "work", {}, GOLD, 3)
    with pytest.raises(Killed), shards.owned():
        shards.make(shards.missing(), until)
    with shards.owned():
        shards.make(shards.missing(), until)
        assert lock_is_held(tmp_path / "work.lock", None, 0)
    assert [(sign.done, sign.shards) for sign in signs] == [(n, 4) for n in (0, 1, 2, 2, 3)]
    assert [sign.seconds_left is None for sign in signs] == [
        True,
        False,
        False,
        True,
        False,
    ]
