"""A decoding job that is cut short goes on where it was and ends as if it had not been; nothing is decoded twice."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace

import pytest

from bioner.config import merged
from bioner.decoding.shards import Shards, shards_folder
from bioner.errors import InputError
from bioner.instances import write_instances
from bioner.predict import predict_to
from bioner.raw import Generated
from bioner.training.job import Job
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
    with shards.alone():
        shards.make(decode)
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
    with pytest.raises(Killed), shards.alone():
        shards.make(until)
    with shards.alone():
        shards.make(noted)
        outputs, took = shards.collect()
    assert len(asked) == 10 - 3 * at
    assert took == {"sentences": 10}
    undisturbed = Shards(tmp_path / "other", {"seed": 1}, GOLD, 3)
    with undisturbed.alone():
        undisturbed.make(decode)
        assert undisturbed.collect() == (outputs, took)


def test_another_job_s_shards_are_no_use(tmp_path, caplog):
    first, second = (Shards(tmp_path / "work", {"seed": seed}, GOLD, 3) for seed in (1, 2))
    with pytest.raises(Killed), first.alone():
        first.make(decode)
        raise Killed
    with second.alone(), pytest.raises(InputError, match="no finished shard"):
        second.collect()


@pytest.mark.parametrize("content", ["", "{", '{"outputs": [], "took": {}}', '{"outputs": [{"id": "s9"}], "took": {}}'])
def test_a_broken_shard_is_made_again(tmp_path, content):
    shards = Shards(tmp_path / "work", {}, GOLD, 3)
    with shards.alone():
        shards.make(decode)
        before = shards.collect()
        (tmp_path / "work" / "000001.json").write_text(content)
        shards.make(decode)
        assert shards.collect() == before


def test_two_jobs_do_not_write_to_one_place(tmp_path):
    shards = Shards(tmp_path / "work", {}, GOLD, 3)
    with shards.alone(), pytest.raises(InputError, match="another process"), shards.alone():
        pass


def test_processes_share_the_shards_out(tmp_path):
    made = {0: [], 1: []}
    shards = Shards(tmp_path / "work", {}, GOLD, 2)
    with shards.alone():
        for process, numbers in made.items():
            shards.make(
                lambda part, number, numbers=numbers: (numbers.append(number), decode(part, number))[1], process, 2
            )
        outputs, _ = shards.collect()
    assert made == {0: [0, 2, 4], 1: [1, 3]}
    assert len(outputs) == 10


@pytest.fixture(scope="module")
def trained(tiny_llm, sentences, tmp_path_factory):
    """A trained model and a command that predicts with it, slowly enough to be killed."""
    folder = tmp_path_factory.mktemp("llm")
    train(Job("tiny-llama", tiny_llm, sentences, sentences, 1), folder)
    gold = [replace(item, id=f"{item.id}-{number}") for number in range(60) for item in sentences]
    write_instances(folder / "gold.jsonl", gold)
    entry = merged(tiny_llm, {"predict": {"batch_size": 1, "window": 1}})
    return folder, entry, gold


def command(folder, entry, out, decoding):
    weights, gold = folder / "model", folder / "gold.jsonl"
    options = {"--entry": json.dumps(entry), "--gold": gold, "--weights": weights, "--decoding": decoding, "--out": out}
    arguments = [str(part) for pair in options.items() for part in pair]
    return ["predict", "tiny-llama", *arguments, "--record", str(out.with_suffix(".json"))]


@pytest.mark.parametrize("decoding", ["forced", "free"])
def test_a_killed_job_goes_on_and_ends_with_the_same_bytes(trained, tmp_path, decoding):
    folder, entry, gold = trained
    out = tmp_path / "raw.jsonl"
    ours = [sys.executable, "-m", "bioner", *command(folder, entry, out, decoding)]
    process = subprocess.Popen(ours, stderr=subprocess.PIPE)
    for _ in range(6000):
        if len(list(shards_folder(out).glob("*.json"))) > 3 or process.poll() is not None:
            break
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert not out.exists()
    there = len(list(shards_folder(out).glob("0*.json")))
    assert there > 0

    again = subprocess.run(ours, capture_output=True, text=True)
    assert again.returncode == 0, again.stderr
    assert f"going on; {there} of" in again.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["raw.json", "raw.jsonl"]
    predict_to(tmp_path / "other.jsonl", "tiny-llama", entry, gold, [], folder / "model", decoding, seed=42)
    assert out.read_bytes() == (tmp_path / "other.jsonl").read_bytes()
    record = json.loads(out.with_suffix(".json").read_text())
    assert (record["decoding"], record["sentences"], record["processes"]) == (decoding, len(gold), 1)


def test_two_processes_make_what_one_makes(trained, tmp_path):
    folder, entry, gold = trained
    out = tmp_path / "raw.jsonl"
    environment = os.environ | ENVIRONMENT | {"ACCELERATE_USE_CPU": "true"}
    ours = launch_command(2, command(folder, entry, out, "forced"))
    done = subprocess.run(ours, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert json.loads(out.with_suffix(".json").read_text())["processes"] == 2
    predict_to(tmp_path / "other.jsonl", "tiny-llama", entry, gold, [], folder / "model", "forced", seed=42)
    assert out.read_bytes() == (tmp_path / "other.jsonl").read_bytes()
