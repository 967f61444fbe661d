"""One rank of several fails: the others end at once, and only it says why. Ranks are gloo
processes, as on several GPUs.
"""

import json
import os
import socket
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from bioner.data.instances import write_instances
from bioner.io.heartbeat import exclusive_lock
from bioner.training.launch import ENVIRONMENT, launch_command
from bioner.training.workspace import LOCK, MICRO_BATCH, WORKSPACE
from tests import forked
from tests.unit.training.helpers import with_settings

# A faulty rank keeps its connections until the other has ended, as one does whose device waits for
# the other's: what ends the other is not a lost connection.
COMMAND = """
import os, sys, time
from pathlib import Path
from bioner.cli import main

rank = int(os.environ["RANK"])
Path(f"process{rank}").write_text(str(os.getpid()))
sys.argv = ["bioner", *sys.argv[4:]]
try:
    main()
finally:
    other, until = Path(f"process{1 - rank}"), time.monotonic() + 15
    while faulty == rank and Path("/proc", other.read_text()).exists():
        if time.monotonic() > until:
            print("the other rank did not end")
            break
        time.sleep(0.05)
"""
SOUND = "faulty = None"
# In the second step of training, in which the other rank waits for it.
FAILS = """
import os, torch
from bioner.training.trainer import ResumableTrainer

faulty, step = int("{failing}"), ResumableTrainer.training_step

def fails(self, *args, **kwargs):
    if self.state.global_step == 1 and os.environ["RANK"] in "{failing}":
        raise {error}
    return step(self, *args, **kwargs)

ResumableTrainer.training_step = fails
"""
PREDICTS_NOTHING = """
from bioner.inference.decoding.shards import Shards

faulty, make = 1, Shards.make

def fails(self, *args):
    if rank:
        raise OSError(5, "Input/output error", "shard")
    make(self, *args)

Shards.make = fails
"""
OUT_OF_MEMORY = 'torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB")'
Start = Callable[..., tuple[list[int], str]]


@pytest.fixture
def start(tmp_path) -> Iterator[Start]:
    """Runs a command in two ranks with a fault planted; returns exit codes and what was said."""
    commands = []

    def two(fault: str, *arguments: str) -> tuple[list[int], str]:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = str(probe.getsockname()[1])
        shared = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "WORLD_SIZE": "2"}
        shared |= os.environ | {"ACCELERATE_USE_CPU": "true", "OMP_NUM_THREADS": "1"} | shared
        said = tmp_path / f"said{port}"
        # `--weights` has it forked from a process with torch.
        program = ["python", "-c", f"{fault}\n{COMMAND}", "--weights", *arguments]
        ranks = [
            forked.start(program, tmp_path, said, shared | {"RANK": rank, "LOCAL_RANK": rank})
            for rank in ("0", "1")
        ]
        commands.extend(ranks)
        codes = [rank.wait(60) for rank in ranks]
        return codes, said.read_text()

    yield two
    for command in commands:
        command.end()


@pytest.fixture
def training(tiny_encoder, sentences, tmp_path) -> list[str]:
    """The arguments of a training of three steps per epoch, eight sentences each."""
    for split in ("train", "dev"):
        many = [
            replace(item, id=f"{item.id}-{number}") for number in range(8) for item in sentences
        ]
        write_instances(tmp_path / f"{split}.jsonl", many)
    entry = with_settings(tiny_encoder, train={"batch_size": 8, "epochs": 1})
    given = ["--entry", json.dumps(entry.canonical()), "--data", str(tmp_path)]
    return ["train", "tiny", *given, "--out", str(tmp_path / "run")]


@pytest.mark.parametrize("rank", [0, 1])
def test_out_of_memory_on_one_rank_ends_all_and_the_next_start_has_half(
    start, training, tmp_path, rank
):
    codes, said = start(FAILS.format(failing=rank, error=OUT_OF_MEMORY), *training)
    assert (codes[rank], codes[1 - rank]) == (2, 1), said
    assert "did not end" not in said
    assert said.count("out of memory with 4 sentences per forward pass") == 1
    assert "Start it again: it resumes with 2, batch_size unchanged." in said
    assert "Traceback" not in said
    assert (tmp_path / "run" / WORKSPACE / MICRO_BATCH).read_text() == "2"
    codes, said = start(SOUND, *training)
    assert codes == [0, 0], said
    run = json.loads((tmp_path / "run" / "run.json").read_text())
    assert (run["processes"], run["micro_batch_size"], run["accumulation"]) == (2, 2, 2)


def test_another_error_on_one_rank_ends_all_and_the_next_start_is_as_before(
    start, training, tmp_path
):
    error = 'OSError(5, "Input/output error", "corpus")'
    codes, said = start(FAILS.format(failing=1, error=error), *training)
    assert codes == [1, 2], said
    assert "did not end" not in said
    assert said.count("corpus: Input/output error") == 1
    assert "Traceback" not in said
    codes, said = start(SOUND, *training)
    assert codes == [0, 0], said
    run = json.loads((tmp_path / "run" / "run.json").read_text())
    assert (run["micro_batch_size"], run["accumulation"]) == (4, 1)


def test_only_one_of_two_simultaneous_failures_is_reported(start, training):
    codes, said = start(FAILS.format(failing="01", error='ValueError("a bug")'), *training)
    assert sorted(codes) == [1, 1], said
    assert said.count("ValueError: a bug") == 1, said


def test_a_training_that_cannot_start_ends_on_all_ranks(start, training, tmp_path):
    out = tmp_path / "run"
    out.mkdir()
    with exclusive_lock(out / LOCK, out, "", ""):
        codes, said = start("faulty = 0", *training)
    assert codes == [2, 1], said
    assert said.count("another process that trains here") == 1
    assert "did not end" not in said


def test_a_prediction_that_fails_on_one_rank_ends_on_all(
    start, trained_llm, tiny_llm, sentences, tmp_path
):
    write_instances(tmp_path / "gold.jsonl", sentences)
    options = {
        "--entry": json.dumps(tiny_llm.canonical()),
        "--gold": str(tmp_path / "gold.jsonl"),
        "--weights": str(trained_llm / "model"),
        "--decoding": "constrained",
        "--out": str(tmp_path / "raw.jsonl"),
    }
    arguments = [part for pair in options.items() for part in pair]
    codes, said = start(PREDICTS_NOTHING, "predict", "tiny-llama", *arguments)
    assert codes == [1, 2], said
    assert said.count("shard: Input/output error") == 1
    assert "did not end" not in said


@pytest.mark.slow
def test_the_launcher_ends_with_its_ranks_without_waiting_for_a_checkpoint(training, tmp_path):
    fault = FAILS.format(failing=1, error=OUT_OF_MEMORY)
    (tmp_path / "faulty_bioner.py").write_text(f"{fault}\n{COMMAND.replace('[4:]', '[1:]')}")
    command = [
        part if part != "bioner" else "faulty_bioner" for part in launch_command(2, training)
    ]
    environment = os.environ | ENVIRONMENT | {"ACCELERATE_USE_CPU": "true"}
    environment["PYTHONPATH"] = f"{tmp_path}:{os.environ.get('PYTHONPATH', '')}"
    launched = subprocess.run(
        command,
        cwd=tmp_path,
        env=environment | {"TORCH_ELASTIC_SHUTDOWN_TIMEOUT": "600"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert launched.returncode == 1
    assert launched.stderr.count("bioner: tiny: found a device out of memory with 4") == 1
    assert "did not end" not in launched.stdout
    assert (tmp_path / "run" / WORKSPACE / MICRO_BATCH).read_text() == "2"
