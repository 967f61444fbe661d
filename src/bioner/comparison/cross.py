"""Models of one corpus on another one's test set: scores of mapped types, and the drop."""

import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import TypeVar

import numpy as np
import polars as pl

from bioner.comparison.agreement import GoldAgreement, compare_gold
from bioner.comparison.compare import System, compare
from bioner.data.instances import Instance, Prediction, entity_types
from bioner.data.near_duplicates import find_shared_documents
from bioner.data.tags import OUTSIDE, spans, split_tag
from bioner.errors import InputError
from bioner.io.tables import Schema, read_table
from bioner.scoring.limits import drop_intervals
from bioner.scoring.pairs import pair_up
from bioner.scoring.resampling import clusters_of
from bioner.scoring.score import overall_tallies
from bioner.scoring.semeval import semeval_tallies
from bioner.scoring.table import score_table
from bioner.scoring.tally import Tally

log = logging.getLogger(__name__)

T = TypeVar("T")
Runs = Sequence[Sequence[Prediction]]  # one per seed
Types = Mapping[str, Sequence[str]]  # the names that corpora have for a type, by its common name
KEY = ("train", "test", "model", "decoding", "label")
MEASURED = ("precision", "recall", "f1", "f1_ci_low", "f1_ci_high", "relaxed_f1")
DROP: Schema = {
    **dict.fromkeys(KEY, pl.String),
    "seeds": pl.Int64,
    "gold_entities": pl.Int64,
    **dict.fromkeys(MEASURED, pl.Float64),
    "home_seeds": pl.Int64,
    **{f"home_{name}": pl.Float64 for name in MEASURED},
    **dict.fromkeys(("drop", "drop_ci_low", "drop_ci_high", "p"), pl.Float64),
    "no_interval": pl.String,
    "untested": pl.String,
    "gold_against_gold_f1": pl.Float64,
    "gold_against_gold_texts": pl.Int64,
    "left_out": pl.Int64,
    "cluster": pl.String,
    "clusters": pl.Int64,
}
RESAMPLED = [name for name in DROP if "_ci_" in name or name == "p"]


@dataclass(frozen=True, slots=True)
class Corpus:
    """A corpus with the instances of each split."""

    name: str
    splits: Mapping[str, Sequence[Instance]]


@dataclass(frozen=True, slots=True)
class CrossSystem:
    """Predictions of a model on a test set: trained elsewhere, and trained at home (or none)."""

    model: str
    decoding: str
    elsewhere: Runs
    home: Runs


def score_across(
    train: Corpus,
    test: Corpus,
    systems: Sequence[CrossSystem],
    types: Types,
    resamples: int = 10_000,
    seed: int = 0,
) -> tuple[pl.DataFrame, dict[str, str]]:
    """Score models of one corpus on the test set of another, less the documents that both have.

    Args:
        train: The corpus that the models were trained on.
        test: The corpus whose test set they predicted.
        systems: Their predictions on the whole test set.
        types: The names that the corpora have for each common type.
        resamples: Of the bootstrap and of approximate randomisation.
        seed: Of both.

    Returns:
        The table (columns DROP), and the documents left out, each with that of `train`.

    Raises:
        InputError: The training corpus lacks a type, the test set lacks all of them, or nothing is
            left of it.
    """
    gold, learnt = test.splits["test"], entity_types(train.splits["train"])
    types = find_shared_types(types, (train.name, learnt), (test.name, entity_types(gold)))
    left_out = find_shared_documents(gold, [*train.splits["train"], *train.splits["dev"]])
    if not (rest := without(left_out, gold, gold)):
        found = f"every test document of {test.name} in train or dev of {train.name}"
        raise InputError("cross", found, "some that are not", "Leave this pair out.")
    chosen = [
        replace(
            system,
            elsewhere=[without(left_out, gold, run) for run in system.elsewhere],
            home=[without(left_out, gold, run) for run in system.home],
        )
        for system in systems
    ]
    ours, theirs = (list(chain.from_iterable(each.splits.values())) for each in (train, test))
    agreement = compare_gold(ours, theirs, types)
    table = drop_table(rest, chosen, types, learnt, agreement, resamples, seed)
    facts = {"train": train.name, "test": test.name, "left_out": len(left_out)}
    return table.with_columns(**{name: pl.lit(fact) for name, fact in facts.items()}), left_out


def drop_table(
    gold: Sequence[Instance],
    systems: Sequence[CrossSystem],
    types: Types,
    known: Collection[str],
    agreement: Sequence[GoldAgreement],
    resamples: int = 10_000,
    seed: int = 0,
) -> pl.DataFrame:
    """Score every system on the mapped types together and each alone (columns DROP, from `label`).

    All counts are those of all seeds together, so that `drop` is `home_f1` less `f1`. Its interval
    and p-value are those of `compare`. `no_interval` names the limit of a label that is too rare
    for either (see `limits`).

    Args:
        gold: The test set, without what the training corpus shares with it.
        known: The types of the training corpus: others are no predictions of its models.
        agreement: Of the two corpora's gold on the texts that both annotate, by label.

    Returns:
        The table without the names of the corpora and the documents left out.
    """
    resampling = resamples, seed
    rows = []
    for label, ceiling in zip(("all", *types), agreement, strict=True):
        names = _own_names({label: types[label]} if label in types else types)
        learnt = {own: common for own, common in names.items() if own in known}
        wanted = [replace(each, tags=reduced(each.tags, names)) for each in gold]
        for system in systems:
            elsewhere, home = _runs(system.elsewhere, learnt), _runs(system.home, names)
            rows.append(
                {
                    "model": system.model,
                    "decoding": system.decoding,
                    "label": label,
                    "seeds": len(elsewhere),
                    "gold_entities": sum(len(spans(each.tags)) for each in wanted),
                    **_scores(wanted, elsewhere, resampling),
                    **(_at_home(wanted, system, home, elsewhere, resampling) if home else {}),
                    "gold_against_gold_f1": ceiling.f1,
                    "gold_against_gold_texts": ceiling.units,
                }
            )
    order = [system.model for system in systems]
    rows.sort(key=lambda row: order.index(str(row["model"])))
    clusters = clusters_of(gold)
    return _within_limits(pl.DataFrame(rows, schema=DROP)).with_columns(
        cluster=pl.lit(clusters.kind), clusters=pl.lit(clusters.count, pl.Int64)
    )


