"""Inference time: seconds and arithmetic per sentence, alone and in batches, on a fixed sample."""

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from bioner.data.instances import Instance, Prediction, entity_types
from bioner.data.tags import tag_set
from bioner.errors import InputError
from bioner.inference.decoding.drafts import draft_of
from bioner.inference.predict import Predictor, load_predictor
from bioner.io.run_record import energy_kwh, forget_peak, others_on_gpu, peak_memory, provenance
from bioner.io.tables import Schema, read_table
from bioner.realignment.realign import Method, realign_all
from bioner.settings.model_entry import ModelEntry

TIMING: Schema = {
    "dataset": pl.String,
    "model": pl.String,
    "family": pl.String,
    "seed": pl.Int64,
    "protocol": pl.String,
    "batch": pl.Int64,
    "precision": pl.String,
    "decoding": pl.String,
    "draft": pl.String,
    "hardware": pl.String,
    "others_on_gpu": pl.Int64,
    "sentences": pl.Int64,
    "repeats": pl.Int64,
    "seconds_per_sample": pl.Float64,
    "seconds_low": pl.Float64,
    "seconds_high": pl.Float64,
    "seconds_median": pl.Float64,
    "seconds_p95": pl.Float64,
    "gflop_per_sample": pl.Float64,
    "energy_wh_per_sample": pl.Float64,
    "peak_memory_gb": pl.Float64,
    "peak_gpu_memory_gb": pl.Float64,
}
TIMED = (
    "dataset",
    "model",
    "family",
    "protocol",
    "batch",
    "precision",
    "decoding",
    "hardware",
    "seconds_per_sample",
)
SPREAD = ("seconds_low", "seconds_high")  # older files lack it
Tagger = Callable[[Sequence[Instance], int], Sequence[object]]
PROTOCOLS = ("fair", "paper")
COUNTED = 20  # sentences whose operations are counted: it makes a pass several times slower
# How the paper timed (section IV and its code): encoders one sentence per pass, in fp32, padded to
# the window; LLMs by free generation, with an unmerged adapter on 4-bit weights.
PAPER_BATCH = {"encoder": 1, "llm-head": 1, "llm": 16}


@dataclass(frozen=True, slots=True)
class Protocol:
    """How a model is timed: `fair`, as it predicts, or `paper`, as the paper timed."""

    name: str

    def __post_init__(self) -> None:
        if self.name not in PROTOCOLS:
            raise InputError(
                "--protocol", repr(self.name), " or ".join(PROTOCOLS), "Correct the name."
            )

    @property
    def is_paper(self) -> bool:
        return self.name == "paper"

    def batches(self, family: str, asked: Sequence[int]) -> list[int]:
        """Return the batch sizes to time, each once."""
        return [PAPER_BATCH[family]] if self.is_paper else list(dict.fromkeys(asked))

    def decodings(self, asked: Sequence[str]) -> list[str]:
        """Return the decodings to time; the paper had no constrained one."""
        return [name for name in asked if not (self.is_paper and name == "constrained")]

    def precision(self, entry: ModelEntry, decoding: str) -> str:
        """Return the number format of weights and passes; only equal ones compare."""
        precision: str = entry.train.precision
        if self.is_paper and entry.family == "encoder":
            return "fp32"
        if entry.merges(decoding) and not self.is_paper:
            return precision
        if entry.quantization:
            return entry.quantization
        is_cast = (
            entry.family != "llm" and entry.has_merged_weights()
        )  # fp32 weights, cast in each pass
        return f"{precision} autocast" if is_cast else precision


@dataclass(frozen=True, slots=True)
class Timed:
    """A trained model and what it is timed on."""

    name: str
    entry: ModelEntry
    weights: Path
    sample: Sequence[Instance]  # of the test set
    gold: Sequence[Instance]  # the whole test set, and train: for drafts and entity types
    train: Sequence[Instance]
    draft: Path | None = None
    realignment: Method = "robust"


def time_model(
    timed: Timed,
    protocol: Protocol,
    decodings: Sequence[str],
    batches: Sequence[int],
    repeats: int,
    seed: int = 0,
) -> Iterator[dict[str, Any]]:
    """Time a model from tokens to tags on gold tokens.

    Yields:
        A row of TIMING for each decoding and batch size, without dataset, model and seed.
    """
    entry = timed.entry
    gpus, family = entry.resources.predict_gpus, entry.family
    types = entity_types([*timed.gold, *timed.train])
    legal = frozenset(tag_set(types)) if timed.train else None
    for decoding in protocol.decodings(decodings):
        draft = None
        if decoding == "constrained":
            draft = draft_of(entry.predict.draft, timed.train, timed.gold, timed.draft)
        predictor = load_predictor(
            timed.name,
            entry,
            timed.weights,
            decoding,
            draft=draft,
            seed=seed,
            paper=protocol.is_paper,
        )

        def tagged(
            part: Sequence[Instance], batch: int, predict: Predictor = predictor
        ) -> list[Prediction]:
            return realign_all(part, predict(part, batch), legal, timed.realignment)[0]

        machine = provenance()
        where = machine["gpus"][0] if machine["gpus"] and gpus else machine["cpu"]
        for batch in protocol.batches(family, batches):
            forget_peak(gpus)
            row = time_batch(tagged, timed.sample, batch, repeats, gpus)
            memory, gpu_memory = peak_memory(gpus)
            yield {
                "family": family,
                "protocol": protocol.name,
                "precision": protocol.precision(entry, decoding),
                "decoding": decoding,
                "draft": draft.name if draft else None,
                "hardware": where,
                "others_on_gpu": others_on_gpu(gpus),
                **row,
                "gflop_per_sample": gflop_per_sample(tagged, timed.sample, batch),
                "peak_memory_gb": memory,
                "peak_gpu_memory_gb": gpu_memory,
            }


