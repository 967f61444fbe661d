"""Inference time: what is timed, what is counted, and how the two protocols differ."""

import time
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
import torch
from typer.testing import CliRunner

from bioner.cli import app
from bioner.data.instances import write_instances
from bioner.data.raw_outputs import Tagged
from bioner.errors import InputError
from bioner.inference import timing
from bioner.inference.predict import load_predictor
from bioner.inference.timing import (
    TIMING,
    Protocol,
    Timed,
    gflop_per_sample,
    sample_of,
    time_batch,
    time_model,
)
from bioner.io.files import write_json
from bioner.io.tables import read_table
from bioner.settings.catalogue import parse_entry
from bioner.settings.config import merged
from bioner.settings.model_entry import ModelEntry
from bioner.training.job import TrainingJob
from bioner.training.run import train
from tests.conftest import instance


@pytest.fixture(scope="module")
def encoder(tiny_encoder, trained_encoder, sentences):
    return Timed(
        "tiny-bert", tiny_encoder, trained_encoder / "model", sentences, sentences, sentences
    )


@pytest.fixture(scope="module")
def llm(tiny_llm, sentences, tmp_path_factory):
    """A tiny LLM with an adapter on a base in 4 bits; its free answers are short."""
    folder = tmp_path_factory.mktemp("llm")
    changes = {
        "lora": {"r": 4, "alpha": 8, "dropout": 0.0, "target_modules": ["q_proj", "v_proj"]},
        "quantization": "nf4",
    }
    changes |= {"predict": {"tokens_per_word": 1}}
    entry = parse_entry(ModelEntry, "tiny-llama", merged(tiny_llm.canonical(), changes))
    train(TrainingJob("tiny-llama", entry, sentences, sentences, 7), folder)
    return Timed("tiny-llama", entry, folder / "model", sentences, sentences, sentences)


def test_sentences_alone_are_calls_of_their_own_and_the_first_warm_up():
    calls = []
    sample = [instance(name, "a b") for name in "wxyz"]

    def predictor(part, batch):
        calls.append((len(part), batch))
        return []

    row = time_batch(predictor, sample, 1, repeats=2)
    assert calls == [(1, 1)] * (3 + 2 * 4)
    assert (row["batch"], row["sentences"], row["repeats"]) == (1, 4, 2)
    calls.clear()
    row = time_batch(predictor, sample, 3, repeats=2)
    assert calls == [(3, 3), (4, 3), (4, 3)]
    assert (row["seconds_median"], row["seconds_p95"]) == (None, None)


def test_seconds_are_those_of_a_sentence(monkeypatch):
    """Three sentences take 1, 2 and 6 s, whatever the clock of this machine says."""
    clock = [0.0]
    monkeypatch.setattr(time, "perf_counter", lambda: clock[0])
    sample = [instance(str(seconds), "a") for seconds in (1, 2, 6)]

    def predictor(part, batch):
        clock[0] += sum(int(each.id) for each in part)
        return []

    row = time_batch(predictor, sample, 1, repeats=3)
    assert (row["seconds_per_sample"], row["seconds_median"]) == (3, 2)
    assert row["seconds_p95"] == pytest.approx(np.percentile([1, 2, 6] * 3, 95))
    assert time_batch(predictor, sample, 2, repeats=3)["seconds_per_sample"] == 3


def test_of_passes_the_median_counts_and_of_sentences_those_of_all_passes(monkeypatch):
    """Both sentences take 1 s in the first pass, 2 s in the second, 12 s in the disturbed third."""
    clock, left = [0.0], iter([9, 9, 1, 1, 2, 2, 12, 12])
    monkeypatch.setattr(time, "perf_counter", lambda: clock[0])

    def predictor(part, batch):
        clock[0] += next(left)
        return []

    row = time_batch(predictor, [instance(name, "a") for name in "xy"], 1, repeats=3)
    assert (row["seconds_per_sample"], row["seconds_median"]) == (2, 2)
    assert (row["seconds_low"], row["seconds_high"]) == (1, 12)
    assert row["seconds_p95"] == pytest.approx(np.percentile([1, 1, 2, 2, 12, 12], 95))


