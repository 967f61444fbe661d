"""Speed of constrained decoding beside the ways it is equal to, and of realignment.

One model (Llama architecture, 8 layers, d=512, random weights, Mistral-7B-v0.3's own tokenizer),
the same sentences, one process, fp32 on the CPU: transformers' `generate` with a LogitsProcessor; a
bare loop, one pass a token; constrained decoding one word a pass (skip-constrained), and with a
draft that is right on 95 % of the tags. Sentences are JNLPBA's where BIONER_MIRROR names a mirror,
else the demo corpus's. Times are medians over interleaved repeats.

Then the host's CPU time (parts/host_time.py) against a frozen copy of the former decoder:
`host_speedup`, `host_ms_per_sentence`, `padding_share`; passes and ids of both, and their cost if a
pass costs as much as 460 ids.

The full run goes on with a model that was trained through the pipeline (config/small.yaml, made
when it is not there): passes a sentence with drafts that need no other neural model and with an
encoder's predictions, how passes and time grow with sentence length (--plot FILE), and tags that
differ in bf16.

With --gpu: a model of Mistral-7B's shape in bf16 on the first GPU, JNLPBA and BioRED, milliseconds
a sentence. The last line is JSON, ratios first.
"""

import argparse
import json
import random
import statistics
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from parts import tokenizers
from parts.corruption import corrupted
from parts.host_time import host_time
from parts.kernels import kernels_per_pass
from parts.references import by_generate, one_by_one
from parts.sentences import corpus, evenly, seconds
from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    PreTrainedModel,
)

from bioner.cli.loading import settings_of
from bioner.data.instances import (
    Instance,
    Prediction,
    entity_types,
    read_instances,
    read_predictions,
)
from bioner.data.raw_outputs import Generated
from bioner.data.tags import spans, tag_set
from bioner.inference.decoding.constrained import ConstrainedDecoder
from bioner.inference.decoding.drafts import Draft, all_outside, draft_of, predicted, tag_table
from bioner.models.devices import device_of
from bioner.models.llm import load_trained
from bioner.realignment.realign import realign_all
from bioner.settings.catalogue import load_models
from bioner.settings.model_entry import Predict
from bioner.settings.repository import REPOSITORY

RIGHT = 0.95  # of a draft's tags
MARGIN = 1e-4  # nearer decisions may go either way in floating point
CORRUPTED = 0.03
SMALL = REPOSITORY / "config" / "small.yaml"
CELL = REPOSITORY / "runs" / "small" / "results" / "JNLPBA"

Tags = list[list[str]]


def small_model(vocabulary: int) -> PreTrainedModel:
    """8 layers, d=512, random weights."""
    torch.manual_seed(0)
    config = LlamaConfig(
        hidden_size=512,
        num_hidden_layers=8,
        num_attention_heads=8,
        intermediate_size=1376,
        vocab_size=vocabulary,
    )
    return LlamaForCausalLM(config).eval()


def large_model(vocabulary: int) -> PreTrainedModel:
    """Mistral-7B's shape, random weights, bf16 on the first GPU."""
    torch.manual_seed(0)
    with device_of(gpus=1):
        torch.set_default_dtype(torch.bfloat16)
        model = MistralForCausalLM(MistralConfig(vocab_size=vocabulary, sliding_window=None)).eval()
        torch.set_default_dtype(torch.float32)
    return model


def tags_of(outputs: Sequence[Generated]) -> Tags:
    """The tags in the lines of constrained outputs."""
    return [[line.rpartition(":")[2] for line in output.text.splitlines()] for output in outputs]


def right_draft(instances: Sequence[Instance], answers: Tags, types: Sequence[str]) -> Draft:
    """The answers, but for one tag in twenty, drawn at random."""
    draw, tags = random.Random(0), tag_set(types)
    rows = [list(row) for row in answers]
    places = [(number, place) for number, row in enumerate(rows) for place in range(len(row))]
    for number, place in draw.sample(places, round((1 - RIGHT) * len(places))):
        rows[number][place] = draw.choice([tag for tag in tags if tag != rows[number][place]])
    predictions = [Prediction(item.id, row) for item, row in zip(instances, rows, strict=True)]
    return predicted("right on 95 %", predictions, all_outside())


