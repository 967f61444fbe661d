"""Speed of training an LLM beside the paper's way, on real prompts.

One model (Llama architecture, 8 layers, d=512, random weights, Mistral-7B-v0.3's own tokenizer),
forward and backward passes of whole optimiser steps of 32 sentences, one process, fp32 on the CPU.
The paper's way: passes of four, every example padded to the longest of the training split, logits
everywhere, the loss on all of it. Ours: the same sentences in passes of four sorted by length,
padded to the longest of the pass, the output layer where there is a label. Sentences are JNLPBA's
where BIONER_MIRROR names a mirror, else the demo corpus's. What is counted is response ids.

The full run goes on with a small model through the pipeline (catalogue: llama-small, 6,000
sentences of JNLPBA), trained and decoded on 1,000 test sentences: strict F1 and minutes.

With --gpu: a model of Mistral-7B's (or, by --shape, Llama-3.1-8B's) shape with random weights in
NF4, trained by the catalogue's recipe on the first GPU, 100 steps of real prompts and one of 2,048
ids an example: steps and tokens a second, peak memory, model FLOPs utilisation. --rehearse does the
same on the CPU with a tiny model. The last line is JSON, ratios first.
"""

import argparse
import json
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import polars as pl
import torch
from parts import tokenizers
from parts.sentences import corpus, evenly, seconds
from parts.shapes import SHAPES, peak_flops
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    DataCollatorForSeq2Seq,
    LlamaConfig,
    PreTrainedTokenizerBase,
)

from bioner.data.instances import Instance, entity_types, read_instances, write_instances
from bioner.data.tags import tag_set
from bioner.models import IGNORED
from bioner.models.answer_trie import AnswerTrie
from bioner.models.devices import device_of
from bioner.models.llm_examples import Examples, Features, Loss
from bioner.settings.catalogue import load_models, parse_entry
from bioner.settings.config import load_config, merged
from bioner.settings.model_entry import ModelEntry
from bioner.settings.repository import REPOSITORY
from bioner.training.job import TrainingJob
from bioner.training.loss import summed_loss
from bioner.training.run import train

STEP, PASS = 32, 4
LLMS = ("mistral-7b", "llama-8b")


def made(tokenizer: PreTrainedTokenizerBase, train_set: Sequence[Instance], loss: Loss) -> Examples:
    types = entity_types(train_set)
    return Examples(tokenizer, types, AnswerTrie(tokenizer, tag_set(types)), loss, 10**6)


def passes(examples: Sequence[Features]) -> Iterator[Sequence[Features]]:
    """A step in passes."""
    return (examples[start : start + PASS] for start in range(0, len(examples), PASS))


def the_papers_way(model: Any, collate: Any, step: Sequence[Features], longest: int) -> None:
    """Every example padded to the longest of all, loss everywhere."""
    for part in passes(step):
        padded = [
            {name: [*values, *[0] * (longest - len(values))] for name, values in features.items()}
            for features in part
        ]
        batch = collate(padded)
        (model(**batch, use_cache=False).loss / (STEP / PASS)).backward()


def our_way(model: Any, collate: Any, step: Sequence[Features]) -> None:
    """Sorted by length, loss at labels."""
    labels = sum(label != IGNORED for features in step for label in features["labels"])
    for part in passes(sorted(step, key=lambda features: -len(features["input_ids"]))):
        (summed_loss(model, model, collate(part), plain=True)[0] / labels).backward()