def reduced(tags: Sequence[str], names: Mapping[str, str]) -> list[str]:
    """Return tags under the common names of their types; those of other types become O.

    Args:
        names: Common names by the corpora's own.
    """
    parts = map(split_tag, tags)
    return [
        f"{prefix}-{names[type_]}" if prefix != OUTSIDE and type_ in names else OUTSIDE
        for prefix, type_ in parts
    ]


def without(documents: Collection[str], gold: Sequence[Instance], items: Sequence[T]) -> list[T]:
    """Return the items, in the order of `gold`, whose instances are in none of these documents."""
    pairs = zip(items, gold, strict=True)
    return [item for item, instance in pairs if instance.doc not in documents]


def find_shared_types(
    types: Types, train: tuple[str, Collection[str]], test: tuple[str, Collection[str]]
) -> Types:
    """Return the mapped types that the test set has, and warn about the others.

    Args:
        types: The mapped types.
        train: The training corpus's name and its types.
        test: Those of the test set.

    Raises:
        InputError: The training corpus lacks a type, or the test set all of them.
    """
    unknown, absent = (
        [name for name, names in types.items() if not {name, *names} & {*there}]
        for _, there in (train, test)
    )
    nothing = absent if len(absent) == len(types) else []
    for (corpus, there), fatal in ((train, unknown), (test, nothing)):
        if fatal:
            wanted = " or ".join(dict.fromkeys((fatal[0], *types[fatal[0]])))
            raise InputError(
                f"cross: types.{fatal[0]}",
                f"no {wanted} in {corpus}",
                f"one of its types ({', '.join(there) or 'none'})",
                "Add the corpus's name for it, or leave the type out.",
            )
    for name in absent:
        log.warning("cross: %s has no %s: the type is left out there", test[0], name)
    return {name: names for name, names in types.items() if name not in absent}


def read_drops(path: Path) -> pl.DataFrame:
    """Read and check a table of drops."""
    table = _within_limits(read_table(path, DROP, KEY, later=["no_interval", "untested"]))
    if table.select(KEY).is_duplicated().any():
        raise InputError(path, "a row twice", "each once", "Remake it by `bioner cross`.")
    return table


def _within_limits(table: pl.DataFrame) -> pl.DataFrame:
    return drop_intervals(table, pl.col("gold_entities"), RESAMPLED)


def _own_names(types: Types) -> dict[str, str]:
    """Return common names by the corpora's own; a common name is its own, too."""
    return {own: common for common, names in types.items() for own in (common, *names)}


def _runs(runs: Runs, names: Mapping[str, str]) -> Runs:
    return [[replace(each, tags=reduced(each.tags, names)) for each in run] for run in runs]


def _scores(gold: Sequence[Instance], runs: Runs, resampling: tuple[int, int]) -> dict[str, object]:
    """Return strict scores of all runs together, and relaxed F1."""
    by_run = [overall_tallies(semeval_tallies(pair_up(gold, run), [])) for run in runs]
    rows = [_mean([tallies[scheme] for tallies in by_run]) for scheme in ("strict", "relaxed")]
    strict, relaxed = score_table(rows, clusters_of(gold), *resampling, {}).iter_rows(named=True)
    names = (*MEASURED, "no_interval")
    return {name: strict.get(name) for name in names} | {"relaxed_f1": relaxed["f1"]}


def _mean(tallies: Sequence[Tally]) -> Tally:
    """Return the mean of the runs' tallies, whose ratios are those of all counts together."""
    arrays = zip(*(tally.arrays() for tally in tallies), strict=True)
    recalled, possible, precise, actual = (np.mean(each, axis=0) for each in arrays)
    first = tallies[0]
    return Tally(
        *(first.scorer, first.scheme, first.stratum, first.label),
        *(recalled, possible, precise, actual),
    )


def _at_home(
    gold: Sequence[Instance],
    system: CrossSystem,
    home: Runs,
    elsewhere: Runs,
    resampling: tuple[int, int],
) -> dict[str, object]:
    """Return the scores of the system trained at home, and its lead."""
    scores = {f"home_{name}": score for name, score in _scores(gold, home, resampling).items()}
    # Two names: these are two trainings, which share no weights.
    sides = [System("home", None, home), System("elsewhere", None, elsewhere)]
    lead = compare(gold, sides, (), *resampling).row(0, named=True)  # strict F1, all lengths
    bounds = {f"drop_{name}": lead[name] for name in ("ci_low", "ci_high")}
    scores["home_seeds"] = len(home)
    tested = {name: lead[name] for name in ("p", "untested")}
    return scores | {"drop": lead["difference"], **bounds, **tested}
