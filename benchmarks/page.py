"""`bioner report` for 5 test sets of real size by 9 systems: seconds, the page's size, and how fast
it opens.

Sentences, predictions, scores and comparisons are made up, as many as the real ones, so the
benchmark needs no corpus. Beside it: displaCy, spaCy's own HTML of entities, for the same sentences
and predictions alone. Opening is measured in a headless Chromium where one is installed. The last
line is JSON, ratios first.
"""

import argparse
import json
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from pathlib import Path

import polars as pl

from bioner.comparison.compare import COMPARISON
from bioner.corpora.changes import Changes
from bioner.corpora.statistics import corpus_statistics
from bioner.data.instances import Instance, Prediction, write_instances, write_predictions
from bioner.data.tags import Span, spans, tags_from_spans
from bioner.io.tables import write_table
from bioner.realignment.realign import ALIGNMENT
from bioner.scoring.score import score
from bioner.settings.config import Configuration

# Test instances, tokens an instance, entities an instance, types; train instances.
CORPORA = {
    "JNLPBA": (3856, 26, 2.2, ("DNA", "RNA", "cell_line", "cell_type", "protein"), 14690),
    "BioRED": (
        270,
        240,
        33,
        ("Gene", "Disease", "Chemical", "Variant", "Species", "CellLine"),
        300,
    ),
    "ChemProt": (8179, 27, 2.4, ("CHEMICAL", "GENE-Y", "GENE-N"), 10411),
    "BC5CDR": (4797, 25, 2.0, ("Chemical", "Disease"), 4560),
    "Reddit-Impacts": (278, 150, 0.9, ("Clinical_Impacts", "Social_Impacts"), 842),
}
DECODINGS = {"mistral-7b": ("free", "constrained"), "llama-8b": ("free", "constrained")}
MODELS = Configuration().models
SEEDS = (42, 43, 44)
LENGTHS = (1, 1, 1, 1, 2, 2, 2, 3, 3, 4)
WORDS = 20_000
BIONER = Path(sys.executable).parent / "bioner"
BROWSER = shutil.which("chromium") or shutil.which("chromium-browser")
FILTERING = """() => {
  const start = performance.now();
  const model = document.querySelector('select[name=model]');
  model.value = model.options[model.options.length - 1].value;
  model.dispatchEvent(new Event('change', { bubbles: true }));
  document.getElementById('sentences').getBoundingClientRect();
  return (performance.now() - start) / 1000;
}"""


def made_up(name: str, size: int, draw: random.Random) -> list[Instance]:
    """Sentences of a corpus's length and number of entities."""
    _, tokens, entities, types, _ = CORPORA[name]
    gap = max(1, round(2 * (tokens / entities - 1.8)))
    instances = []
    for number in range(size):
        length = max(5, round(draw.gauss(tokens, tokens / 3)))
        found, start = [], draw.randint(0, gap)
        while start < length - 4:
            end = start + draw.choice(LENGTHS)
            found.append(Span(start, end, draw.choice(types)))
            start = end + draw.randint(1, gap)
        words = [f"{draw.randrange(WORDS):05d}"[: draw.randint(2, 9)] for _ in range(length)]
        instances.append(
            Instance(f"{name}-{number}", f"d{number // 10}", words, tags_from_spans(found, length))
        )
    return instances


def damaged(gold: Sequence[Instance], model: str, draw: random.Random) -> list[Prediction]:
    """Predictions with one entity in ten to four missed, of another type or other borders; and some
    that are none.
    """
    rate = 0.10 + 0.15 * MODELS.index(model) / len(MODELS)
    if model in ("oracle", "all-o"):
        return [
            Prediction(i.id, i.tags if model == "oracle" else ["O"] * len(i.tags)) for i in gold
        ]
    predictions = []
    for instance in gold:
        tags = list(instance.tags)
        for span in spans(instance.tags):
            if draw.random() < rate:
                tags[span.start : span.end] = ["O"] * span.length
                what = draw.random()
                if what < 0.3 and span.length > 1:
                    tags[span.start + 1 : span.end] = [
                        "B-" + span.type,
                        *["I-" + span.type] * (span.length - 2),
                    ]
                elif what < 0.6:
                    other = instance.tags[span.start][:2] + draw.choice(
                        ["Gene", "Disease", "Chemical"]
                    )
                    tags[span.start : span.end] = [other, *["I" + other[1:]] * (span.length - 1)]
        for place in range(len(tags)):
            if (
                tags[place] == "O"
                and draw.random() < rate / 60
                and tags[place + 1 : place + 2] in ([], ["O"])
            ):
                tags[place] = "B-Disease"
        predictions.append(Prediction(instance.id, tags))
    return predictions