def side_by_side(train_set: Sequence[Instance], quick: bool) -> dict[str, Any]:
    """Response ids a second of both ways, interleaved, and what of the ratio padding alone
    makes.
    """
    tokenizer = tokenizers.mistral()
    torch.manual_seed(0)
    config = LlamaConfig(
        hidden_size=512,
        num_hidden_layers=8,
        num_attention_heads=8,
        intermediate_size=1376,
        vocab_size=len(tokenizer),
    )
    model = AutoModelForCausalLM.from_config(config)
    collate = DataCollatorForSeq2Seq(tokenizer, pad_to_multiple_of=8)
    whole, response = (made(tokenizer, train_set, loss) for loss in ("all", "response"))
    longest = max(len(features["input_ids"]) for features in response(train_set))
    repeats = 1 if quick else 3
    paper, ours, padded, ids = [], [], [], []
    for number in range(repeats):
        sentences = random.Random(number).sample(list(train_set), STEP)
        step = response(sentences)
        supervised = sum(label != IGNORED for features in step for label in features["labels"])
        if not number:
            our_way(model, collate, step[:PASS])  # warm
        model.zero_grad()
        ours.append(supervised / seconds(lambda step=step: our_way(model, collate, step))[0])
        model.zero_grad()
        theirs = whole(sentences)
        paper.append(
            supervised
            / seconds(lambda step=theirs: the_papers_way(model, collate, step, longest))[0]
        )
        lengths = sorted(len(features["input_ids"]) for features in step)
        padded.append(
            sum(max(lengths[start : start + PASS]) * PASS for start in range(0, STEP, PASS))
        )
        ids.append(sum(lengths))
        print(
            f"step {number + 1}: the paper's way {paper[-1]:.1f} response ids a second, ours"
            f" {ours[-1]:.1f}"
        )
    return {
        "supervised_tokens_vs_paper": round(
            statistics.median(o / p for o, p in zip(ours, paper, strict=True)), 2
        ),
        "ids_vs_paper": round(repeats * STEP * longest / sum(padded), 2),
        "padding_share": round(1 - sum(ids) / sum(padded), 3),
        "longest": longest,
        "response_ids_a_second": round(statistics.median(ours), 1),
        "response_ids_a_second_paper": round(statistics.median(paper), 1),
    }


def small_model(folder: Path, name: str, test_set: Sequence[Instance]) -> dict[str, Any]:
    """llama-small through the pipeline: strict F1 of constrained decoding on 1,000 test sentences,
    and minutes.
    """
    chosen = sorted(random.Random(0).sample(range(len(test_set)), min(1000, len(test_set))))
    write_instances(folder / "test.jsonl", [test_set[number] for number in chosen])
    dev_set = read_instances(folder / name / "dev.jsonl")
    write_instances(
        folder / "dev.jsonl", evenly(dev_set, min(500, len(dev_set)), lambda item: len(item.tokens))
    )
    splits = {"train": str(folder / name / "train.jsonl"), "dev": str(folder / "dev.jsonl")}
    overlay = {
        "datasets": ["part"],
        "models": ["llama-small"],
        "seeds": [42],
        "decodings": ["constrained"],
        "out": str(folder / "run"),
        "dataset_overrides": {
            "part": {"format": "jsonl", "splits": splits | {"test": str(folder / "test.jsonl")}}
        },
    }
    (folder / "overlay.yaml").write_text(json.dumps(overlay), encoding="utf-8")
    target = folder / "run" / "results" / "part" / "llama-small" / "scores.csv"
    snakemake = Path(sys.executable).parent / "snakemake"
    command = [
        snakemake,
        target,
        "-s",
        REPOSITORY / "Snakefile",
        "--directory",
        folder,
        "--cores",
        "2",
    ]
    start = time.perf_counter()
    subprocess.run(
        [*map(str, command), "--configfile", str(folder / "overlay.yaml"), "--quiet", "all"],
        check=True,
    )
    minutes = (time.perf_counter() - start) / 60
    strict = pl.read_csv(target).filter(
        scorer="semeval", scheme="strict", stratum="all", label="all"
    )
    return {
        "small_model_strict_f1": round(strict["f1"].item(), 2),
        "small_model_minutes": round(minutes, 2),
    }


