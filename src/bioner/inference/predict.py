"""Prediction: raw outputs of a trained model or a control."""

import logging
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from datetime import timedelta
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from bioner.data.instances import Instance, digest
from bioner.data.raw_outputs import Generated, RawOutput, Tagged, write_raw
from bioner.data.tags import OUTSIDE
from bioner.errors import InputError
from bioner.inference.decoding.drafts import Draft, draft_of, saved_table
from bioner.inference.decoding.shards import Shards, shards_folder
from bioner.io.checksums import listing, sha256_of
from bioner.io.progress_bars import Meter, ignore
from bioner.io.ranks import ending_together
from bioner.io.run_record import write_record
from bioner.io.signals import raise_on_signal
from bioner.models import TASK_FILE
from bioner.models.controls import predict_control
from bioner.models.devices import device_of, require_devices
from bioner.settings.catalogue import decodings_of
from bioner.settings.model_entry import ModelEntry

if TYPE_CHECKING:
    from bioner.inference.decoding.constrained import ConstrainedDecoder
    from bioner.inference.decoding.free import FreeDecoder

log = logging.getLogger(__name__)

Predictor = Callable[[Sequence[Instance], int], Sequence[RawOutput]]

# Sentences per shard, at least. A killed job loses one shard; constrained decoding refills rows
# only within a shard.
SHARD = {"constrained": 256, "free": 32, "free-paper": 32}
PROCESS_TIMEOUT = timedelta(days=7)  # no process gives up on the others while these decode


class NoMemoryLeft(InputError):
    """A model, or a batch of sentences, does not fit on the GPU."""


@dataclass(frozen=True, slots=True)
class PredictionJob:
    """What to predict with, and for which instances.

    Attributes:
        train: Training instances (the dictionary control; drafts).
        weights: The folder of a trained model; None for controls.
        draft: Predictions of another system, to draft from.
        data: Checksums of the input files, for the record.
    """

    name: str
    entry: ModelEntry
    gold: Sequence[Instance]
    train: Sequence[Instance]
    weights: Path | None
    decoding: str
    seed: int
    draft: Path | None = None
    data: Mapping[str, str | None] = field(default_factory=dict)


def predict_to(job: PredictionJob, out: Path, record: Path | None = None) -> None:
    """Write the raw outputs of every instance to `out`, and how they were made to `record`.

    An LLM writes what it has finished to shards next to `out`: the same command resumes with the
    missing ones, unless anything changed that its answers depend on. Of several processes each
    decodes its part, and the first writes.

    Raises:
        Interrupted: on SIGINT, SIGTERM or SIGUSR1.
    """
    start = time.perf_counter()
    name, entry, gold, train = job.name, job.entry, job.gold, job.train
    weights, decoding, seed, draft = job.weights, job.decoding, job.seed, job.draft
    _check_decoding(name, entry, decoding, draft)
    made: dict[str, Any] = {
        "model": name,
        "decoding": decoding,
        "seed": seed,
        "sentences": len(gold),
        "merged": entry.merges(decoding),
        "data": dict(job.data),
    }
    if entry.family != "llm":
        write_raw(out, predict(name, entry, gold, train, weights, decoding))
        if record:
            made["wall_seconds"] = round(time.perf_counter() - start, 3)
            write_record(record, made, entry)
        return
    constrained = decoding == "constrained"
    source = draft_of(entry.predict.draft, train, gold, draft) if constrained else None
    size = entry.predict.batch_size
    with _explain_out_of_memory(name, size):
        predictor = load_predictor(name, entry, weights, decoding, draft=source, seed=seed)
    decoder = cast("ConstrainedDecoder | FreeDecoder", predictor)

    def decode(
        instances: Sequence[Instance], number: int
    ) -> tuple[list[Generated], dict[str, float]]:
        began = time.perf_counter()
        with _explain_out_of_memory(name, size):
            outputs = decoder(instances, size, number)
        meter.advance(len(instances))
        raise_if_signalled()
        return outputs, decoder.took | {"decoding_seconds": round(time.perf_counter() - began, 3)}

    depends = entry.prediction_settings(decoding)
    # A smaller batch, for want of memory, is no reason to start over.
    depends["predict"] = {
        key: value for key, value in depends["predict"].items() if key != "batch_size"
    }
    identity = {
        "settings": depends,
        "decoding": decoding,
        "seed": seed if decoding == "free-paper" else None,
        "gold": digest(gold),
        "train": digest(train) if constrained else None,
        "draft": sha256_of(draft) if constrained and draft else None,
        "weights": listing(weights),
        "versions": {
            package: version(package) for package in ("bioner-bench", "torch", "transformers")
        },
    }
    work = Shards(shards_folder(out), identity, gold, shard_size(decoding, size))
    process, processes, wait = _processes(entry)
    with (
        ending_together(processes),
        raise_on_signal(f"predict {name}") as raise_if_signalled,
        work.owned() if process == 0 else nullcontext(),
    ):
        wait()
        missing = work.missing()
        if process == 0 and len(missing) < len(work):
            log.info(
                "predict: going on; %d of %d shards are there", len(work) - len(missing), len(work)
            )
        wait()
        mine = missing[process::processes]
        with Meter(f"predict {name}", "sentences", work.sentences(mine)) as meter:
            work.make(mine, decode)
        wait()
        if process:
            return
        outputs, took = work.collect()
        write_raw(out, outputs)
        if record:
            made |= decoder.settings | took | {"processes": processes}
            made["wall_seconds"] = round(time.perf_counter() - start, 3)
            write_record(record, made, entry)


