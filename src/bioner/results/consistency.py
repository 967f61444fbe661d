"""Whether files belong to this data and configuration, by checksums and settings."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from bioner.io.checksums import sha256_of
from bioner.io.records import RunRecord, read_record
from bioner.results import layout
from bioner.settings.catalogue import BEST, REPRODUCTION
from bioner.settings.model_entry import COMMIT, ModelEntry
from bioner.training.search import HYPERPARAMETERS

ROUNDING = 1e-6  # points of F1 by which sums in another order may differ
SHOWN = 12  # digits of a checksum
Run = tuple[int, str]  # seed and decoding
RunRecords = Mapping[Run, RunRecord]
MACHINE = ("resources",)  # settings that do not change results


def checksums_of(data: Path) -> dict[str, str]:
    """Return the SHA-256 of a corpus's instances, by split; missing splits are left out."""
    paths = {split: data / f"{split}.jsonl" for split in ("train", "dev", "test")}
    return {split: sha256_of(path) for split, path in paths.items() if path.is_file()}


def read_records(cell: Path, runs: Sequence[Run]) -> RunRecords:
    """Read the run.json files of a cell's trainings and predictions.

    Returns:
        The records that are there, first of trainings by (seed, ""), then of predictions by
        (seed, decoding).

    Raises:
        InputError: A file is not what bioner writes.
    """
    records = {}
    for seed, decoding in [*dict.fromkeys((seed, "") for seed, _ in runs), *runs]:
        path = cell / f"seed{seed}" / decoding / layout.RECORD
        if path.is_file():
            records[seed, decoding] = read_record(path)
    return records


def find_mismatches(
    cell: Path,
    records: RunRecords,
    data: Mapping[str, str],
    entry: ModelEntry | None,
    winner: Mapping[str, Any] | None = None,
) -> Iterator[str]:
    """Say why the runs of a cell do not belong to this data, this configuration or one another.

    Records of earlier versions say less; only what they say is checked.

    Args:
        records: As `read_records` returns them.
        data: Checksums of the corpus as it is now, by split.
        entry: The model's complete catalogue entry, if known.
        winner: The best trial of the cell's search (a row of TRIALS in results.runs), if any.
    """
    first: tuple[int, dict[str, Any]] | None = None
    for (seed, decoding), record in records.items():
        if decoding:
            where = f"seed {seed}, {decoding}"
            yield from _other_data(f"{where}: predicted for", "test", record.data.gold, data)
            training, known = cell / f"seed{seed}" / layout.RECORD, record.data.training
            if known and training.is_file() and known != sha256_of(training):
                yield f"{where}: predicted by a training that was replaced since"
            continue
        if record.seed not in (None, seed):
            yield f"seed {seed}: its run.json is of seed {record.seed}"
        if record.trial or (winner and winner["seed"] == seed):
            yield (
                f"seed {seed}: its search ran under this seed, so its scores carry the luck of the"
                " best trial; search again, under `search_seed`: `snakemake --forcerun trial`"
            )
        for split, found in (("train", record.data.train), ("dev", record.data.dev)):
            yield from _other_data(f"seed {seed}: trained on", split, found, data)
        if not record.settings:
            continue
        settings = comparable(record)
        if entry and (found := _apart(settings, entry)):
            yield f"seed {seed}: trained by another configuration ({found})"
        if winner and (found := unlike_winner(record, winner)):
            yield f"seed {seed}: trained with other values than its search chose ({found})"
        if first and (found := difference(settings, first[1])):
            yield f"seed {seed}: trained otherwise than seed {first[0]} ({found})"
        first = first or (seed, settings)


def buckets_of(scores: pl.DataFrame) -> tuple[str, ...]:
    """Return the length buckets of a score table, in its order."""
    return tuple(
        scores.filter(scorer="semeval", scheme="strict", label="all")["stratum"].unique(
            maintain_order=True
        )
    )


def find_outdated(comparisons: pl.DataFrame, scores: pl.DataFrame) -> str | None:
    """Return what is outdated in comparisons of one dataset, or None.

    Outdated is a system whose strict F1 (of the counts of all seeds together) or number of seeds
    differs from its scores.
    """
    compared = comparisons.filter(measure="f1", stratum="all", label="all").with_row_index()
    sides = pl.concat(
        compared.select(
            "index",
            model=f"{side}model",
            decoding=f"{side}decoding",
            f1=f"{side}score",
            seeds=f"{side}seeds",
        )
        for side in ("", "baseline_")
    )
    both = sides.sort("index", maintain_order=True).join(
        _scored(scores), on=["model", "decoding"], maintain_order="left"
    )
    for row in both.iter_rows(named=True):
        whose, seeds, now = f"{row['model']} {row['decoding']}", row["seeds"], row["scored_seeds"]
        if seeds not in (None, now):
            return f"{whose} compared under {seeds} seeds and scored under {now}"
        f1, now = row["f1"], row["scored_f1"]
        if None not in (f1, now) and abs(f1 - now) > ROUNDING:
            return f"{whose} compared with {f1:.2f} F1 and scored with {now:.2f}"
    return None