def test_arithmetic_of_many_sentences_is_that_of_one_on_an_even_part():
    """Every sentence is a product of 10 x 20 and 20 x 5; a quarter of 80 is looked at."""
    import torch

    seen = []

    def predictor(part, batch):
        seen.append(len(part))
        return [torch.ones(10, 20) @ torch.ones(20, 5) for _ in part]

    sample = [instance(str(number), "a") for number in range(80)]
    assert gflop_per_sample(predictor, sample, 1) == pytest.approx(2 * 10 * 20 * 5 / 1e9)
    assert seen == [20]


@pytest.fixture
def asked(monkeypatch):
    """Return how models were loaded, and a row, on a machine with GPUs; the models tag nothing."""
    loaded = []

    def load(*whose, **how):
        loaded.append(how)
        return lambda part, batch: [Tagged(each.id, [0], ["O"]) for each in part]

    monkeypatch.setattr(timing, "load_predictor", load)
    monkeypatch.setattr(timing, "provenance", lambda: {"gpus": ["H100", "A100"], "cpu": "Xeon"})
    monkeypatch.setattr(timing, "energy_kwh", lambda gpus: None)
    monkeypatch.setattr(timing, "gflop_per_sample", lambda *arguments: float(len(arguments[1])))

    def ask(timed, protocol, gpus=0):
        entry = timed.entry.changed(resources={"predict_gpus": gpus})
        few = replace(timed, entry=entry, sample=timed.sample[:1])
        decoding = "direct" if entry.family == "encoder" else "free"
        (row,) = time_model(few, protocol, [decoding], [1], repeats=1)
        return loaded[-1], row

    return ask


def test_models_are_loaded_as_the_protocol_says(asked, encoder, llm):
    for timed in (encoder, llm):
        for name, paper in (("fair", False), ("paper", True)):
            assert asked(timed, Protocol(name))[0]["paper"] == paper


def test_a_row_is_of_the_sample_and_names_what_it_ran_on(asked, encoder):
    _, row = asked(encoder, Protocol("fair"))
    assert (row["sentences"], row["gflop_per_sample"], row["hardware"]) == (
        1,
        1,
        "Xeon",
    ), "it was given no GPU"
    _, row = asked(encoder, Protocol("fair"), gpus=1)
    assert row["hardware"] == "H100"


def test_energy_is_that_of_the_timed_passes_without_the_warm_up(monkeypatch):
    """A sentence takes 1 Wh, but the first one 100."""
    taken, seen = [0.0], []
    monkeypatch.setattr(timing, "energy_kwh", lambda gpus: taken[0] if gpus else None)

    def predictor(part, batch):
        taken[0] += sum(0.001 if seen else 0.1 for _ in part)
        seen.extend(part)
        return []

    sample = [instance(str(number), "a") for number in range(4)]
    assert time_batch(predictor, sample, 1, repeats=3, gpus=1)[
        "energy_wh_per_sample"
    ] == pytest.approx(1.0)
    assert time_batch(predictor, sample, 1, repeats=3)["energy_wh_per_sample"] is None


def test_the_sample_is_drawn_evenly_and_is_the_same_for_all():
    instances = [instance(str(number), "a") for number in range(10)]
    assert [each.id for each in sample_of(instances, 5)] == ["0", "2", "4", "6", "8"]
    assert sample_of(instances, 99) == instances
    with pytest.raises(InputError, match="no instance"):
        sample_of([], 5)