def sample_of(instances: Sequence[Instance], sentences: int) -> list[Instance]:
    """Draw instances evenly from the test set: the same for all systems."""
    if not instances:
        raise InputError(
            "--gold", "no instance", "at least one", "Remake it with `bioner normalize`."
        )
    count = min(sentences, len(instances))
    return [instances[position * len(instances) // count] for position in range(count)]


def read_timing(path: Path) -> pl.DataFrame:
    """Read a cell's timing.csv and check its columns; an older file without a spread has nulls."""
    older = {name: kind for name, kind in TIMING.items() if name not in SPREAD}
    schema = older if _header(path) == ",".join(older) else TIMING
    return pl.concat([pl.DataFrame(schema=TIMING), read_table(path, schema, TIMED)], how="diagonal")


def _header(path: Path) -> str:
    """Return the first line of a file; an empty string if there is none."""
    if not path.is_file():
        return ""
    with path.open(encoding="utf-8", errors="replace") as stream:
        return stream.readline().rstrip("\r\n")


def time_batch(
    predictor: Tagger, sample: Sequence[Instance], batch: int, repeats: int, gpus: int = 0
) -> dict[str, Any]:
    """Measure the seconds per sentence at a batch size, after a warm-up.

    They are the median of `repeats` passes over the sample, with the least and the greatest of them
    as their spread. With batches of one, every sentence is a call of its own, and the row has the
    median and 95th percentile of a sentence's seconds (latency). The clock waits for the device.
    Watt-hours of `gpus` are of the same passes.
    """
    parts = [[instance] for instance in sample] if batch == 1 else [sample]
    for part in parts[:3]:  # whatever is made at the first call is made now
        predictor(part[:batch], batch)
    before = energy_kwh(gpus)
    passes = [[_seconds(predictor, part, batch) for part in parts] for _ in range(repeats)]
    after = energy_kwh(gpus)
    used = None if before is None or after is None else (after - before) * 1000
    means = [sum(seconds) / len(sample) for seconds in passes]
    alone = np.concatenate(passes) if batch == 1 else None
    return {
        "batch": batch,
        "sentences": len(sample),
        "repeats": repeats,
        "seconds_per_sample": float(np.median(means)),
        "seconds_low": min(means),
        "seconds_high": max(means),
        "seconds_median": None if alone is None else float(np.median(alone)),
        "seconds_p95": None if alone is None else float(np.percentile(alone, 95)),
        "energy_wh_per_sample": None if used is None else used / (len(sample) * repeats),
    }


def gflop_per_sample(predictor: Tagger, sample: Sequence[Instance], batch: int) -> float:
    """Count the billions of multiplications and additions of matrices per sentence.

    Counted on an even part of the sample when they are dispatched (torch's FlopCounterMode), with
    padding, prompts and drafts; elementwise operations are left out.
    """
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    part = sample_of(sample, COUNTED)
    with FlopCounterMode(display=False, custom_mapping=_uncounted(torch.ops)) as counter:
        predictor(part, batch)
    return float(counter.get_total_flops()) / len(part) / 1e9


def _uncounted(ops: Any) -> dict[Any, Callable[..., int]]:
    """Return formulas for operations that torch does not count: CPU attention, 4-bit products."""
    from torch.utils.flop_counter import sdpa_flop_count

    def attention(
        query: Any, key: Any, value: Any, *rest: Any, out_shape: Any = None, **named: Any
    ) -> int:
        return int(sdpa_flop_count(query, key, value))

    def product(
        rows: Any,
        weights: Any,
        shape: Sequence[int],
        *rest: Any,
        out_shape: Any = None,
        **named: Any,
    ) -> int:
        return 2 * int(np.prod(rows)) * int(shape[0])

    known: dict[Any, Callable[..., int]] = {
        ops.aten._scaled_dot_product_flash_attention_for_cpu: attention
    }
    if "bitsandbytes" in sys.modules:
        # All products of a 4-bit layer. Operations inside them are not dispatched, so nothing is
        # counted twice.
        known[ops.bitsandbytes.gemm_4bit] = known[ops.bitsandbytes.gemv_4bit] = product
    return known


def _seconds(predictor: Tagger, part: Sequence[Instance], batch: int) -> float:
    _synchronise()
    start = time.perf_counter()
    predictor(part, batch)
    _synchronise()
    return time.perf_counter() - start


def _synchronise() -> None:
    """Wait until the GPU, if this process uses one, has finished."""
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        torch.cuda.synchronize()