def shard_size(decoding: str, batch_size: int) -> int:
    """Return the sentences per shard.

    A shard of `free` holds at least a whole batch, so a job resumes with another `batch_size` only
    up to 32. A shard of `free-paper` always holds 32, since random draws depend on its number.
    """
    return max(SHARD[decoding], batch_size) if decoding == "free" else SHARD[decoding]


def _check_decoding(name: str, entry: ModelEntry, decoding: str, draft: Path | None) -> None:
    """Raise InputError if a model cannot decode in that way, or has no use for a draft."""
    expected = decodings_of(entry.family)
    if entry.family == "ensemble":
        raise InputError(
            name,
            f"the family {entry.family!r}",
            "a control, an encoder or an LLM",
            "An ensemble is put together by `bioner ensemble`, of its members' predictions.",
        )
    if decoding not in expected:
        raise InputError(
            name, f"decoding {decoding!r}", " or ".join(expected), "Change --decoding."
        )
    if draft and decoding != "constrained":
        raise InputError(
            "--draft",
            f"decoding {decoding!r}",
            "constrained, which alone is drafted for",
            "Leave --draft out.",
        )


def predict(
    name: str,
    entry: ModelEntry,
    gold: Sequence[Instance],
    train: Sequence[Instance],
    weights: Path | None,
    decoding: str,
    draft: Draft | None = None,
) -> Sequence[RawOutput]:
    """Return the raw output of every instance, in order.

    The dictionary control needs `train`, trained models the folder `weights`.
    """
    if entry.family == "control":
        if entry.control == "dictionary" and not train:
            raise InputError(
                name, "no training instances", "those it takes its entities from", "Give --train."
            )
        tags = predict_control(str(entry.control), train, gold)
        return [
            Tagged(instance.id, list(range(len(row))), row)
            for instance, row in zip(gold, tags, strict=True)
        ]
    size = entry.predict.batch_size
    meter = Meter(f"predict {name}", "sentences", len(gold))
    with _explain_out_of_memory(name, size):
        if entry.family == "llm":
            predictor = load_predictor(name, entry, weights, decoding, draft=draft)
        else:
            folder = _prepare(name, entry, weights, decoding)
            predictor = _classifier(name, entry, folder, log_probs=True, on_progress=meter.advance)
        with meter:
            return predictor(gold, size)


def load_predictor(
    name: str,
    entry: ModelEntry,
    weights: Path | None,
    decoding: str,
    *,
    draft: Draft | None = None,
    seed: int = 0,
    paper: bool = False,
) -> Predictor:
    """Load torch and a trained model; return it as a function of instances and batch size.

    `predict.weights` says whether its weights are merged or as trained. Every prediction, timing
    and dev score of a finished training is of a model that this function loads. An encoder's
    outputs have no log-probabilities, which only files need.

    Args:
        draft: for constrained decoding; None: the tag table saved with the model.
        seed: for tokens that are drawn (free-paper).
        paper: Whether to run models as the paper did: weights as trained, encoders in fp32 and
            padded to their window.
    """
    folder = _prepare(name, entry, weights, decoding)
    if entry.family == "llm":
        return _llm(entry, folder, decoding, draft, seed, entry.merges(decoding) and not paper)
    return _classifier(name, entry, folder, paper)