def apart(outputs: Sequence[Generated], other: Tags) -> int:
    """Sentences tagged otherwise, although no decision up to there was nearer than MARGIN."""
    count = 0
    for output, mine, theirs in zip(outputs, tags_of(outputs), other, strict=True):
        places = [
            place for place, pair in enumerate(zip(mine, theirs, strict=True)) if pair[0] != pair[1]
        ]
        margins = [
            margin
            for margin in (output.margin or [])[: places[0] + 1 if places else 0]
            if margin is not None
        ]
        count += bool(places) and min(margins) >= MARGIN
    return count


def side_by_side(
    sentences: Sequence[Instance], types: Sequence[str], quick: bool
) -> dict[str, Any]:
    """Seconds a sentence of every way at several batch sizes, ratios to `generate`, and whether all
    agree.
    """
    tokenizer = tokenizers.mistral()
    model = small_model(len(tokenizer))
    each: dict[int, dict[str, float]] = {}
    different = 0
    passes: dict[str, float] = {}
    plan = {1: (8, 1), 16: (16, 2)} if quick else {1: (12, 3), 8: (16, 2), 16: (32, 2)}
    for batch, (count, repeats) in plan.items():
        chosen = evenly(sentences, count, lambda item: len(item.tokens))
        skip = ConstrainedDecoder(model, tokenizer, types, all_outside(), Predict(draft_length=1))
        answers = tags_of(skip(chosen, batch))  # and warm
        constrained = ConstrainedDecoder(
            model, tokenizer, types, right_draft(chosen, answers, types)
        )
        ways: dict[str, Callable[[], Any]] = {
            "generate": lambda c=chosen, b=batch: by_generate(model, tokenizer, c, types, b),
            "one_by_one": lambda c=chosen, b=batch: one_by_one(model, tokenizer, c, types, b),
            "skip_constrained": lambda c=chosen, b=batch, d=skip: d(c, b),
            "constrained": lambda c=chosen, b=batch, d=constrained: d(c, b),
        }
        if quick:
            del ways["one_by_one"]
        times: dict[str, list[float]] = defaultdict(list)
        for _ in range(repeats):
            for name, way in ways.items():
                taken, found = seconds(way)
                times[name].append(taken / count)
                if name in ("generate", "one_by_one"):
                    theirs = found
                else:
                    different += apart(found, theirs)
        each[batch] = {name: statistics.median(values) for name, values in times.items()}
        ratios = [
            slow / fast for slow, fast in zip(times["generate"], times["constrained"], strict=True)
        ]
        each[batch]["ratio"] = statistics.median(ratios)
        passes[f"passes_b{batch}"] = round(constrained.counts.passes * min(batch, count) / count, 2)
        for name, value in each[batch].items():
            print(
                f"batch {batch:<3} {name:<12} {value:>8.4f}"
                + (" s/sentence" if name != "ratio" else " times"),
                file=sys.stderr,
            )
    return {
        "speedup_vs_generate_b1": round(each[1]["ratio"], 2),
        "speedup_vs_generate_b16": round(each[16]["ratio"], 2),
        "identical": different == 0,
        "speedup_vs_skip_forced_b1": round(each[1]["skip_constrained"] / each[1]["constrained"], 2),
        "speedup_vs_skip_forced_b16": round(
            each[16]["skip_constrained"] / each[16]["constrained"], 2
        ),
        "constrained_ms_b1": round(1000 * each[1]["constrained"], 1),
        "constrained_ms_b16": round(1000 * each[16]["constrained"], 1),
        **passes,
    }


def realignment(folder: Path) -> dict[str, Any]:
    """Sentences a second, and entity F1 after realignment of the gold's own answers, corrupted at 3
    %.
    """
    figures: dict[str, Any] = {}
    taken = count = 0.0
    for name in ("BC5CDR", "JNLPBA"):
        name, _, gold = corpus(folder, name)
        draw = random.Random(0)
        texts = [corrupted(item.tokens, item.tags, CORRUPTED, draw) for item in gold]
        outputs = [
            Generated(item.id, text, 0, True) for item, text in zip(gold, texts, strict=True)
        ]
        for method in ("paper", "robust"):
            time, (predictions, _) = seconds(
                lambda g=gold, o=outputs, m=method: realign_all(g, o, None, m)
            )
            figures[f"realign_f1_{name}_{method}"] = round(f1(gold, predictions), 2)
            if method == "robust":
                taken, count = taken + time, count + len(gold)
    return {"realign_sentences_per_second": round(count / taken)} | figures


