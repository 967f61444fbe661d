"""Devices: where the choice is made, and what every use of a GPU passes."""

import re

import pytest
import torch

from bioner.inference.predict import load_predictor
from bioner.inference.tagging import load_tagger
from bioner.models.devices import device_of
from bioner.models.llm import load_trained
from bioner.training.scratch import make_pretrained
from bioner.training.trainer import training_arguments
from tests.unit.training.helpers import job_of


@pytest.fixture
def roads(tiny_encoder, tiny_llm, trained_encoder, trained_llm, sentences, tmp_path):
    """Whatever computes on a GPU, up to where its model is there."""
    encoder, llm = trained_encoder / "model", trained_llm / "model"
    scratch = tiny_llm.source.scratch
    return {
        "training": lambda: training_arguments(job_of(tiny_encoder, sentences), tmp_path, 1),
        "random weights": lambda: make_pretrained(scratch, sentences, 1, tmp_path / "source"),
        "an encoder, predicting or timed": lambda: load_predictor(
            "tiny", tiny_encoder, encoder, "direct"
        ),
        "an LLM, predicting or timed": lambda: load_predictor("tiny", tiny_llm, llm, "free"),
        "merging": lambda: load_trained(llm, tiny_llm),
        "tagging": lambda: load_tagger(encoder),
    }


def test_every_path_to_a_gpu_switches_cudnn_attention_off(roads):
    for name, road in roads.items():
        torch.backends.cuda.enable_cudnn_sdp(True)
        road()
        assert not torch.backends.cuda.cudnn_sdp_enabled(), name


def test_only_device_of_chooses_a_gpu(repository):
    """But the doctor, which looks at each card by itself."""
    chosen = re.compile(
        r"""device\(\s*f?["'](?!cpu|meta)|\.to\(\s*f?["']cuda|\.cuda\(\)|["']cuda:"""
    )
    files = [*(repository / "src").rglob("*.py"), *(repository / "benchmarks").rglob("*.py")]
    found = {
        path.relative_to(repository).as_posix()
        for path in files
        if chosen.search(path.read_text(encoding="utf-8"))
    }
    doctor = {f"src/bioner/ops/doctor/{name}.py" for name in ("allreduce", "nf4")}
    assert found == {"src/bioner/models/devices.py", *doctor}


def test_a_model_for_the_cpu_stays_there():
    assert device_of(0).type == "cpu"