def test_arithmetic_is_that_of_the_model_s_matrices(encoder):
    """Two FLOPs per weight of a linear layer and token, and two attention products per layer."""
    predictor = load_predictor(encoder.name, encoder.entry, encoder.weights, "direct")
    from transformers import AutoModelForTokenClassification, AutoTokenizer

    model = AutoModelForTokenClassification.from_pretrained(encoder.weights)
    tokens = len(
        AutoTokenizer.from_pretrained(encoder.weights)(" ".join(encoder.sample[2].tokens))[
            "input_ids"
        ]
    )
    linear = sum(
        layer.weight.numel() for layer in model.modules() if type(layer).__name__ == "Linear"
    )
    attention = model.config.num_hidden_layers * 4 * tokens**2 * model.config.hidden_size
    assert gflop_per_sample(predictor, encoder.sample[2:], 1) == pytest.approx(
        (2 * linear * tokens + attention) / 1e9, rel=1e-9
    )


@pytest.mark.parametrize("grad", [False, True])
@pytest.mark.parametrize("rows", [1, 7])
def test_a_four_bit_layer_and_its_adapter_count_by_their_shapes(rows, grad):
    import torch
    from bitsandbytes.nn import Linear4bit
    from peft import LoraConfig, get_peft_model

    wide, narrow, rank = 128, 64, 4
    layer = Linear4bit(narrow, wide, bias=False, quant_type="nf4", compress_statistics=True)
    layer.to("cpu").support_avx512bf16_for_cpu = False
    model = get_peft_model(
        torch.nn.Sequential(layer), LoraConfig(r=rank, target_modules=["0"])
    ).eval()

    def predictor(part, batch):
        with torch.set_grad_enabled(grad):
            model(torch.ones(2, rows, narrow))
        return []

    weights = wide * narrow + rank * (wide + narrow)
    assert gflop_per_sample(predictor, [instance("x", "a")], 1) == pytest.approx(
        2 * (2 * rows) * weights / 1e9
    )


