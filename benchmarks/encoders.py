"""Speed of encoders beside what a user would pick instead: training and inference of one model in
one process.

The model is a small BERT (4 layers, d=256, random weights) in fp32 on the CPU. With --gpu it runs
in bf16 on the first GPU; --shape bert-large or deberta-v3-large gives it those layers, and the
vocabulary stays the corpus's, 8,000 pieces.

Training: the paper's way (every sentence padded to 512 subwords, batch 8), Hugging Face's
token-classification recipe (the Trainer, padding dynamic, order random, batch 8), ours (the same
batch, sentences of one length together).
Inference: the paper's way (batch 1, padded to 512), `pipeline(..., batch_size=32)`, and ours, to
tags on words. Times are medians of interleaved repeats; sentences are JNLPBA's where BIONER_MIRROR
names a mirror, else the demo corpus's. The last line is JSON, ratios first.
"""

import argparse
import json
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from parts.sentences import corpus, evenly, seconds
from parts.shapes import ENCODER, RELATIVE
from transformers import (
    DataCollatorForTokenClassification,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    PrinterCallback,
    Trainer,
    TrainerCallback,
    TrainingArguments,
    pipeline,
    set_seed,
)

from bioner.data.instances import Instance, entity_types
from bioner.data.raw_outputs import Tagged
from bioner.data.tags import tag_set
from bioner.models.encoder import tag
from bioner.models.pretrained import load_token_classifier, load_tokenizer
from bioner.models.subword_windows import cut, labelled
from bioner.realignment.realign import realign_all
from bioner.settings.catalogue import parse_entry
from bioner.settings.model_entry import ModelEntry
from bioner.training.interrupts import Interrupts
from bioner.training.job import TrainingJob
from bioner.training.progress import Progress
from bioner.training.scratch import make_pretrained
from bioner.training.trainer import ResumableTrainer, training_arguments

PADDED, BATCH, MARGIN = 512, 8, 1e-4
SMALL = {
    "hidden_size": 256,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "intermediate_size": 1024,
}
SHAPES = {
    "small": ("bert", SMALL),
    "bert-large": ("bert", ENCODER),
    "deberta-v3-large": ("deberta-v2", ENCODER | RELATIVE),
}


def entry_of(shape: str, gpu: bool) -> ModelEntry:
    """A catalogue entry of that shape, for the CPU in fp32 or a GPU in bf16."""
    architecture, config = SHAPES[shape]
    scratch = {
        "architecture": architecture,
        "vocabulary": 8000,
        "config": config | {"max_position_embeddings": PADDED},
    }
    train = {"epochs": 1, "batch_size": BATCH, "learning_rate": 5e-4, "patience": None}
    return parse_entry(
        ModelEntry,
        "bench",
        {
            "family": "encoder",
            "source": {"scratch": scratch},
            "train": train | {"precision": "bf16" if gpu else "fp32"},
            "predict": {"batch_tokens": 16384 if gpu else 2048},
            "resources": {"gpus": int(gpu)},
        },
    )


class EpochClock(TrainerCallback):
    """Seconds from the first step of an epoch to its last."""

    def on_epoch_begin(self, *_: Any, **__: Any) -> None:
        """Start."""
        self.start = time.perf_counter()

    def on_epoch_end(self, *_: Any, **__: Any) -> None:
        """Stop."""
        self.seconds = time.perf_counter() - self.start