def f1(gold: Sequence[Instance], predictions: Sequence[Prediction]) -> float:
    """Strict F1 of entities, in percent."""
    pairs = [
        (set(spans(a.tags)), set(spans(b.tags))) for a, b in zip(gold, predictions, strict=True)
    ]
    both = sum(len(a & b) for a, b in pairs)
    return 200 * both / sum(len(a) + len(b) for a, b in pairs)


def trained(sentences: int, plot: Path | None) -> dict[str, Any]:
    """Passes a sentence of a trained model by draft, growth with length, and what bf16 changes."""
    weights, encoder = (
        CELL / "llama-mini" / "seed42" / "model",
        CELL / "bert-mini" / "seed42" / "direct",
    )
    if not weights.is_dir() or not (encoder / "predictions.jsonl").is_file():
        targets = [
            str((CELL / name / "scores.csv").relative_to(REPOSITORY))
            for name in ("bert-mini", "llama-mini")
        ]
        snakemake = [
            sys.executable,
            "-m",
            "snakemake",
            "--configfile",
            str(SMALL),
            "--cores",
            "2",
            *targets,
        ]
        subprocess.run(snakemake, cwd=REPOSITORY, check=True)
    entry = load_models(settings_of([SMALL]))["llama-mini"]
    model, tokenizer, task = load_trained(weights, entry)
    data = REPOSITORY / "runs" / "small" / "data" / "JNLPBA"
    train, test = (read_instances(data / f"{split}.jsonl") for split in ("train", "test"))
    chosen = evenly(test, sentences, lambda item: len(item.tokens))
    drafts = {
        "all_o": all_outside(),
        "dictionary": draft_of("dictionary", train, test),
        "table": tag_table(train),
        "encoder": predicted(
            "bert-mini", read_predictions(encoder / "predictions.jsonl", test), tag_table(train)
        ),
    }
    figures: dict[str, Any] = {}
    for name, draft in drafts.items():
        decoder = ConstrainedDecoder(model, tokenizer, task.types, draft)
        outputs = decoder(chosen, 1)
        figures[name] = round(decoder.counts.passes / len(chosen), 2)
        print(f"trained, draft {name:<12} {figures[name]:>6} passes a sentence", file=sys.stderr)
    if plot:
        growth(model, tokenizer, task.types, test, drafts["table"], plot)
    before = tags_of(outputs)
    half = ConstrainedDecoder(model.to(torch.bfloat16), tokenizer, task.types, drafts["table"])
    rounded = half(chosen, 1)
    pairs = [list(zip(a, b, strict=True)) for a, b in zip(before, tags_of(rounded), strict=True)]
    firsts = [next((place for place, (a, b) in enumerate(row) if a != b), None) for row in pairs]
    # Behind the first, sentences have other contexts.
    margins = [
        output.margin[place]
        for output, place in zip(outputs, firsts, strict=True)
        if place is not None
    ]
    differ = sum(a != b for row in pairs for a, b in row)
    return {
        "passes_per_sentence_self_draft": min(
            figures[name] for name in ("all_o", "dictionary", "table")
        ),
        "passes_per_sentence": figures,
        "bf16_tags_differing": round(differ / sum(map(len, pairs)), 5),
        "bf16_sentences_differing": len(margins),
        "bf16_widest_margin_of_a_first_difference": max(margins, default=0.0),
    }