def find_outdated_mean(
    means: pl.DataFrame, scores: pl.DataFrame, selection: pl.DataFrame
) -> str | None:
    """Return what is outdated in mean differences over corpora, or None.

    Outdated are other corpora than those scored, and a system whose mean strict F1 or least number
    of seeds differs from its scores. The best of a family are those that are chosen now.
    """
    known = {row[:3]: row[3:] for row in _scored(scores).iter_rows()}
    best = selection.filter("chosen").select("dataset", "family", "model", "decoding")
    chosen = {(dataset, family): system for dataset, family, *system in best.iter_rows()}
    scored = set(scores["dataset"]) - {REPRODUCTION}
    for row in means.filter(measure="f1").iter_rows(named=True):
        names = row["names"].split(", ")
        left_out = (row["left_out"] or "").split(", ")
        covered = {*names, *(text.split(" (")[0] for text in left_out)} - {""}
        if covered != scored:
            return f"a mean over {row['names']}, not {', '.join(sorted(scored))}"
        for side in ("", "baseline_"):
            name, decoding = row[f"{side}model"], row[f"{side}decoding"]
            systems = [chosen.get((each, BEST.get(name, "")), (name, decoding)) for each in names]
            found = [known.get((each, *s)) for each, s in zip(names, systems, strict=True)]
            now = [each for each in found if each]
            if len(now) < len(names) or row[f"{side}seeds"] != min(seeds for seeds, _ in now):
                return f"{name} averaged over other runs than are scored"
            f1, averaged = sum(f1 or 0.0 for _, f1 in now) / len(names), row[f"{side}score"] or 0.0
            if abs(f1 - averaged) > ROUNDING:
                return f"{name} averaged with {averaged:.2f} F1 and scored with {f1:.2f}"
    return None


def _scored(scores: pl.DataFrame) -> pl.DataFrame:
    """Return seeds and strict F1, of the counts of all seeds together, of each system."""
    counts = scores.filter(scorer="semeval", scheme="strict", stratum="all", label="all")
    totals = counts.group_by("dataset", "model", "decoding").agg(
        pl.len().alias("scored_seeds"), pl.col("correct", "possible", "actual").sum()
    )
    entities = pl.col("possible") + pl.col("actual")
    f1 = pl.when(entities > 0).then(200 * pl.col("correct") / entities)
    return totals.select("dataset", "model", "decoding", "scored_seeds", scored_f1=f1)


def comparable(record: RunRecord) -> dict[str, Any]:
    """Return the recorded settings that results depend on, without those of the machine."""
    settings = record.entry.training_settings() if record.entry else record.settings
    return {name: value for name, value in settings.items() if name not in MACHINE}


def difference(one: object, other: object, path: str = "") -> str | None:
    """Return the first setting that differs (`train.epochs 3, not 20`), or None."""
    if isinstance(one, dict) and isinstance(other, dict):
        for key in sorted(one.keys() | other.keys()):
            found = difference(one.get(key), other.get(key), f"{path}.{key}".lstrip("."))
            if found:
                return found
        return None
    return None if one == other else f"{path} {one}, not {other}"


def unlike_winner(record: RunRecord, winner: Mapping[str, Any]) -> str | None:
    """Return the first hyper-parameter of a training unlike that of a search's best trial."""
    if record.entry is None:
        return None
    values = {name: getattr(record.entry.train, name) for name in HYPERPARAMETERS}
    return difference(values, {name: winner[name] for name in HYPERPARAMETERS})


def _apart(found: Mapping[str, Any], entry: ModelEntry) -> str | None:
    """Return the first setting unlike the catalogue entry's; searched ones may be any it lists."""
    settings = entry.training_settings()
    wanted = {name: value for name, value in settings.items() if name not in MACHINE}
    train = dict(found.get("train") or {})
    for name, values in entry.searched().items():
        if train.get(name) in values:
            train[name] = wanted["train"][name]
    source, revision = dict(found.get("source") or {}), entry.source.revision
    if not COMMIT.fullmatch(str(revision)):  # a branch: the run names the commit it stood for
        source["revision"] = revision
    return difference({**found, "train": train, "source": source}, wanted)


def _other_data(what: str, split: str, found: str | None, data: Mapping[str, str]) -> Iterator[str]:
    if found and split in data and found != data[split]:
        yield (
            f"{what} another {split}.jsonl ({found[:SHOWN]}…) than lies there"
            f" ({data[split][:SHOWN]}…)"
        )