class Training:
    """The three ways to train the same model on the same examples."""

    def __init__(
        self, folder: Path, source: Path, train: Sequence[Instance], entry: ModelEntry
    ) -> None:
        self.folder, self.source, self.entry = folder, source, entry
        self.gpu = entry.resources.gpus > 0
        self.tokenizer = load_tokenizer(source)
        self.labels = tag_set(entity_types(train))
        label2id = {label: index for index, label in enumerate(self.labels)}
        made = cut(self.tokenizer, [item.tokens for item in train], PADDED)
        self.examples = [
            labelled(window, item.tags, label2id)
            for item, windows in zip(train, made.windows, strict=True)
            for window in windows
        ]

    def model(self) -> PreTrainedModel:
        """The same weights every time."""
        set_seed(1)
        return load_token_classifier(self.source, labels=self.labels)

    def hugging_face(self, examples: Sequence[dict[str, Any]], padding: Any) -> float:
        """Tokens a second of the plain Trainer: dynamic padding, or everything to 512."""
        clock = EpochClock()
        arguments = TrainingArguments(
            output_dir=str(self.folder),
            num_train_epochs=1,
            per_device_train_batch_size=BATCH,
            learning_rate=5e-4,
            save_strategy="no",
            logging_strategy="no",
            bf16=self.gpu,
            use_cpu=not self.gpu,
            dataloader_pin_memory=self.gpu,
            report_to="none",
            disable_tqdm=True,
        )
        collator = DataCollatorForTokenClassification(
            self.tokenizer, padding=padding, max_length=PADDED
        )
        trainer = Trainer(self.model(), arguments, collator, list(examples), callbacks=[clock])
        trainer.remove_callback(PrinterCallback)
        trainer.train()
        return tokens_of(examples) / clock.seconds

    def ours(self) -> tuple[float, PreTrainedModel]:
        """Tokens a second of this project's Trainer, and the model it trained."""
        clock, folder = EpochClock(), self.folder / "checkpoints"
        arguments = training_arguments(TrainingJob("bench", self.entry, [], [], 1), folder, 64)
        arguments.eval_strategy = arguments.save_strategy = "no"
        trainer = ResumableTrainer(
            checkpoints=folder,
            progress=Progress("bench"),
            interrupts=Interrupts("bench"),
            model=self.model(),
            args=arguments,
            data_collator=DataCollatorForTokenClassification(self.tokenizer),
            train_dataset=self.examples,
            processing_class=self.tokenizer,
        )
        trainer.add_callback(clock)
        trainer.train()
        return tokens_of(self.examples) / clock.seconds, trainer.model.eval()


def subwords_of(example: dict[str, Any]) -> int:
    """How long a training example is."""
    return len(example["input_ids"])


def words_of(instance: Instance) -> int:
    """How long a sentence is."""
    return len(instance.tokens)


def tokens_of(examples: Sequence[dict[str, Any]]) -> int:
    """Subwords without padding."""
    return sum(len(example["input_ids"]) for example in examples)


@torch.inference_mode()
def padded_one_by_one(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, sentences: Sequence[Sequence[str]]
) -> list[list[str]]:
    """The paper's inference: one sentence a pass, padded to 512; subword tags without special
    tokens.
    """
    found = []
    for words in sentences:
        encoded = tokenizer(
            list(words),
            is_split_into_words=True,
            padding="max_length",
            max_length=PADDED,
            return_tensors="pt",
        )
        best = model(**encoded.to(model.device)).logits.argmax(-1)[0].tolist()
        found.append(
            [
                model.config.id2label[best[place]]
                for place, word in enumerate(encoded.word_ids())
                if word is not None
            ]
        )
    return found


def tagged(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    instances: Sequence[Instance],
    entry: ModelEntry,
) -> list[Tagged]:
    """Our subword tags; tags on words, which the others do not make, are made too and cost their
    time.
    """
    on_gpu = entry.resources.gpus > 0
    entry = entry.model_copy(update={"max_length": PADDED})
    found = tag(model, tokenizer, instances, entry, 256 if on_gpu else 64)
    realign_all(instances, found, None)
    return found


def piped(pipe: Any, sentences: Sequence[Sequence[str]], batch: int) -> list[list[str]]:
    """The pipeline's subword tags."""
    return [
        [token["entity"] for token in found]
        for found in pipe([" ".join(words) for words in sentences], batch_size=batch)
    ]


def differences(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    sentences: Sequence[Sequence[str]],
    ours: Sequence[Sequence[str]],
    theirs: Sequence[Sequence[str]],
) -> int:
    """Subwords tagged otherwise although the model's two best tags are at least MARGIN apart."""
    count = 0
    for words, mine, other in zip(sentences, ours, theirs, strict=True):
        if list(mine) == list(other):
            continue
        with torch.inference_mode():
            encoded = tokenizer(list(words), is_split_into_words=True, return_tensors="pt")
            first, second = model(**encoded.to(model.device)).logits[0].topk(2).values.T
        margins = [
            float(first[place] - second[place])
            for place, word in enumerate(encoded.word_ids())
            if word is not None
        ]
        if len(mine) != len(other):
            raise RuntimeError("the two ways see other subwords")
        count += sum(a != b and m >= MARGIN for a, b, m in zip(mine, other, margins, strict=True))
    return count


