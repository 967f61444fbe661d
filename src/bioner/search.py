"""Hyper-parameter search on dev: trials ranked, the winner's weights taken over, the losers' given up."""

import contextlib
import json
import os
import shutil
from collections.abc import Iterable, Mapping, Sequence
from math import comb
from pathlib import Path
from typing import Any

import polars as pl

from bioner.config import Tree
from bioner.errors import InputError
from bioner.files import atomic_path, parse_json, read_text
from bioner.tables import Schema

HYPERPARAMETERS: Schema = {
    "learning_rate": pl.Float64,
    "head_learning_rate": pl.Float64,
    "batch_size": pl.Int64,
    "epochs": pl.Float64,
    "warmup": pl.Float64,
    "weight_decay": pl.Float64,
}
SEARCH: Schema = {
    "trial": pl.String,
    "winner": pl.Boolean,
    **HYPERPARAMETERS,
    "kept_epoch": pl.Float64,
    "dev_strict_f1": pl.Float64,
    "dev_relaxed_f1": pl.Float64,
    "dev_loss": pl.Float64,
    "seconds": pl.Float64,
    "gpu_hours": pl.Float64,
    "energy_kwh": pl.Float64,
    "trials": pl.Int64,
    "expected_best_dev_f1": pl.Float64,
}
Record = Mapping[str, Any]
AGAIN = "Remove its folder and run the same command again."


def read_trial(folder: Path) -> Record:
    """The run.json of a trial."""
    path = folder / "run.json"
    record = parse_json(read_text(path), str(path), whole_file=True)
    if not isinstance(record, dict) or not {"trial", "kept", "settings", "seed", "data"} <= record.keys():
        raise InputError(path, "no trial", "what `bioner train --searched` wrote", AGAIN)
    if not isinstance(record["trial"], dict):
        raise InputError(path, "a training that is no trial", "one with --searched", AGAIN)
    return record


def rank(trials: Iterable[Record]) -> list[Record]:
    """Trials from the best on: higher strict F1 on dev, then lower dev loss, then name.

    A trial without F1 comes after all that have one. InputError where trials differ in more than they search over.
    """
    ranked = sorted(trials, key=_merit)
    first = ranked[0]
    for other in ranked[1:]:
        if _common(other) != _common(first):
            names = f"{first['trial']['name']} and {other['trial']['name']}"
            found = f"other settings, data or seeds in {names}"
            raise InputError("search", found, "trials that differ in what is searched over", "Train both again.")
    return ranked


def search_table(ranked: Sequence[Record]) -> pl.DataFrame:
    """`search.csv`: a row a trial, the winner first.

    Beside them the expected best dev F1 of `trials` trials drawn without replacement from these: the row tells what a
    budget of so many would have given on average (after Dodge et al. 2019, "Show Your Work"; unbiased as in Tang et
    al. 2020). Empty where trials have no F1.
    """
    scores = [trial["kept"]["dev_strict_f1"] for trial in ranked]
    expected = expected_best(scores) if None not in scores else [None] * len(scores)
    rows = [
        {
            "trial": trial["trial"]["name"],
            "winner": number == 0,
            **{name: trial["settings"]["train"][name] for name in HYPERPARAMETERS},
            "kept_epoch": trial["kept"]["epoch"],
            **{name: trial["kept"][name] for name in ("dev_strict_f1", "dev_relaxed_f1", "dev_loss")},
            "seconds": trial["wall_seconds"],
            "gpu_hours": gpu_hours(trial),
            "energy_kwh": trial["energy_kwh"],
            "trials": number + 1,
            "expected_best_dev_f1": best,
        }
        for number, (trial, best) in enumerate(zip(ranked, expected, strict=True))
    ]
    return pl.DataFrame(rows, schema=SEARCH)


def expected_best(scores: Sequence[float]) -> list[float]:
    """The mean of the best of n scores drawn without replacement, for n from 1 to all.

    Of the N scores in ascending order the k-th is the best of n in C(k-1, n-1) of C(N, n) draws.
    """
    ascending, count = sorted(scores), len(scores)
    return [
        sum(comb(place, drawn - 1) * score for place, score in enumerate(ascending)) / comb(count, drawn)
        for drawn in range(1, count + 1)
    ]