def _prepare(name: str, entry: ModelEntry, weights: Path | None, decoding: str) -> Path:
    """Load torch if a trained model can be run here, and return its folder."""
    if not entry.is_trained:
        raise InputError(
            name,
            f"the family {entry.family!r}",
            "an encoder or an LLM",
            "Only models with weights are loaded and timed; members of ensembles have predictions"
            " of their own.",
        )
    _check_decoding(name, entry, decoding, None)
    if weights is None or not weights.is_dir():
        raise InputError(
            weights or name,
            "no weights",
            "the folder of a trained model",
            "Run `bioner train` first and give --weights FOLDER/model.",
        )
    require_devices(name, entry.resources.predict_gpus)
    import torch

    torch.set_num_threads(entry.resources.threads)
    return weights


def _classifier(
    name: str,
    entry: ModelEntry,
    weights: Path,
    paper: bool = False,
    log_probs: bool = False,
    on_progress: Callable[[int], None] = ignore,
) -> Predictor:
    """Load an encoder or a decoder with a head; `on_progress` gets the sentences tagged since."""
    import torch

    from bioner.models.encoder import tag
    from bioner.models.llm import load_trained, read_task
    from bioner.models.positions import check_window
    from bioner.models.pretrained import load_token_classifier, load_tokenizer, precision_of

    merged = entry.merges() and not paper
    padded = paper and entry.family == "encoder"
    if entry.family == "llm-head":
        model, tokenizer, _ = load_trained(weights, entry, merged)
    elif (weights / TASK_FILE).is_file() and read_task(weights).entry.family != "encoder":
        raise InputError(
            weights, "a trained LLM", "a trained encoder", "Correct --weights, or the model's name."
        )
    else:
        tokenizer = load_tokenizer(weights, entry=entry)
        own_code = entry.source.trust_remote_code
        dtype = precision_of(entry) if merged else torch.float32
        model = load_token_classifier(weights, dtype=dtype, trust_remote_code=own_code)
        model = model.eval().to(device_of(entry.resources.predict_gpus))
    check_window(name, entry, model)
    if strange := [
        label
        for label in model.config.id2label.values()
        if label != OUTSIDE and not label.startswith(("B-", "I-"))
    ]:
        raise InputError(
            weights,
            f"the label {strange[0]!r}",
            "IOB2 tags",
            "Name the `model/` of a finished training: this one has no trained head.",
        )

    # As the Trainer evaluates on dev.
    autocast = entry.train.precision == "bf16" and not (merged or padded)

    def classifier(instances: Sequence[Instance], batch_size: int) -> list[Tagged]:
        with torch.autocast(model.device.type, torch.bfloat16, enabled=autocast):
            return tag(
                model, tokenizer, instances, entry, batch_size, padded, log_probs, on_progress
            )

    return classifier


def _llm(
    entry: ModelEntry, weights: Path, decoding: str, draft: Draft | None, seed: int, merged: bool
) -> Predictor:
    from bioner.inference.decoding.constrained import ConstrainedDecoder
    from bioner.inference.decoding.free import FreeDecoder
    from bioner.models.llm import load_trained

    model, tokenizer, task = load_trained(weights, entry, merged)
    if decoding == "constrained":
        return ConstrainedDecoder(
            model,
            tokenizer,
            task.types,
            draft or saved_table(weights),
            entry.predict,
            verbalizer=task.verbalizer,
        )
    return FreeDecoder(
        model,
        tokenizer,
        task.types,
        entry.predict.tokens_per_word,
        inherit=decoding == "free-paper",
        seed=seed,
        verbalizer=task.verbalizer,
    )


@contextmanager
def _explain_out_of_memory(name: str, sentences: int) -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:  # by its name: importing torch takes seconds
        if type(error).__name__ != "OutOfMemoryError":
            raise
        raise NoMemoryLeft(
            name,
            f"no memory left on the GPU for {sentences} sentences at once",
            "room for them",
            "Lower predict.batch_size, or set predict.weights: as-trained (for an adapter on a"
            " 4-bit base), and run the same command again.",
        ) from None


def _processes(entry: ModelEntry) -> tuple[int, int, Callable[[], None]]:
    """Return this process's number, how many there are, and a function that waits for all."""
    if int(os.environ.get("WORLD_SIZE", 1)) == 1:
        return 0, 1, lambda: None
    from accelerate import PartialState

    state = PartialState(cpu=entry.resources.predict_gpus == 0, timeout=PROCESS_TIMEOUT)
    return state.process_index, state.num_processes, state.wait_for_everyone
