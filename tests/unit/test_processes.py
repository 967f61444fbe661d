"""Training in several processes, as on several GPUs, here on the CPU with gloo."""

import json
import os
import subprocess
from dataclasses import replace

import pytest

from bioner.config import merged
from bioner.instances import write_instances
from bioner.predict import predict
from bioner.training.launch import launch_command


def launched(processes: int, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The command as `bioner train` starts it for a model with several GPUs, on the CPU."""
    environment = os.environ | {"ACCELERATE_USE_CPU": "true"}
    command = launch_command(processes, list(arguments))
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("family", ["encoder", "llm"])
def test_two_processes_train_one_model(family, tiny_encoder, tiny_llm, sentences, tmp_path):
    lora = {"r": 4, "alpha": 8, "dropout": 0.0, "targets": ["q_proj", "v_proj"]}
    entry = {"encoder": tiny_encoder, "llm": merged(tiny_llm, {"lora": lora, "quantization": "nf4"})}[family]
    for split in ("train", "dev"):
        again = [replace(item, id=f"{item.id}-again") for item in sentences]
        write_instances(tmp_path / f"{split}.jsonl", [*sentences, *again])
    out = tmp_path / "run"
    done = launched(2, "train", "tiny", "--entry", json.dumps(entry), "--data", str(tmp_path), "--out", str(out))
    assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in out.iterdir()) == ["history.csv", "model", "run.json"]
    run = json.loads((out / "run.json").read_text())
    assert run["processes"] == 2
    # 6 sentences in batches of 2 over both processes: 3 steps an epoch.
    assert (out / "history.csv").read_text().splitlines()[1].startswith("1.0,3,")
    decoding = "forced" if family == "llm" else "direct"
    assert len(predict("tiny", entry, sentences, [], out / "model", decoding)) == 3