def winner_of(ranked: Sequence[Record]) -> Tree:
    """`winner.json`: which trial won, the values it won with, and what by."""
    best = ranked[0]
    values = {name: best["settings"]["train"][name] for name in sorted(best["trial"]["over"])}
    return {"trial": best["trial"]["name"], "seed": best["seed"], "train": values, "kept": best["kept"]}


def read_winner(path: Path) -> Tree:
    """What `bioner search` wrote about the winner."""
    winner = parse_json(read_text(path), str(path), whole_file=True)
    if not isinstance(winner, dict) or not isinstance(winner.get("train"), dict) or "trial" not in winner:
        raise InputError(path, "no winner", "what `bioner search` wrote", "Remake it with `bioner search`.")
    return winner


def drop_losers(trials: Path, latest: str) -> None:
    """Remove the weights of every finished trial that another one beats; `latest` has just finished.

    Each trial does so when it ends, in whatever order they end, so one model a search lies on the disk and not twelve.
    Trials that were trained otherwise, and wait to be trained again, have no say and lose nothing; trials without
    weights were beaten, or retired, and have no say either.
    """
    finished = []
    for path in sorted(trials.glob("*/run.json")):
        with contextlib.suppress(InputError):  # what else lies there is no trial
            finished.append(read_trial(path.parent))
    common = next(_common(trial) for trial in finished if trial["trial"]["name"] == latest)
    comparable = [trial for trial in finished if _common(trial) == common and _weights(trials, trial).is_dir()]
    for loser in sorted(comparable, key=_merit)[1:]:
        shutil.rmtree(_weights(trials, loser), ignore_errors=True)


def retire(trials: Sequence[Path]) -> None:
    """Remove the weights of what lies beside these trials and is searched over no longer."""
    named = {folder.resolve() for folder in trials}
    for beside in {folder.parent for folder in named}:
        for run in beside.glob("*/run.json"):
            with contextlib.suppress(InputError):  # what else lies there is no trial
                if run.parent not in named and read_trial(run.parent):
                    shutil.rmtree(run.parent / "model", ignore_errors=True)


def adopt(winner: Path, searched: pl.DataFrame, trials: Path, out: Path) -> None:
    """The winning trial as the first seed's training: model/, history.csv, and run.json with what the search took.

    Weights are linked, not copied, where the file system can.
    """
    trial = trials / read_winner(winner)["trial"]
    record = read_trial(trial)
    if not (trial / "model").is_dir():
        found = "no weights: a trial that is no longer searched over had beaten it"
        remedy = f"Remove this folder and {winner}, and run the same command again."
        raise InputError(trial, found, "the winner's weights", remedy)
    cost = {"trials": len(searched), **{name: searched[name].sum() for name in ("seconds", "gpu_hours")}}
    if not searched["energy_kwh"].has_nulls():
        cost["energy_kwh"] = searched["energy_kwh"].sum()
    with atomic_path(out / "model") as path:
        shutil.copytree(trial / "model", path, copy_function=_link)
    with atomic_path(out / "history.csv") as path:
        shutil.copyfile(trial / "history.csv", path)
    with atomic_path(out / "run.json") as path:
        path.write_text(json.dumps({**record, "search": cost}, indent=2) + "\n", encoding="utf-8")


def gpu_hours(record: Record) -> float:
    """Wall time of a training times the GPUs it had."""
    return float(record["wall_seconds"]) / 3600 * len(gpus_of(record))


def gpus_of(record: Record) -> list[str]:
    """Names of the GPUs that a training used."""
    gpus: list[str] = record["gpus"][: record["settings"]["resources"]["gpus"]]
    return gpus


def _weights(trials: Path, trial: Record) -> Path:
    name: str = trial["trial"]["name"]
    return trials / name / "model"


def _link(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:  # a file system without hard links
        shutil.copy2(source, target)


def _merit(trial: Record) -> tuple[float, float, str]:
    f1, loss = trial["kept"]["dev_strict_f1"], trial["kept"]["dev_loss"]
    return -1.0 if f1 is None else -2.0 - f1, loss, trial["trial"]["name"]


def _common(trial: Record) -> str:
    """What trials of one search have in common: everything but what they search over."""
    settings = dict(trial["settings"])
    over = trial["trial"]["over"]
    settings["train"] = {name: value for name, value in settings["train"].items() if name not in over}
    for beside in ("predict", "search"):
        settings.pop(beside, None)
    return json.dumps([settings, sorted(over), trial["seed"], trial["data"]], sort_keys=True)
