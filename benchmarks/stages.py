"""How long the CPU stages take on a corpus of JNLPBA's size, and how that grows: normalize,
realign, score, compare.

Beside scoring stands bare nervaluate, one of its scorers. Sentences are made up, so the
benchmark needs no corpus. The last line is JSON, ratios first.
"""

import argparse
import json
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from nervaluate import Evaluator

from bioner.comparison.compare import System, compare
from bioner.corpora.normalize import normalize
from bioner.data.instances import SPLITS, Instance, Prediction
from bioner.data.raw_outputs import Generated
from bioner.data.tags import tag_set
from bioner.models.prompt import response_line
from bioner.realignment.realign import realign_all
from bioner.scoring.score import score
from bioner.settings.catalogue import parse_entry
from bioner.settings.dataset_entry import DatasetEntry

TAGS = tag_set(["DNA", "RNA", "cell_line", "cell_type", "protein"])


def made_up(count: int, seed: int) -> list[Instance]:
    """Sentences of 10 to 42 words (mean 26, as the paper's) in which a fifth of the words open an
    entity.
    """
    draw = random.Random(seed)
    instances = []
    for number in range(count):
        length = draw.randint(10, 42)
        tags = [
            f"B-{draw.choice(['DNA', 'protein'])}" if draw.random() < 0.2 else "O"
            for _ in range(length)
        ]
        tokens = [f"w{draw.randrange(5000)}" for _ in range(length)]
        instances.append(Instance(f"s{number}", f"d{number // 10}", tokens, tags))
    return instances


def damaged(instances: list[Instance], seed: int) -> list[Prediction]:
    """Predictions with one tag in twenty changed."""
    draw = random.Random(seed)
    changed = [
        [("O" if draw.random() < 0.05 else tag) for tag in instance.tags] for instance in instances
    ]
    return [
        Prediction(instance.id, tags) for instance, tags in zip(instances, changed, strict=True)
    ]


def write_conll(folder: Path, instances: list[Instance]) -> None:
    """The same sentences as all three splits of a CoNLL corpus."""
    text = "\n".join(
        "".join(f"{w}\t{t}\n" for w, t in zip(i.tokens, i.tags, strict=True)) for i in instances
    )
    for split in SPLITS:
        (folder / f"{split}.tsv").write_text(text, encoding="utf-8")


def seconds(run: Callable[[], object], repeats: int) -> float:
    """Median wall time."""
    taken = []
    for _ in range(repeats):
        start = time.perf_counter()
        run()
        taken.append(time.perf_counter() - start)
    return statistics.median(taken)


def measure(count: int, repeats: int, folder: Path) -> dict[str, float]:
    """Seconds of every stage on `count` sentences."""
    gold = made_up(count, 0)
    predictions, other = damaged(gold, 1), damaged(gold, 2)
    files = {f"{split}.tsv": {"path": None} for split in SPLITS}
    splits = {split: f"{split}.tsv" for split in SPLITS}
    entry = parse_entry(
        DatasetEntry, "made-up", {"format": "conll", "files": files, "splits": splits}
    )
    write_conll(folder, gold)
    texts = [
        "".join(map(response_line, i.tokens, p.tags))
        for i, p in zip(gold, predictions, strict=True)
    ]
    outputs = [Generated(i.id, text, 0, True) for i, text in zip(gold, texts, strict=True)]
    true, found = [i.tags for i in gold], [p.tags for p in predictions]
    systems = [System("one", "direct", [predictions]), System("other", "direct", [other])]
    return {
        "normalize": seconds(lambda: normalize("made-up", entry, folder, folder / "out"), repeats)
        / 3,
        "realign": seconds(lambda: realign_all(gold, outputs, frozenset(TAGS)), repeats),
        "score": seconds(lambda: score(gold, predictions), repeats),
        "nervaluate": seconds(
            lambda: Evaluator(true, found, tags=["DNA", "protein"], loader="list").evaluate(),
            repeats,
        ),
        "compare": seconds(lambda: compare(gold, systems), repeats),
    }


def main() -> None:
    """Print a table and, last, one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--quick", action="store_true", help="a quarter of the sentences, one repeat"
    )
    quick = parser.parse_args().quick
    count, repeats = (1000, 1) if quick else (4000, 3)
    with tempfile.TemporaryDirectory() as folder:
        half, whole = (measure(size, repeats, Path(folder)) for size in (count // 2, count))
    print(f"{'stage':<12}{count // 2:>8} sentences{count:>8} sentences", file=sys.stderr)
    for name, taken in whole.items():
        print(f"{name:<12}{half[name]:>16.2f} s{taken:>16.2f} s", file=sys.stderr)
    figures = {"score_vs_nervaluate": whole["score"] / whole["nervaluate"]}
    figures |= {f"{name}_growth": taken / half[name] for name, taken in whole.items()}
    figures |= {"realign_sentences_per_second": count / whole["realign"], "sentences": count}
    print(json.dumps({name: round(value, 2) for name, value in figures.items()}))


if __name__ == "__main__":
    main()
