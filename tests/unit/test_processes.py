"""Training in several processes, as on several GPUs, here on the CPU with gloo."""

import json
import os
import signal
import subprocess
import time
from dataclasses import replace

import polars as pl
import psutil
import pytest
import torch
from safetensors.torch import load_file

from bioner.catalogue import complete_entry
from bioner.config import merged
from bioner.instances import write_instances
from bioner.predict import predict
from bioner.training.launch import ENVIRONMENT, launch_command
from bioner.training.workspace import WORKSPACE
from tests.unit.training.helpers import stand_in


def started(processes: int, *arguments: str) -> subprocess.Popen[str]:
    """The command as `bioner train` starts it for a model with several GPUs, on the CPU."""
    environment = os.environ | ENVIRONMENT | {"ACCELERATE_USE_CPU": "true"}
    command = launch_command(processes, list(arguments))
    return subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)


@pytest.mark.parametrize("family", ["encoder", "llm"])
def test_two_processes_train_one_model(family, tiny_encoder, tiny_llm, sentences, tmp_path):
    lora = {"r": 4, "alpha": 8, "dropout": 0.0, "targets": ["q_proj", "v_proj"]}
    changed = {"encoder": tiny_encoder, "llm": merged(tiny_llm, {"lora": lora, "quantization": "nf4"})}[family]
    entry = complete_entry("models", "tiny", changed)
    for split in ("train", "dev"):
        again = [replace(item, id=f"{item.id}-again") for item in sentences]
        write_instances(tmp_path / f"{split}.jsonl", [*sentences, *again])
    out = tmp_path / "run"
    process = started(2, "train", "tiny", "--entry", json.dumps(entry), "--data", str(tmp_path), "--out", str(out))
    said = process.communicate()[1]
    assert process.returncode == 0, said
    assert sorted(path.name for path in out.iterdir()) == ["history.csv", "model", "run.json"]
    run = json.loads((out / "run.json").read_text())
    assert run["processes"] == 2
    # 6 sentences in batches of 2 over both processes: 3 steps an epoch.
    assert (out / "history.csv").read_text().splitlines()[1].startswith("1.0,3,")
    decoding = "forced" if family == "llm" else "direct"
    assert len(predict("tiny", entry, sentences, [], out / "model", decoding)) == 3


@pytest.mark.parametrize("quantization", [None, "nf4"])
def test_two_processes_end_with_the_parameters_of_one(tiny_llm, sentences, tmp_path, quantization):
    """Seven sentences in batches of four: the last batch does not go round, and nothing is repeated for that."""
    lora = {"r": 4, "alpha": 8, "dropout": 0.0, "targets": ["q_proj", "v_proj", "lm_head"]}
    settings = {"epochs": 3, "batch_size": 4, "learning_rate": 1e-2, "monitor_sentences": 3}
    source = {"scratch": None, "hub": str(stand_in(tmp_path / "source", "llama", sentences))}
    changed = {"source": source, "lora": lora, "quantization": quantization, "train": settings}
    entry = complete_entry("models", "tiny", merged(tiny_llm, changed))
    seven = [replace(item, id=f"{item.id}-{number}") for number in range(3) for item in sentences][:7]
    for split in ("train", "dev"):
        write_instances(tmp_path / f"{split}.jsonl", seven)
    for processes in (1, 2):
        out = tmp_path / str(processes)
        entry_and_data = ("--entry", json.dumps(entry), "--data", str(tmp_path), "--out", str(out))
        process = started(processes, "train", "tiny", *entry_and_data)
        said = process.communicate()[1]
        assert process.returncode == 0, said
    one, two = (tmp_path / "1", tmp_path / "2")
    runs = [json.loads((out / "run.json").read_text()) for out in (one, two)]
    assert [(run["processes"], run["micro_batch_size"]) for run in runs] == [(1, 4), (2, 2)]
    weights = [load_file(out / "model" / "adapter_model.safetensors") for out in (one, two)]
    assert weights[0].keys() == weights[1].keys()
    moved = 0.0
    for name, tensor in weights[0].items():
        torch.testing.assert_close(tensor, weights[1][name], rtol=1e-3, atol=1e-5)
        moved = max(moved, tensor.abs().max().item() if "lora_B" in name else 0.0)
    assert moved > 1e-2, "lora_B begins at zero"
    tables = [pl.read_csv(out / "history.csv") for out in (one, two)]
    for column in ("train_loss", "dev_loss", "dev_strict_f1", "monitor_f1"):
        values = [table[column].fill_null(-1).to_list() for table in tables]
        assert values[0] == pytest.approx(values[1], rel=1e-4), column