def growth(
    model: PreTrainedModel,
    tokenizer: Any,
    types: Sequence[str],
    test: Sequence[Instance],
    draft: Draft,
    plot: Path,
) -> None:
    """Draw how passes and seconds grow with the words of a sentence; beyond the corpus's, sentences
    are joined.
    """
    import matplotlib

    matplotlib.use("svg")
    from matplotlib import pyplot

    draw, rows = random.Random(0), []
    decoder = ConstrainedDecoder(model, tokenizer, types, draft)
    for words in (10, 20, 40, 60, 80, 100, 150, 200):
        found = []
        for number in range(8):
            tokens: list[str] = []
            while len(tokens) < words:
                tokens += draw.choice(test).tokens
            made = Instance(f"{words}-{number}", "", tokens[:words], ["O"] * words)
            taken, _ = seconds(lambda made=made: decoder([made], 1))
            found.append((decoder.counts.passes, taken))
        rows.append(
            (words, statistics.mean(p for p, _ in found), statistics.median(s for _, s in found))
        )
    matplotlib.rcParams["svg.hashsalt"] = "bioner"
    figure, (left, right) = pyplot.subplots(1, 2, figsize=(8, 3), layout="constrained")
    lengths, passes, times = zip(*rows, strict=True)
    left.plot(lengths, passes, marker="o")
    left.set(xlabel="words", ylabel="forward passes a sentence", ylim=(0, None))
    right.plot(lengths, [1000 * time for time in times], marker="o", color="tab:orange")
    right.set(xlabel="words", ylabel="milliseconds a sentence", ylim=(0, None))
    figure.savefig(plot, metadata={"Date": None})
    for words, count, time in rows:
        print(f"{words:>4} words {count:>6.1f} passes {1000 * time:>8.1f} ms", file=sys.stderr)


def on_gpu(folder: Path, quick: bool) -> dict[str, Any]:
    """Milliseconds a sentence of a model of Mistral-7B's shape, drafts right on 95 %."""
    tokenizer = tokenizers.mistral()
    model = large_model(len(tokenizer))
    figures: dict[str, Any] = {}
    for name in ("JNLPBA", "BioRED"):
        name, train, test = corpus(folder, name)
        types = entity_types(train)
        chosen = evenly(test, 32 if quick else 128, lambda item: len(item.tokens))
        answers = tags_of(ConstrainedDecoder(model, tokenizer, types, all_outside())(chosen, 32))
        decoder = ConstrainedDecoder(model, tokenizer, types, right_draft(chosen, answers, types))
        figures["settings"] = decoder.settings
        for batch in (1, 32):
            some = chosen[::4] if batch == 1 else chosen
            decoder(some[:batch], batch)
            times, outputs = [], []
            for _ in range(2 if quick else 5):
                taken, outputs = seconds(lambda d=decoder, s=some, b=batch: d(s, b))
                times.append(1000 * taken / len(some))
            figures[f"{name}_ms_b{batch}"] = round(statistics.median(times), 1)
            figures[f"{name}_passes_b{batch}"] = round(decoder.counts.passes * batch / len(some), 2)
            mine = [tag for row in tags_of(outputs) for tag in row]
            reference = [tag for row in (answers[::4] if batch == 1 else answers) for tag in row]
            differ = sum(a != b for a, b in zip(mine, reference, strict=True))
            figures[f"{name}_tags_differing_b{batch}"] = round(differ / len(mine), 5)
    return figures | {
        "hardware": torch.cuda.get_device_name(),
        "peak_gb": round(torch.cuda.max_memory_allocated() / 2**30, 1),
    }


def main() -> None:
    """Print a table and, last, one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--quick", action="store_true", help="fewer sentences, fewer repeats, no trained model"
    )
    parser.add_argument(
        "--gpu", action="store_true", help="a model of Mistral-7B's shape on the first GPU"
    )
    parser.add_argument(
        "--plot", type=Path, help="where to draw growth with sentence length (full run)"
    )
    options = parser.parse_args()
    if options.gpu and not torch.cuda.is_available():
        sys.exit("No CUDA GPU here.")
    torch.set_num_threads(2)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        if options.gpu:
            print(json.dumps(on_gpu(folder, options.quick)))
            return
        name, train, test = corpus(folder)
        types = entity_types(train)
        figures = side_by_side(test, types, options.quick) | realignment(folder)
        torch.set_num_threads(1)
        # As many of all lengths, in no order.
        some = evenly(test, 640, lambda item: len(item.tokens)) if len(test) > 640 else test
        figures |= host_time(tokenizers.mistral(), train, some, types)
        if not options.quick and name == "JNLPBA":
            figures |= trained(400, options.plot)
    print(json.dumps(figures | kernels_per_pass() | {"corpus": name}))


if __name__ == "__main__":
    main()