def main() -> None:
    """Print a table and, last, one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer sentences, two repeats")
    parser.add_argument("--gpu", action="store_true", help="on the first GPU, in bf16")
    parser.add_argument("--shape", choices=SHAPES, default="small")
    options = parser.parse_args()
    entry, quick = entry_of(options.shape, options.gpu), options.quick
    if options.gpu and not torch.cuda.is_available():
        sys.exit("No CUDA GPU here.")
    repeats, many, few = (2, 400, 32) if quick else (5, 1600, 64)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        name, train, test = corpus(folder)
        draw = random.Random(0)
        train, test = (draw.sample(part, min(many, len(part))) for part in (train, test))
        source = make_pretrained(entry.source.scratch, train, 1, folder / "source")
        training = Training(folder, source, train, entry)
        rates: dict[str, list[float]] = {"padded512": [], "hf_dynamic": [], "ours": []}
        for _ in range(repeats):
            rates["padded512"].append(
                training.hugging_face(evenly(training.examples, few, subwords_of), "max_length")
            )
            rates["hf_dynamic"].append(training.hugging_face(training.examples, True))
            if options.gpu:
                torch.cuda.reset_peak_memory_stats()
            rate, model = training.ours()
            memory = torch.cuda.max_memory_allocated() / 2**30 if options.gpu else None
            rates["ours"].append(rate)

        test = [
            *evenly(test, few, words_of),
            *test,
        ]  # the first of them go through the slowest way, too
        tokenizer, words = training.tokenizer, [item.tokens for item in test]
        pipe = pipeline(
            "token-classification",
            model=model,
            tokenizer=tokenizer,
            ignore_labels=[],
            device=model.device,
        )
        times: dict[str, list[float]] = {"paper": [], "pipeline": [], "ours": []}
        for _ in range(repeats):
            with torch.autocast(model.device.type, torch.bfloat16, enabled=options.gpu):
                taken, paper = seconds(lambda: padded_one_by_one(model, tokenizer, words[:few]))
                times["paper"].append(taken / len(words[:few]))
                taken, theirs = seconds(lambda: piped(pipe, words, 256 if options.gpu else 32))
                times["pipeline"].append(taken / len(words))
            taken, raw = seconds(lambda: tagged(model, tokenizer, test, entry))
            times["ours"].append(taken / len(words))
        mine = [output.tags for output in raw]
        apart = differences(model, tokenizer, words, mine, theirs)
        apart += differences(model, tokenizer, words[:few], mine[:few], paper)

    rate = {way: statistics.median(values) for way, values in rates.items()}
    each = {way: statistics.median(values) for way, values in times.items()}
    for way, value in rate.items():
        print(f"training   {way:<12}{value:>10.0f} tokens/s", file=sys.stderr)
    for way, value in each.items():
        print(f"inference  {way:<12}{1000 * value:>10.2f} ms/sentence", file=sys.stderr)
    figures: dict[str, Any] = {
        "train_vs_padded512": round(rate["ours"] / rate["padded512"], 2),
        "train_vs_hf_dynamic": round(rate["ours"] / rate["hf_dynamic"], 2),
        "predict_vs_pipeline": round(each["pipeline"] / each["ours"], 2),
        "predict_vs_paper": round(each["paper"] / each["ours"], 2),
        "identical": apart == 0,
        "subwords_apart": apart,
        "train_tokens_per_second": round(rate["ours"]),
        "predict_ms_per_sentence": round(1000 * each["ours"], 3),
        "corpus": name,
        "sentences": len(train),
        "shape": options.shape,
        "precision": entry.train.precision,
    }
    if options.gpu:
        figures |= {
            "peak_gpu_memory_gb": round(memory or 0, 2),
            "hardware": torch.cuda.get_device_name(),
        }
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
