"""A result tree with every kind of file that reports are made of, and the frozen tables.

If scores or the content of tables change, run `python -m tests.golden.complete_tree` in an
activated environment, then read in the diff what users will see.
"""

import json
import math
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import polars as pl

from bioner.comparison.compare import System, compare
from bioner.corpora.changes import Changes
from bioner.corpora.statistics import corpus_statistics
from bioner.data.instances import Prediction, write_instances, write_predictions
from bioner.data.raw_outputs import Generated, RawOutput, Tagged, WordLogProbs
from bioner.data.tags import spans, tag_set
from bioner.inference.timing import TIMING
from bioner.io.checksums import sha256_of
from bioner.io.tables import write_table
from bioner.realignment.realign import ALIGNMENT, realign_all
from bioner.reporting.report import report
from bioner.results.load import ReportContext
from bioner.scoring.calibration import calibrate
from bioner.scoring.confidences import entity_confidences
from bioner.scoring.score import ScoredRun, read_scores, score
from bioner.scoring.selection import SearchedCandidate, select
from bioner.settings.catalogue import parse_entry
from bioner.settings.config import Prices, Scoring
from bioner.settings.model_entry import ModelEntry
from bioner.training.search import HYPERPARAMETERS, SEARCH
from tests.conftest import instance

FROZEN = Path(__file__).parent / "reports"
Run = tuple[str, int, str]

# Words of ten sentences that all systems tag right: with fewer entities nothing has an interval.
MORE = [("cough", "B-Disease"), ("or", "O"), ("gout", "B-Disease"), ("chloroquine", "B-Chemical")]
BC5CDR = {
    "train": [instance("t1", "aspirin/B-Chemical for/O gout/B-Disease")],
    "dev": [instance("v1", "gout/B-Disease or/O renal/B-Disease failure/I-Disease")],
    "test": [
        instance("s1", "gout/B-Disease after/O aspirin/B-Chemical ./O"),
        instance("s2", "renal/B-Disease failure/I-Disease was/O worse/O"),
        instance(
            "s3",
            "lithium/B-Chemical carbonate/I-Chemical and/O chronic/B-Disease renal/I-Disease"
            " failure/I-Disease",
        ),
        instance("s4", "no/O pain/B-Disease"),
        instance("s5", "aspirin/B-Chemical helped/O"),
        *(instance(f"m{n}", " ".join(map("/".join, MORE))) for n in range(10)),
    ],
}
JNLPBA = {
    split: [instance(split, "IL-2/B-DNA gene/I-DNA in/O T/B-cell_type cells/I-cell_type")]
    for split in BC5CDR
}
ENCODER, OTHER, LLM = MODELS = ("bert-large-cased", "deberta-v3-large", "llama-8b")
FAMILY = {ENCODER: "encoder", OTHER: "encoder", LLM: "llm"}
SETTINGS = {
    model: parse_entry(
        ModelEntry,
        model,
        {
            "family": family,
            "source": {"hub": f"someone/{model}"},
            "resources": {"gpus": 1, "predict_gpus": 1},
        },
    )
    for model, family in FAMILY.items()
}
# What a run (model, seed, decoding) has of the test set where that is not the gold: tags by
# sentence.
TAGGED: dict[Run, dict[str, str]] = {
    (ENCODER, 1, "direct"): {"s3": "B-Chemical O O B-Disease I-Disease I-Disease"},  # a border
    (ENCODER, 2, "direct"): {
        "s4": "O O",
        "s5": "B-Chemical B-Chemical",
    },  # missed, and one that is none
    (OTHER, 1, "direct"): {
        "s3": "O O O O B-Disease I-Disease",
        "s5": "B-Disease O",
    },  # missed, a border; a type
    (LLM, 1, "constrained"): {"s2": "O B-Disease O O"},
}
# What the LLM writes by itself: one token left out, one spelt otherwise, one disease missed.
WRITTEN = [
    ("s1", "gout:B-Disease after:O aspirin:B-Chemical .:O"),
    ("s2", "renal:B-Disease failure:I-Disease worse:O"),
    (
        "s3",
        (
            "lithum:B-Chemical carbonate:I-Chemical and:O chronic:B-Disease renal:I-Disease"
            " failure:I-Disease"
        ),
    ),
    ("s4", "no:O pain:O"),
    ("s5", "aspirin:B-Chemical helped:O"),
    *((f"m{n}", " ".join(map(":".join, MORE))) for n in range(10)),
]