def prepared(folder: Path) -> None:
    """Write data and results folders of the paper's matrix."""
    for number, name in enumerate(CORPORA):
        draw = random.Random(number)
        size, train_size = CORPORA[name][0], CORPORA[name][-1]
        gold, train = made_up(name, size, draw), made_up(name, train_size, draw)
        splits = {"train": train, "dev": train[:100], "test": gold}
        for split, instances in splits.items():
            write_instances(folder / "data" / name / f"{split}.jsonl", instances)
        numbers = {
            split: [span.length for i in instances for span in spans(i.tags)]
            for split, instances in splits.items()
        }
        write_table(
            folder / "data" / name / "stats.csv",
            corpus_statistics(name, splits, numbers, Changes()),
        )
        fitted = pl.DataFrame(
            [
                {key: gold[0].id if kind == pl.String else 1 for key, kind in ALIGNMENT.items()}
                | {"id": i.id}
                for i in gold
            ],
            schema_overrides={key: kind for key, kind in ALIGNMENT.items() if kind != pl.Boolean},
        ).with_columns(pl.col(key).cast(kind) for key, kind in ALIGNMENT.items())
        made_of = score(
            gold, damaged(gold, "llama-8b", draw)
        )  # all scores but strict F1: scoring 45 files takes a minute
        f1: dict[str, float] = {}
        for model in MODELS:
            cell = folder / "results" / name / model
            predictions, tables = damaged(gold, model, draw), []
            rows, f1[model] = with_strict(
                made_of, gold, predictions
            )  # the same under every seed and decoding
            for decoding in DECODINGS.get(model, ("direct",)):
                for seed in SEEDS:
                    whose = {"dataset": name, "model": model, "seed": seed, "decoding": decoding}
                    bounds = {"f1_ci_low": pl.col("f1") - 1, "f1_ci_high": pl.col("f1") + 1}
                    tables.append(
                        rows.with_columns(
                            **{key: pl.lit(value) for key, value in whose.items()}, **bounds
                        )
                    )
                    part = cell / f"seed{seed}" / decoding
                    if seed == SEEDS[0]:
                        write_predictions(part / "predictions.jsonl", predictions)
                    write_table(part / "alignment.csv", fitted)
            write_table(
                cell / "scores.csv", pl.concat(tables).select(rows.columns).cast(dict(rows.schema))
            )
        systems = [
            (model, decoding) for model in MODELS for decoding in DECODINGS.get(model, ("direct",))
        ]
        comparisons = pl.DataFrame(list(pairs(name, systems, f1, draw)), schema=COMPARISON)
        write_table(folder / "results" / name / "comparisons.csv", comparisons)


def with_strict(
    rows: pl.DataFrame, gold: Sequence[Instance], predictions: Sequence[Prediction]
) -> tuple[pl.DataFrame, float]:
    """A score table with the strict counts of these predictions, which reports hold theirs against,
    and their F1.
    """
    both = [
        (set(spans(i.tags)), set(spans(p.tags))) for i, p in zip(gold, predictions, strict=True)
    ]
    counts = {
        "correct": sum(len(one & other) for one, other in both),
        "possible": sum(len(one) for one, _ in both),
        "actual": sum(len(other) for _, other in both),
    }
    found = {**counts, "f1": 200 * counts["correct"] / (counts["possible"] + counts["actual"])}
    strict = (pl.col("scorer") == "semeval") & (pl.col("scheme") == "strict")
    overall = strict & (pl.col("stratum") == "all") & (pl.col("label") == "all")
    patched = {
        name: pl.when(overall).then(pl.lit(value)).otherwise(pl.col(name))
        for name, value in found.items()
    }
    return rows.with_columns(**patched).cast(dict(rows.schema)), found["f1"]