def test_when_one_process_dies_the_other_stops_and_the_same_command_goes_on(tiny_llm, sentences, tmp_path):
    for split, copies in (("train", 40), ("dev", 1)):
        many = [replace(item, id=f"{item.id}-{number}") for number in range(copies) for item in sentences]
        write_instances(tmp_path / f"{split}.jsonl", many)
    entry = merged(tiny_llm, {"train": {"epochs": 6, "patience": None}})
    out = tmp_path / "run"
    arguments = ["train", "tiny", "--entry", json.dumps(entry), "--data", str(tmp_path), "--out", str(out)]
    process = started(2, *arguments)
    checkpoints = out / WORKSPACE / "checkpoints"
    for _ in range(12000):
        if list(checkpoints.glob("checkpoint-*/sealed.json")):
            break
        time.sleep(0.01)
    ranks = psutil.Process(process.pid).children(recursive=True)
    rank = next(child for child in ranks if child.environ().get("RANK") == "1")
    rank.kill()
    said = process.communicate(timeout=120)[1]
    assert process.returncode != 0
    assert not any(child.is_running() and child.status() != psutil.STATUS_ZOMBIE for child in ranks), said
    assert not (out / "run.json").exists()
    again = started(2, *arguments)
    said = again.communicate()[1]
    assert again.returncode == 0, said
    assert json.loads((out / "run.json").read_text())["sessions"] == 2
    assert pl.read_csv(out / "history.csv")["epoch"].to_list() == [1, 2, 3, 4, 5, 6]


def test_two_processes_leave_together_on_a_signal_and_go_on_where_they_were(tiny_encoder, sentences, tmp_path):
    """Slurm's warning to the launcher: both write the same checkpoint, inside an epoch, and end as if undisturbed."""
    for split, copies in (("train", 100), ("dev", 1)):
        many = [replace(item, id=f"{item.id}-{number}") for number in range(copies) for item in sentences]
        write_instances(tmp_path / f"{split}.jsonl", many)
    entry = merged(tiny_encoder, {"train": {"epochs": 3, "patience": None}})
    arguments = ["train", "tiny", "--entry", json.dumps(entry), "--data", str(tmp_path), "--out"]
    undisturbed = started(2, *arguments, str(tmp_path / "undisturbed"))
    said = undisturbed.communicate()[1]
    assert undisturbed.returncode == 0, said

    out = tmp_path / "run"
    process = started(2, *arguments, str(out))
    checkpoints = out / WORKSPACE / "checkpoints"
    for _ in range(6000):
        if list(checkpoints.glob("checkpoint-*/sealed.json")):
            break
        time.sleep(0.01)
    time.sleep(0.1)  # into the second epoch
    process.send_signal(signal.SIGUSR1)
    said = process.communicate(timeout=120)[1]
    assert process.returncode != 0
    assert "A checkpoint is written; the same command goes on from there" in said
    assert not (out / "run.json").exists()
    steps = sorted(int(path.name.split("-")[1]) for path in checkpoints.glob("checkpoint-*"))
    assert steps[-1] % 150 != 0, "the signal was to come inside an epoch"

    again = started(2, *arguments, str(out))
    said = again.communicate()[1]
    assert again.returncode == 0, said
    weights = [(folder / "model" / "model.safetensors").read_bytes() for folder in (out, tmp_path / "undisturbed")]
    assert weights[0] == weights[1]
    losses = [pl.read_csv(folder / "history.csv")["train_loss"].to_list() for folder in (out, tmp_path / "undisturbed")]
    assert losses[0] == pytest.approx(losses[1], rel=1e-6), "up to how the sum over processes was rounded"