def complete_tree(folder: Path) -> None:
    """Write data and results of two corpora: BC5CDR with all models, JNLPBA with one."""
    for name, corpus in {"BC5CDR": BC5CDR, "JNLPBA": JNLPBA}.items():
        for split, instances in corpus.items():
            write_instances(folder / "data" / name / f"{split}.jsonl", instances)
        lengths = {
            split: [span.length for i in each for span in spans(i.tags)]
            for split, each in corpus.items()
        }
        write_table(
            folder / "data" / name / "stats.csv",
            corpus_statistics(name, corpus, lengths, Changes()),
        )
    runs = {run: tagged(changes) for run, changes in TAGGED.items()}
    answers = [Generated(name, text.replace(" ", "\n"), len(text), True) for name, text in WRITTEN]
    runs[LLM, 1, "free"], alignments = realign_all(
        BC5CDR["test"], answers, frozenset(tag_set(["Chemical", "Disease"]))
    )
    results = folder / "results" / "BC5CDR"
    write_table(
        results / LLM / "seed1" / "free" / "alignment.csv",
        pl.DataFrame(alignments, schema=ALIGNMENT),
    )
    for model in MODELS:
        scored = [
            kept(folder, "BC5CDR", run, found) for run, found in runs.items() if run[0] == model
        ]
        write_table(results / model / "scores.csv", pl.concat(scored))
    right = [Prediction(each.id, each.tags) for each in JNLPBA["test"]]
    scored = [kept(folder, "JNLPBA", (ENCODER, 1, "direct"), right, gpus=[])]
    write_table(folder / "results" / "JNLPBA" / ENCODER / "scores.csv", pl.concat(scored))
    judge(results, runs)
    search(results / LLM)
    time(results)
    calibrated(results, runs)


def calibrated(results: Path, runs: Mapping[Run, Sequence[Prediction]]) -> None:
    """Calibrate the headline systems; the LLM as an earlier version has it, without dev."""
    gold = BC5CDR["test"]
    labels = [[[tag] for tag in tag_set(["Chemical", "Disease"])]]
    for model in MODELS:
        found = []
        for (name, seed, decoding), predictions in runs.items():
            if name != model or decoding == "free":
                continue
            outputs: list[RawOutput] = []
            for each, predicted in zip(gold, predictions, strict=True):
                sure = [0.95 - 0.1 * place for place in range(len(predicted.tags))]
                log_probs: list[WordLogProbs] = [
                    [(0, [math.log(p if [tag] == label else (1 - p) / 4) for label in labels[0]])]
                    for tag, p in zip(predicted.tags, sure, strict=True)
                ]
                words = list(range(len(sure)))
                outputs.append(
                    Generated(each.id, "", 0, True, sure)
                    if model == LLM
                    else Tagged(each.id, words, predicted.tags, labels, log_probs)
                )
            test = entity_confidences(gold, outputs, predictions)
            found.append(calibrate(ScoredRun("BC5CDR", model, seed, decoding), test, None, 200, 0))
        write_table(results / model / "calibration.csv", pl.concat(each.row for each in found))
        write_table(results / model / "reliability.csv", pl.concat(each.bins for each in found))


def search(cell: Path) -> None:
    """Write a search of two trials, the second of which took twice as long."""
    values = {name: getattr(SETTINGS[LLM].train, name) for name in HYPERPARAMETERS}
    trials = [
        {"trial": "a", "winner": True, "dev_strict_f1": 80.0, "seconds": 1800.0, "gpu_hours": 0.5},
        {"trial": "b", "winner": False, "dev_strict_f1": 70.0, "seconds": 3600.0, "gpu_hours": 1.0},
    ]
    rows = [values | {"energy_kwh": 0.25} | trial for trial in trials]
    write_table(cell / "search.csv", pl.DataFrame(rows, schema=SEARCH))
    (cell / "trials" / "a").mkdir(parents=True)
    about = {"seed": 41, "trained_parameters": 1000, "gpus": ["H100"]}
    (cell / "trials" / "a" / "run.json").write_text(json.dumps(about))


def tagged(changes: Mapping[str, str]) -> list[Prediction]:
    """The gold of BC5CDR's test set with other tags for these sentences."""
    return [
        Prediction(each.id, changes[each.id].split() if each.id in changes else each.tags)
        for each in BC5CDR["test"]
    ]