def on_gpu(
    folder: Path, shape: str, train_set: Sequence[Instance], rehearse: bool, steps: int
) -> dict[str, Any]:
    """The catalogue's recipe on a random model of a real shape: speed on real prompts, memory of
    2,048 ids a line.
    """
    made_of = SHAPES[shape]
    tokenizer = getattr(tokenizers, {"mistral-7b": "mistral", "llama-8b": "llama"}[shape])()
    source = folder / "source"
    torch.manual_seed(0)
    torch.set_default_dtype(torch.bfloat16)
    sizes = made_of.tiny if rehearse else made_of.sizes
    config = AutoConfig.for_model(made_of.architecture, vocab_size=made_of.vocabulary, **sizes)
    config.bos_token_id, config.eos_token_id = tokenizer.bos_token_id, tokenizer.eos_token_id
    with device_of(gpus=0 if rehearse else 1):
        model = AutoModelForCausalLM.from_config(config)
    parameters = sum(values.numel() for values in model.parameters())
    model.save_pretrained(source)
    del model
    torch.set_default_dtype(torch.float32)
    tokenizer.save_pretrained(source)
    gpus = 0 if rehearse else 1
    resources = {"gpus": gpus, "predict_gpus": gpus, "threads": 8}
    settings = {"epochs": 1, "patience": None, "monitor_sentences": None}
    base = load_models(load_config({}))[shape]
    changes = {"source": {"hub": str(source)}, "resources": resources, "train": settings}
    recipe = parse_entry(ModelEntry, "model", merged(base.canonical(), changes))
    found: dict[str, Any] = {"shape": "tiny" if rehearse else shape, "steps": steps}
    chosen = random.Random(0).sample(list(train_set), min(len(train_set), steps * STEP))
    speed = trained(folder / "speed", recipe, chosen)
    examples = made(tokenizer, train_set, "response")
    ids = sum(len(features["input_ids"]) for features in examples(chosen))
    seconds_taken = ids / speed["tokens_per_second"]
    found |= {"steps_a_second": round(len(chosen) / STEP / seconds_taken, 4)}
    found |= {
        "tokens_a_second": speed["tokens_per_second"],
        "peak_gpu_memory_gb": speed["peak_gpu_memory_gb"],
    }
    # Forward and the gradient of the activations cost 2 FLOP a parameter and id each, checkpointing
    # a second forward.
    peak = None if rehearse else peak_flops(torch.cuda.get_device_name())
    if peak:
        found["model_flops_utilisation"] = round(
            4 * parameters * speed["tokens_per_second"] / peak, 3
        )
    words = [token for item in train_set for token in item.tokens]
    long = [filled(examples, words, number) for number in range(STEP)]
    for loss in ("response", "all"):
        memory = trained(folder / loss, recipe.changed(train={"loss": loss}), long)[
            "peak_gpu_memory_gb"
        ]
        found[f"peak_gpu_memory_gb_at_2048_{loss}"] = memory
    return found


def trained(folder: Path, recipe: ModelEntry, instances: Sequence[Instance]) -> dict[str, Any]:
    """The row of history.csv that an epoch leaves."""
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
    train(
        TrainingJob("model", recipe, instances, instances[:4], 42),
        folder,
    )
    return pl.read_csv(folder / "history.csv").row(0, named=True)


def filled(examples: Examples, words: Sequence[str], number: int) -> Instance:
    """A sentence of real words whose example has nearly 2,048 ids."""
    draw = random.Random(number)
    tokens: list[str] = []
    while len(examples.example(Instance("", "", tokens, ["O"] * len(tokens)))["input_ids"]) < 1900:
        tokens += draw.choices(words, k=10)
    return Instance(f"long-{number}", f"long-{number}", tokens, ["O"] * len(tokens))


def main() -> None:
    """Measure, and print one line of JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="one step of each way, no small model")
    parser.add_argument("--gpu", action="store_true", help="a real shape on the first GPU")
    parser.add_argument(
        "--rehearse", action="store_true", help="what --gpu does, tiny and on the CPU"
    )
    parser.add_argument("--shape", choices=LLMS, default="mistral-7b")
    parser.add_argument("--steps", type=int, default=100)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bioner-bench-") as name:
        folder = Path(name)
        dataset, train_set, test_set = corpus(folder)
        if options.gpu or options.rehearse:
            steps = 2 if options.rehearse else options.steps
            found = on_gpu(folder, options.shape, train_set, not options.gpu, steps)
        else:
            found = side_by_side(train_set, options.quick)
            if not options.quick:
                found |= small_model(folder, dataset, test_set)
    print(json.dumps(found | {"sentences": dataset}))


if __name__ == "__main__":
    main()