@pytest.mark.parametrize("shape", [(1, 64), (3, 5, 64)])
def test_gpu_only_operations_are_counted_without_a_gpu(shape):
    """Called for shapes only (`meta`), with all overloads of both 4-bit products."""
    import bitsandbytes  # noqa: F401, registers its operations
    import torch

    def meta(*sizes, dtype=torch.float32):
        return torch.empty(sizes, dtype=dtype, device="meta")

    hidden = meta(*shape, dtype=torch.bfloat16)
    packed, absmax = meta(128 * 64 // 2, 1, dtype=torch.uint8), meta(128 * 64 // 64)
    ops, rows = torch.ops.bitsandbytes, hidden.numel() // 64
    calls = [
        lambda: ops.gemm_4bit(hidden, packed, [128, 64], absmax, 64, "nf4"),
        lambda: ops.gemv_4bit(hidden, packed, [128, 64], absmax, meta(16), 64),
        lambda: ops.gemv_4bit.out(
            hidden,
            packed,
            [128, 64],
            absmax,
            meta(16),
            64,
            out=meta(*shape[:-1], 128, dtype=torch.bfloat16),
        ),
    ]
    for call in calls:
        counted = gflop_per_sample(lambda part, batch, call=call: call(), [instance("x", "a")], 1)
        assert counted == pytest.approx(2 * rows * 128 * 64 / 1e9)


def test_padding_is_counted_and_changes_no_tag(encoder):
    whose = (encoder.name, encoder.entry, encoder.weights, "direct")
    plain, padded = (load_predictor(*whose, paper=paper) for paper in (False, True))
    assert list(plain(encoder.sample, 1)) == list(padded(encoder.sample, 1))
    assert gflop_per_sample(padded, encoder.sample, 1) > 1.5 * gflop_per_sample(
        plain, encoder.sample, 1
    )


def test_a_row_a_decoding_and_batch_size(llm):
    rows = list(time_model(llm, Protocol("fair"), ["free", "constrained"], [1, 2, 2], repeats=1))
    assert [(row["decoding"], row["batch"]) for row in rows] == [
        *(("free", batch) for batch in (1, 2)),
        *(("constrained", batch) for batch in (1, 2)),
    ]
    assert {row["draft"] for row in rows} == {None, "table"}
    assert all(row["seconds_per_sample"] > 0 and row["gflop_per_sample"] > 0 for row in rows)
    assert {row["family"] for row in rows} == {"llm"}
    assert {row["others_on_gpu"] for row in rows} == {None}, "there is no GPU"


def test_both_families_are_timed_in_one_precision_unless_asked_otherwise(llm, encoder):
    def precision(timed, decoding="direct", **predict):
        timed = replace(timed, entry=timed.entry.changed(predict=predict))
        fair = time_model(timed, Protocol("fair"), [decoding], [1], repeats=1)
        return next(fair)["precision"]

    assert precision(llm, "free") == precision(encoder) == encoder.entry.train.precision
    assert precision(llm, "free", weights="as-trained") == "nf4"
    assert precision(llm, "free-paper") == "nf4", "it reproduces the paper"
    in_bf16 = replace(encoder, entry=encoder.entry.changed(train={"precision": "bf16"}))
    assert precision(in_bf16) == "bf16"
    assert precision(in_bf16, weights="as-trained") == "bf16 autocast"


def test_the_paper_s_protocol_is_free_generation_by_sixteens_in_4_bits_and_encoders_alone_in_fp32(
    llm, encoder
):
    paper = Protocol("paper")
    rows = list(time_model(llm, paper, ["free", "constrained"], [1, 4], repeats=1))
    assert [(row["protocol"], row["decoding"], row["batch"], row["precision"]) for row in rows] == [
        ("paper", "free", 16, "nf4")
    ]
    (row,) = time_model(encoder, paper, ["direct"], [4], repeats=1)
    assert (row["batch"], row["precision"]) == (1, "fp32")


def test_the_command_writes_a_row_a_protocol_whole(encoder, sentences, tmp_path):
    write_instances(tmp_path / "test.jsonl", sentences)
    write_json(tmp_path / "entry.json", encoder.entry.canonical())
    arguments = ["time", "tiny-bert", "--entry", (tmp_path / "entry.json").read_text(), "--gold"]
    arguments += [
        str(tmp_path / "test.jsonl"),
        "--weights",
        str(encoder.weights),
        "--decoding",
        "direct",
        "--batch",
        "2",
    ]
    arguments += [
        "--protocol",
        "fair",
        "--protocol",
        "paper",
        "--dataset",
        "demo",
        "--seed",
        "7",
        "--repeats",
        "1",
    ]
    out = tmp_path / "timing.csv"
    done = CliRunner().invoke(app, [*arguments, "--out", str(out)])
    assert done.exit_code == 0, done.output
    table = read_table(out, TIMING)
    assert table.select("dataset", "model", "seed", "protocol", "batch").rows() == [
        ("demo", "tiny-bert", 7, "fair", 2),
        ("demo", "tiny-bert", 7, "paper", 1),
    ]
    assert table.filter(pl.col("seconds_per_sample") <= 0).is_empty()
    again = [*arguments, "--weights", str(encoder.weights), "--seed", "8", "--out", str(out)]
    assert CliRunner().invoke(app, again).exit_code == 0
    assert read_table(out, TIMING)["seed"].to_list() == [7, 7, 8, 8]
    with pytest.raises(InputError, match="'slow'; expected fair or paper"):
        CliRunner().invoke(
            app, [*arguments, "--protocol", "slow", "--out", str(out)], catch_exceptions=False
        )


@pytest.mark.parametrize("used", [False, True])
def test_timing_waits_for_a_gpu_only_if_this_process_uses_one(monkeypatch, used):
    waited = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: used)
    monkeypatch.setattr(torch.cuda, "synchronize", lambda: waited.append(True))
    timing._synchronise()
    assert bool(waited) == used