def kept(
    folder: Path, dataset: str, run: Run, predictions: Sequence[Prediction], **machine: object
) -> pl.DataFrame:
    """Write the files of a training and a prediction; return the scores."""
    (model, seed, decoding), corpus = run, {"BC5CDR": BC5CDR, "JNLPBA": JNLPBA}[dataset]
    data = {split: sha256_of(folder / "data" / dataset / f"{split}.jsonl") for split in corpus}
    known = {
        "settings": SETTINGS[model].canonical(),
        "started": "2026-01-01T00:00:00+00:00",
        "ended": "2026-01-01T00:30:00+00:00",
        "commit": "c" * 40,
        "uncommitted_changes": False,
        "python": "3.11.7",
        "versions": {"torch": "2.13.0"},
        "cpu": "a CPU",
        "gpus": ["H100"],
        **machine,
    }
    training = {
        "seed": seed,
        "data": {split: data[split] for split in ("train", "dev")},
        "trained_parameters": 1000,
        "wall_seconds": 1800.0,
        "energy_kwh": 0.5 if known["gpus"] else None,
        "peak_memory_gb": 3.0,
        "peak_gpu_memory_gb": 20.0 if known["gpus"] else None,
    }
    trained = folder / "results" / dataset / model / f"seed{seed}"
    predicted = trained / decoding
    predicted.mkdir(parents=True, exist_ok=True)
    (trained / "run.json").write_text(json.dumps(known | training))
    prediction = {"data": {"gold": data["test"], "train": data["train"]}}
    (predicted / "run.json").write_text(json.dumps(known | prediction))
    write_predictions(predicted / "predictions.jsonl", predictions)
    return score(
        corpus["test"],
        predictions,
        ScoredRun(dataset, model, seed, decoding),
        Scoring(bootstrap=200),
        corpus["train"],
        {},
    )


def judge(results: Path, runs: Mapping[Run, Sequence[Prediction]]) -> None:
    """Choose on dev (encoders, here, by test scores) and compare the headline systems."""
    dev = []
    for model in (ENCODER, OTHER):
        path = results / model / "seed1" / "dev" / "scores.csv"
        write_table(path, read_scores(results / model / "scores.csv"))
        dev.append(path)
    searched = {"llm": [SearchedCandidate(LLM, "constrained", 80.0, 2)]}
    write_table(results / "selection.csv", select({"encoder": dev}, searched, "BC5CDR"))
    systems = [
        System(
            model,
            decoding,
            [each for (name, _, how), each in runs.items() if (name, how) == (model, decoding)],
        )
        for model, decoding in ((ENCODER, "direct"), (OTHER, "direct"), (LLM, "constrained"))
    ]
    comparisons = compare(BC5CDR["test"], systems, resamples=200, dataset="BC5CDR")
    write_table(results / "comparisons.csv", comparisons)


def time(results: Path) -> None:
    """Seconds of an encoder, and of the LLM under two protocols."""
    same = {
        "dataset": "BC5CDR",
        "seed": 1,
        "hardware": "H100",
        "others_on_gpu": 0,
        "sentences": 5,
        "repeats": 3,
    }
    same |= {"peak_memory_gb": 3.0, "peak_gpu_memory_gb": 16.0}
    rows = {
        ENCODER: [
            ("fair", 1, "bf16", "direct", 0.02, 10.0),
            ("fair", 16, "bf16", "direct", 0.01, 12.0),
        ],
        LLM: [
            ("fair", 1, "bf16", "constrained", 0.8, 500.0),
            ("fair", 16, "bf16", "constrained", 0.1, 600.0),
            ("paper", 16, "nf4", "free", 2.0, None),
        ],
    }
    names = ("protocol", "batch", "precision", "decoding", "seconds_per_sample", "gflop_per_sample")
    for model, timed in rows.items():
        family = {"model": model, "family": FAMILY[model]}
        table = [same | family | dict(zip(names, row, strict=True)) for row in timed]
        for row in table:
            seconds = row["seconds_per_sample"]
            row |= {"seconds_low": seconds * 0.95, "seconds_high": seconds * 1.1}
        write_table(results / model / "timing.csv", pl.DataFrame(table, schema=TIMING))


def reports_of(folder: Path) -> dict[str, pl.DataFrame]:
    """The tree's reports, with a failed job, cells that never ran, an absent corpus, and prices."""
    return report(
        folder / "results",
        folder / "data",
        folder / "reports",
        ["JNLPBA", "BC5CDR", "Reddit-Impacts"],
        MODELS,
        context=ReportContext(
            {"Reddit-Impacts": "not at hand"},
            {f"train JNLPBA {LLM} 1": "logs/train/JNLPBA/llama-8b/seed1.log"},
            prices=Prices(gpu_hour=2.5, cpu_hour=0.2, currency="EUR"),
        ),
    )


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as temporary:
        complete_tree(Path(temporary))
        for report_name, table in reports_of(Path(temporary)).items():
            write_table(FROZEN / f"{report_name}.csv", table)
