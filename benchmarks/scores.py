"""Scoring and comparing everything: 5 test sets of JNLPBA's size, 10,000 resamples; 9 prediction
files each are scored, and all pairs of 14 systems with 3 seeds compared in all measures.

The commands run as a user or the workflow runs them, two at a time. Beside them, for one prediction
file: nervaluate alone, and the bootstrap of one row as a plain Python loop. Sentences are made up,
so the benchmark needs no corpus. The last line is JSON, ratios first.
"""

import argparse
import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from nervaluate import Evaluator

from bioner.data.instances import Instance, Prediction, write_instances, write_predictions
from bioner.data.tags import Span, repair, tags_from_spans
from bioner.scoring.pairs import pair_up
from bioner.scoring.score import score
from bioner.settings.config import Scoring

SENTENCES, DOCUMENTS, TOKENS = 3856, 404, 26  # JNLPBA's test set: 8,662 entities, 2.25 a sentence
TYPES = ["DNA", "RNA", "cell_line", "cell_type", "protein"]
LENGTHS = [1, 1, 1, 1, 2, 2, 2, 3, 3, 4]
RESAMPLES = 10_000
SEEDS = 3
BIONER = Path(sys.executable).parent / "bioner"


def made_up(seed: int) -> list[Instance]:
    """Sentences of JNLPBA's number, length, documents, and entities."""
    draw = random.Random(seed)
    instances = []
    for number in range(SENTENCES):
        spans, start = [], draw.randint(0, 8)
        while start < TOKENS - 4:
            end = start + draw.choice(LENGTHS)
            spans.append(Span(start, end, draw.choice(TYPES)))
            start = end + draw.randint(1, 17)
        tokens = [f"w{draw.randrange(5000)}" for _ in range(TOKENS)]
        document = f"d{number * DOCUMENTS // SENTENCES}"
        instances.append(Instance(f"s{number}", document, tokens, tags_from_spans(spans, TOKENS)))
    return instances


def damaged(instances: Sequence[Instance], seed: int) -> list[Prediction]:
    """Predictions with one tag in twelve changed."""
    draw = random.Random(seed)
    tags = ["O", "O", *(f"{prefix}-{type_}" for type_ in TYPES for prefix in "BI")]
    changed = [
        [draw.choice(tags) if draw.random() < 1 / 12 else tag for tag in i.tags] for i in instances
    ]
    return [Prediction(i.id, repair(row).tags) for i, row in zip(instances, changed, strict=True)]


def timed(commands: Sequence[Sequence[str]]) -> float:
    """Wall time of the commands, two at a time."""
    start = time.perf_counter()
    with ThreadPoolExecutor(2) as pool:
        for done in pool.map(
            lambda command: subprocess.run(command, capture_output=True, check=False), commands
        ):
            if done.returncode:
                sys.exit(done.stderr.decode())
    return time.perf_counter() - start


def prepared(
    folder: Path, datasets: int, files: int, systems: int
) -> tuple[list[list[str]], list[list[str]]]:
    """Write the corpora and their predictions; the commands that score and that compare them."""
    scoring, comparing = [], []
    for dataset in range(datasets):
        gold, train = made_up(dataset), made_up(100 + dataset)
        here = folder / str(dataset)
        write_instances(here / "test.jsonl", gold)
        write_instances(here / "train.jsonl", train)
        sources = ["--gold", str(here / "test.jsonl")]
        options = ["--train", str(here / "train.jsonl"), "--bootstrap", str(RESAMPLES)]
        named = []
        for number in range(systems * SEEDS):
            path = here / f"{number}.jsonl"
            write_predictions(path, damaged(gold, number))
            named += ["--system", f"m{number // SEEDS}:direct={path}"]
            out = ["--out", str(here / f"{number}.csv")]
            if number < files:
                scoring.append(
                    [str(BIONER), "score", *sources, "--pred", str(path), *options, *out]
                )
        comparing.append(
            [str(BIONER), "compare-all", *sources, *named, "--out", str(here / "comparisons.csv")]
        )
    return scoring, comparing


def plain_bootstrap(
    gold: Sequence[Instance], predictions: Sequence[Prediction], resamples: int
) -> float:
    """Seconds for the resamples of one strict F1 by documents, as a loop."""
    draw = random.Random(0)
    counts: dict[str, list[int]] = {}
    for pair in pair_up(gold, predictions):
        row = counts.setdefault(pair.instance.doc, [0, 0])
        row[0] += 2 * len(set(pair.gold) & set(pair.predicted))
        row[1] += len(pair.gold) + len(pair.predicted)
    documents = list(counts.values())
    start = time.perf_counter()
    for _ in range(resamples):
        drawn = draw.choices(documents, k=len(documents))
        _ = 100 * sum(row[0] for row in drawn) / sum(row[1] for row in drawn)
    return time.perf_counter() - start


def seconds(run) -> float:
    """Wall time of one call."""
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def main() -> None:
    """Print the figures and, last, one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="1 test set, 4 files, 4 systems")
    datasets, files, systems = (1, 4, 4) if parser.parse_args().quick else (5, 9, 14)
    with tempfile.TemporaryDirectory() as folder:
        scoring, comparing = prepared(Path(folder), datasets, files, systems)
        scored, compared = timed(scoring), timed(comparing)
        alone = timed(scoring[:1])
        plain = timed([[*scoring[0], "--bootstrap", "0"]])
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1e6
    gold = made_up(0)
    predictions = damaged(gold, 0)
    true, found = [i.tags for i in gold], [p.tags for p in predictions]
    nervaluate = seconds(lambda: Evaluator(true, found, tags=TYPES, loader="list").evaluate())
    all_rows = seconds(lambda: score(gold, predictions))
    with_intervals = seconds(lambda: score(gold, predictions, options=Scoring(bootstrap=RESAMPLES)))
    rows = score(gold, predictions, options=Scoring(bootstrap=10), train=made_up(100))[
        "f1_ci_low"
    ].count()
    loop = plain_bootstrap(gold, predictions, RESAMPLES // 20) * 20
    lines = {
        f"{datasets * files} prediction files scored, {RESAMPLES:,} resamples": scored,
        f"all pairs of {systems} systems, {SEEDS} seeds, on {datasets} test sets": compared,
        "together": scored + compared,
        "one `bioner score` with intervals": alone,
        "one `bioner score` without": plain,
        "in it: nervaluate alone": nervaluate,
        "in it: every row": all_rows,
        f"in it: intervals of {rows} rows": with_intervals - all_rows,
        "beside it: a plain Python bootstrap of one row": loop,
    }
    for name, taken in lines.items():
        print(f"{name:<70}{taken:>8.2f} s", file=sys.stderr)
    print(f"{'highest memory of a command':<70}{peak:>8.2f} GB", file=sys.stderr)
    figures = {
        "plain_bootstrap_of_one_row_vs_intervals_of_all": loop / (with_intervals - all_rows),
        "every_row_vs_nervaluate": all_rows / nervaluate,
        "seconds_comparing": compared,
        "seconds_together": scored + compared,
        "seconds_one_score": plain,
        "peak_gb_of_a_command": peak,
    }
    print(json.dumps({name: round(value, 2) for name, value in figures.items()}))


if __name__ == "__main__":
    main()
