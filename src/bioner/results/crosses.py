"""Read drops across corpora, as far as they belong to the data and predictions that lie there."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path

import polars as pl
from pydantic import ValidationError

from bioner.comparison.cross import DROP, read_drops
from bioner.errors import InputError
from bioner.io.checksums import sha256_of
from bioner.io.files import parse_json, read_text
from bioner.io.records import Record
from bioner.results import layout
from bioner.results.consistency import checksums_of, find_mismatches, read_records

AGAIN = "Remake it by `bioner cross`."


class CrossRecord(Record):
    """The run.json of a drop: checksums of both corpora by split and of predictions; left out."""

    data: dict[str, dict[str, str]]
    predictions: tuple[str, ...]
    left_out: dict[str, str]


def find_pairs(results: Path, datasets: Sequence[str]) -> list[tuple[str, str]]:
    """Return the pairs of corpora, trained on and tested on, that have a table of drops."""
    found = [
        (train, path.parent.name)
        for train in datasets
        for path in (results / train).glob(layout.cross_path(layout.DROP, ".", "*"))
    ]
    return sorted(found, key=lambda pair: (datasets.index(pair[0]), pair[1]))


def read_cross(
    results: Path,
    data: Path,
    pair: tuple[str, str],
    scores: pl.DataFrame,
    models: Collection[str],
) -> tuple[pl.DataFrame, dict[str, str]]:
    """Read the drops of a pair of corpora.

    Args:
        pair: The corpus trained on, and the one tested on.
        scores: Of all sound cells: what lies in others is no part of a report.
        models: The models of the report.

    Returns:
        The rows of models that belong, and why others do not.

    Raises:
        InputError: The table is broken, or of other data.
    """
    train, test = pair
    path = results / layout.cross_path(layout.DROP, train, test)
    table = read_drops(path).filter(pl.col("model").is_in(models))
    if others := set(table.select("train", "test").iter_rows()) - {pair}:
        other = " on ".join(others.pop())
        raise InputError(path, f"rows of {other}", f"only {train} on {test}", AGAIN)
    record = _read_record(path.with_name(layout.RECORD))
    checksums = {name: checksums_of(data / name) for name in pair}
    _check_data(path, record, checksums)
    of_both = {**checksums[train], "test": checksums[test].get("test", "")}
    faults = {}
    for row in table.unique("model", maintain_order=True).iter_rows(named=True):
        model, decoding = row["model"], row["decoding"]
        away = f"{decoding}/{layout.cross_part(test)}".rstrip("/")
        sides = [(train, away, row["seeds"]), (test, decoding, row["home_seeds"])]
        reasons: list[str] = []
        for dataset, folder, compared in sides:
            if compared is None:
                continue
            cell = results / dataset / model
            runs = scores.filter(dataset=dataset, model=model, decoding=decoding)
            seeds = runs["seed"].unique().sort().to_list()
            reasons += _outdated(cell, folder, seeds, record)
            if len(seeds) != compared:
                reasons.append(f"{dataset} × {model} has {len(seeds)} sound seeds, not {compared}")
            if folder == away:
                records = read_records(cell, [(seed, folder) for seed in seeds])
                reasons += find_mismatches(cell, records, of_both, None)
        if reasons:
            faults[model] = f"{path}: {model}: {reasons[0]}"
    return table.filter(~pl.col("model").is_in(faults)).select(list(DROP)), faults


def _check_data(
    path: Path, record: CrossRecord, checksums: Mapping[str, Mapping[str, str]]
) -> None:
    """Raise InputError if a corpus, given by its checksums, is another than was compared."""
    for name, known in checksums.items():
        for split, checksum in known.items():
            if record.data.get(name, {}).get(split) != checksum:
                found = f"drops made from another {name}/{split}.jsonl"
                raise InputError(path, found, "from the one in the data folder", AGAIN)


def _read_record(path: Path) -> CrossRecord:
    try:
        return CrossRecord.model_validate(parse_json(read_text(path), str(path), whole_file=True))
    except ValidationError:
        expected = "what `bioner cross --record` wrote"
        raise InputError(path, "a broken record", expected, AGAIN) from None


def _outdated(cell: Path, folder: str, seeds: Sequence[int], record: CrossRecord) -> Iterator[str]:
    """Say which predictions are not those that were compared; they may be gone."""
    for seed in seeds:
        path = cell / f"seed{seed}" / folder / layout.PREDICTIONS
        if path.is_file() and sha256_of(path) not in record.predictions:
            yield f"{path} was replaced since"