def pairs(
    name: str, systems: Sequence[tuple[str, str]], f1: Mapping[str, float], draw: random.Random
) -> Iterator[dict[str, object]]:
    """As many rows as `bioner compare-all` writes; but for seeds and F1 their numbers mean
    nothing.
    """
    for (model, decoding), (versus, baseline_decoding) in combinations(systems, 2):
        for measure in ("f1", "recall"):
            for stratum in ("all", "1", "2", "3+", "3+ - 1"):
                row: dict[str, object] = {
                    key: draw.random() if kind == pl.Float64 else 100 if kind == pl.Int64 else None
                    for key, kind in COMPARISON.items()
                }
                yield row | {
                    "dataset": name,
                    "model": model,
                    "decoding": decoding,
                    "baseline_model": versus,
                    "baseline_decoding": baseline_decoding,
                    "seeds": len(SEEDS),
                    "baseline_seeds": len(SEEDS),
                    "score": f1[model],
                    "baseline_score": f1[versus],
                    "measure": measure,
                    "stratum": stratum,
                }


def displacy(folder: Path, out: Path) -> None:
    """Write displaCy's page of every prediction that is not as gold, its sentence's gold above
    it.
    """
    from spacy import displacy

    from bioner.data.instances import read_instances, read_predictions

    shown = []
    for name in CORPORA:
        gold = read_instances(folder / "data" / name / "test.jsonl")
        for model in MODELS:
            decoding = DECODINGS.get(model, ("direct",))[-1]
            path = (
                folder
                / "results"
                / name
                / model
                / f"seed{SEEDS[0]}"
                / decoding
                / "predictions.jsonl"
            )
            for instance, prediction in zip(gold, read_predictions(path, gold), strict=True):
                if prediction.tags != instance.tags and model != "all-o":
                    shown += [(instance.tokens, instance.tags), (instance.tokens, prediction.tags)]
    documents = []
    for tokens, tags in shown:
        offsets = [0]
        for token in tokens:
            offsets.append(offsets[-1] + len(token) + 1)
        found = [
            {"start": offsets[s.start], "end": offsets[s.end] - 1, "label": s.type}
            for s in spans(tags)
        ]
        documents.append({"text": " ".join(tokens), "ents": found, "title": None})
    html = displacy.render(documents, style="ent", manual=True, page=True, jupyter=False)
    out.write_text(html, encoding="utf-8")


def opened(page: Path, first: str, asked: str = "() => 0") -> tuple[float, float]:
    """Seconds until the page is read and shows its first sentence, and what a script then gives."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        options = [
            "--disable-gpu",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
        ]
        browser = playwright.chromium.launch(executable_path=BROWSER, args=options)
        tab = browser.new_page()
        start = time.perf_counter()
        tab.goto(page.as_uri(), wait_until="domcontentloaded", timeout=120_000)
        tab.locator(first).first.wait_for()
        loading = time.perf_counter() - start
        answer = tab.evaluate(asked)
        browser.close()
    return loading, answer


def main() -> None:
    """Print the figures and, last, one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="build and open once, not five times")
    repeats = 1 if parser.parse_args().quick else 5
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        prepared(folder)
        command = [
            BIONER,
            "report",
            *("--results", folder / "results", "--data", folder / "data", "--out", folder / "r"),
        ]
        building = []
        for _ in range(repeats):
            start = time.perf_counter()
            done = subprocess.run(
                command, capture_output=True, check=False, env=os.environ | {"BIONER_CLOSED": ""}
            )
            building.append(time.perf_counter() - start)
            said = done.stderr.decode()
            if done.returncode or "left out" in said or "refused" in said:
                sys.exit(said)  # a report of less than all would be another measurement
        page = folder / "r" / "report.html"
        megabytes = page.stat().st_size / 1e6
        opening = [opened(page, ".sentence", FILTERING) for _ in range(repeats)] if BROWSER else []
        plain = folder / "displacy.html"
        displacy(folder, plain)
        plain_megabytes = plain.stat().st_size / 1e6
        plain_opening = opened(plain, ".entities")[0] if BROWSER else None
    figures = {"displacy_megabytes_vs_page": plain_megabytes / megabytes}
    if plain_opening:
        figures["displacy_seconds_to_open_vs_page"] = plain_opening / statistics.median(
            took for took, _ in opening
        )
    figures |= {"seconds_to_build": statistics.median(building), "megabytes": megabytes}
    if opening:
        figures["seconds_to_open"] = statistics.median(took for took, _ in opening)
        figures["seconds_to_filter"] = statistics.median(filtering for _, filtering in opening)
    else:
        print("no chromium: opening is not measured", file=sys.stderr)
    for figure, value in figures.items():
        print(f"{figure.replace('_', ' '):<40}{value:>8.2f}", file=sys.stderr)
    print(json.dumps({figure: round(value, 2) for figure, value in figures.items()}))


if __name__ == "__main__":
    main()
