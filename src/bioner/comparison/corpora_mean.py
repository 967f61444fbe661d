"""The mean difference between two systems over several corpora."""

import itertools
import logging
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple
from zlib import crc32

import numpy as np
import polars as pl

from bioner.comparison.compare import (
    ADJUSTED,
    COMPARISON,
    FEWEST_SEEDS,
    PAIR,
    Explored,
    adjusted,
    check_estimates,
    check_seeds,
)
from bioner.comparison.components import (
    NOISE,
    Covers,
    Difference,
    difference_of,
    leave_one_out,
    satterthwaite,
    scores_of,
    without_noise,
)
from bioner.comparison.counts import OVERALL, SystemCounts
from bioner.comparison.estimates import (
    DISAGREE,
    LEVEL,
    bootstrap_variance,
    quantile,
    variances_agree,
)
from bioner.comparison.measures import Scores, measures_of
from bioner.comparison.replicates import NullReplicates, chi_square, document_replicates
from bioner.data.instances import Instance
from bioner.data.near_duplicates import find_shared_documents
from bioner.errors import InputError
from bioner.io.tables import Schema, read_table
from bioner.scoring.limits import limit_of
from bioner.scoring.tally import Array, divided
from bioner.settings.catalogue import BEST

log = logging.getLogger(__name__)

SCORED = ("seeds", "baseline_seeds", "score", "baseline_score", "difference", "covers")
VARIANCE = ("standard_error", "df", "variance_documents", "df_documents", "variance_seeds")
TEST = (
    *("df_seeds", "ci_low", "ci_high", "p"),
    *("untested", "tests", "p_max_t", "critical", "critical_90"),
)
CORPORA_MEAN: Schema = {
    **{name: COMPARISON[name] for name in ("family", *PAIR, "measure")},
    "corpora": pl.Int64,
    "names": pl.String,
    "left_out": pl.String,
    "documents": pl.Int64,
    "shared_documents": pl.Int64,
    **{name: COMPARISON[name] for name in (*SCORED, *VARIANCE, *TEST)},
}
MeanSystem = tuple[tuple[str, str | None], Sequence[SystemCounts]]  # its name, and counts by corpus
PRIMARY = "primary"  # the family of the best LLM against the best encoder
BEST_ENCODER, BEST_LLM = BEST
SystemName = tuple[str, str]  # model and decoding
AT_ONCE = 500  # replicates


@dataclass(frozen=True, slots=True)
class CountedCorpus:
    """A test set, and the counts of trained systems on it.

    Attributes:
        name: Its name.
        documents: The number of each document, the same for documents that corpora share.
        kind: What a document is: `document` or `sentence`.
        systems: By model and decoding; runs of the units OVERALL.
        chosen: The best encoder and the best LLM, chosen on dev, by family; empty if unknown.
    """

    name: str
    documents: Array
    kind: str
    systems: Mapping[SystemName, SystemCounts]
    chosen: Mapping[str, SystemName]

    @property
    def limit(self) -> str | None:
        """The limit of a test that the test set falls below, if it does."""
        gold = next(iter(self.systems.values())).runs[0, :, 0, 1]
        return limit_of(round(gold.sum()), int((gold > 0).sum()), self.kind)


def number_documents(golds: Mapping[str, Sequence[Instance]]) -> dict[str, Array]:
    """Number the documents of several corpora; shared ones have the same number.

    Args:
        golds: The test sets by corpus.

    Returns:
        By corpus, the numbers of its documents in the order of `clusters_of`.
    """
    documents = {name: sorted({each.doc for each in gold}) for name, gold in golds.items()}
    names = [(corpus, doc) for corpus, docs in documents.items() for doc in docs]
    places = {name: place for place, name in enumerate(names)}
    numbers = np.arange(len(names))
    # Each finds a single one: several sentences may lie in one document, not the other way round.
    most_first = sorted(golds, key=lambda corpus: len(documents[corpus]), reverse=True)
    for one, other in itertools.combinations(most_first, 2):
        for doc, same in find_shared_documents(golds[one], golds[other]).items():
            numbers[numbers == numbers[places[one, doc]]] = numbers[places[other, same]]
    ends = np.cumsum([len(docs) for docs in documents.values()])[:-1]
    return dict(zip(golds, np.split(numbers, ends), strict=True))


def compare_corpora(
    corpora: Sequence[CountedCorpus], resamples: int = 10_000, seed: int = 0
) -> pl.DataFrame:
    """Compare every pair of systems by the mean of their differences over the corpora.

    The corpora are fixed. Documents are drawn, shared ones together, and seeds: trainings on
    several corpora are independent of each other. A corpus below the limits of a test is left out.

    Args:
        corpora: The corpora of the run.
        resamples: Replicates of max-T, and of the bootstrap that the jackknife must agree with.
        seed: Of their random numbers.

    Returns:
        A row per pair and measure (columns CORPORA_MEAN), the best LLM against the best encoder
        first; none if fewer than two corpora are large enough. Undefined values are null.

    Raises:
        InputError: Systems that share weights have different numbers of runs.
    """
    large = [corpus for corpus in corpora if corpus.limit is None]
    left_out = [f"{corpus.name} ({corpus.limit})" for corpus in corpora if corpus.limit]
    for text in left_out:
        log.warning("compare-corpora: too small a corpus is left out: %s", text)
    systems = _systems(large) if len(large) > 1 else []
    best = sum(name in BEST for (name, _), _ in systems)
    pairs = [(0, 1)] if best else []
    pairs += itertools.combinations(range(best, len(systems)), 2)
    if not pairs:
        log.warning("compare-corpora: no mean: it takes two such corpora, and two systems on all")
        return pl.DataFrame(schema=CORPORA_MEAN)
    study = _Study(large, systems, resamples, seed)
    measures = [measure.name for measure in study.scores.measures]
    sizes = np.unique_counts(np.concatenate([corpus.documents for corpus in large])).counts
    about = {
        "measure": measures,
        "corpora": len(large),
        "names": ", ".join(corpus.name for corpus in large),
        "left_out": ", ".join(left_out) or None,
        "documents": len(sizes),
        "shared_documents": int((sizes > 1).sum()),
    }
    tables: list[pl.DataFrame] = []
    families: dict[str, list[Explored]] = defaultdict(list)
    for one, other in pairs:
        found = study.compare(one, other)
        primary = one < best
        sides = _sides(study, systems, (one, other))
        columns = {"family": PRIMARY if primary else None, **about, **sides, **_estimates(found)}
        tables.append(pl.DataFrame(columns, strict=False))
        fewest = min(sides["seeds"], sides["baseline_seeds"])
        if not primary and (found.mean.covers == Covers.WEIGHTS or fewest >= FEWEST_SEEDS):
            mean, replicates = found.mean, study.replicates(one, other, found)
            for place, measure in enumerate(measures):
                if found.untested[place] is None:
                    row = (len(tables) - 1) * len(measures) + place
                    numbers = abs(mean.t[place]), mean.df[place], mean.p[place], replicates[place]
                    families[measure].append(Explored(row, *numbers))
    rows = [row for name, tests in families.items() for row in adjusted(name, tests)]
    table = pl.concat(tables, how="vertical_relaxed").with_row_index("row").fill_nan(None)
    return (
        table.join(pl.DataFrame(rows, schema=ADJUSTED), on="row", how="left", suffix="_explored")
        .with_columns(family=pl.coalesce("family", "family_explored"))
        .select(pl.col(name).cast(kind) for name, kind in CORPORA_MEAN.items())
    )


def read_corpora_mean(path: Path) -> pl.DataFrame:
    """Read and check a table of mean differences."""
    required = ["model", "baseline_model", "measure", "corpora", "names", "seeds", "baseline_seeds"]
    table = read_table(path, CORPORA_MEAN, [*required, "difference", "covers"])
    remedy = "Remake it by `bioner compare-corpora`."
    if table.select(*PAIR, "measure").is_duplicated().any():
        raise InputError(path, "a comparison twice", "each once", remedy)
    explored = pl.col("family").is_not_null() & (pl.col("family") != PRIMARY)
    check_estimates(path, table, explored, remedy)
    return table


class MeanDifference(NamedTuple):
    """The differences between two systems by corpus, their mean, and why it is not tested."""

    parts: Sequence[Difference]
    mean: Difference
    untested: Sequence[str | None]


class _Study:
    """Scores of systems on several corpora, and what documents and seeds do to their means."""

    def __init__(
        self,
        corpora: Sequence[CountedCorpus],
        systems: Sequence[MeanSystem],
        resamples: int,
        seed: int,
    ) -> None:
        measures = [each for each in measures_of(OVERALL) if each.name.endswith("f1")]
        self.scores = Scores(OVERALL, measures)
        # By corpus, then by system.
        self._counts = [[counts[place] for _, counts in systems] for place in range(len(corpora))]
        self._scores = [[scores_of(each, self.scores) for each in row] for row in self._counts]
        self._active = [
            [self.scores.active(each.runs.sum(0)) for each in row] for row in self._counts
        ]
        self._resampled = [
            document_replicates(row, self.scores, resamples, seed) for row in self._counts
        ]
        self._null = [
            NullReplicates(row, resamples, crc32(f"{seed} {corpus.name}".encode()))
            for row, corpus in zip(self._counts, corpora, strict=True)
        ]
        self.means = np.mean([[each.pooled for each in row] for row in self._scores], axis=0)
        # What each document adds to the means, documents x systems x measures. A document that
        # corpora share adds to each of them.
        numbers = [corpus.documents for corpus in corpora]
        found, places = np.unique(np.concatenate(numbers), return_inverse=True)
        self._added = np.zeros((len(found), *self.means.shape))
        ends = np.cumsum([len(each) for each in numbers])[:-1]
        for place, row in zip(np.split(places, ends), self._scores, strict=True):
            added = np.stack([leave_one_out(each.without) for each in row], axis=1)
            np.add.at(self._added, place, added / len(corpora))
        draw = np.random.default_rng([seed, 5])
        parts = [min(AT_ONCE, resamples - start) for start in range(0, resamples, AT_ONCE)]
        flat = self._added.reshape(len(found), -1)
        drawn = np.concatenate([draw.standard_normal((size, len(found))) @ flat for size in parts])
        self._drawn = drawn.T.reshape(*self.means.shape, resamples)
        self._spread = draw.standard_normal(resamples)

    def compare(self, one: int, other: int) -> MeanDifference:
        """Compare two systems, given by their places."""
        parts, bootstrap = [], []
        rows = zip(self._counts, self._scores, self._active, self._resampled, strict=True)
        for counts, scores, active, resampled in rows:
            pair, sides = (counts[one], counts[other]), (scores[one], scores[other])
            check_seeds(*pair)
            parts.append(difference_of(pair, sides, active[one] | active[other]))
            drawn = resampled[one] - resampled[other]
            bootstrap.append(bootstrap_variance(drawn, len(active[one])))
        jackknife = np.sum([part.documents for part in parts], axis=0)
        agree = variances_agree(jackknife, np.sum(bootstrap, axis=0))
        added = self._added[:, one] - self._added[:, other]
        mean = _mean(parts, (added**2).sum(0))
        single = [len(row[place].runs) == 1 for row in self._counts for place in (one, other)]
        if any(single):
            none = np.zeros_like(mean.seeds)
            mean = replace(mean, covers=Covers.WEIGHTS, seeds=none, df_seeds=none + np.nan)
        fault = "one seed" if any(single) and not all(single) else None
        untested = [
            "no variance" if np.isnan(p) else fault if same else DISAGREE
            for p, same in zip(mean.p, agree, strict=True)
        ]
        return MeanDifference(parts, mean, untested)

    def replicates(self, one: int, other: int, found: MeanDifference) -> Array:
        """Draw |t| of two systems as if their means did not differ, measures x replicates."""
        mean = found.mean
        change = self._drawn[one] - self._drawn[other]
        spread = mean.documents[:, None] * chi_square(self._spread, mean.df_documents[:, None])
        if mean.covers != Covers.WEIGHTS:
            for part, scores, null in zip(found.parts, self._scores, self._null, strict=True):
                sides = scores[one], scores[other]
                added, variance = null.seeds((one, other), part, sides, range(len(change)))
                change = change + added / len(found.parts)
                spread = spread + variance / len(found.parts) ** 2
        return np.where(change == 0, 0.0, divided(np.abs(change), np.sqrt(spread), np.inf))


def _systems(corpora: Sequence[CountedCorpus]) -> list[MeanSystem]:
    """Return the systems that all corpora have, with their counts on each.

    The best LLM and the best encoder, which may be other systems on each, come first.
    """
    found: list[MeanSystem] = []
    if all(corpus.chosen.keys() >= set(BEST.values()) for corpus in corpora):
        for name in (BEST_LLM, BEST_ENCODER):
            chosen = [corpus.systems[corpus.chosen[BEST[name]]] for corpus in corpora]
            found.append(((name, None), chosen))
    # LLMs first, so that a positive difference favours them.
    for system in sorted(corpora[0].systems, key=lambda system: system[1] == "direct"):
        if all(system in corpus.systems for corpus in corpora):
            found.append((system, [corpus.systems[system] for corpus in corpora]))
    return found


def _sides(
    study: _Study,
    systems: Sequence[MeanSystem],
    places: tuple[int, int],
) -> dict[str, Any]:
    """Return the columns about both systems."""
    columns: dict[str, Any] = {}
    for side, place in zip(("", "baseline_"), places, strict=True):
        (columns[f"{side}model"], columns[f"{side}decoding"]), counts = systems[place]
        columns[f"{side}seeds"] = min(len(each.runs) for each in counts)
        columns[f"{side}score"] = study.means[place]
    return columns


def _estimates(found: MeanDifference) -> dict[str, object]:
    """Return the columns about the mean difference, its variance, interval and test."""
    mean = found.mean
    error = np.sqrt(mean.variance)
    half = quantile(LEVEL, mean.df) * error
    interval = {
        "standard_error": error,
        "df": mean.df,
        "ci_low": mean.value - half,
        "ci_high": mean.value + half,
    }
    estimated = [reason in (None, "one seed") for reason in found.untested]
    tested = [reason is None for reason in found.untested]
    return {
        "difference": mean.value,
        "covers": str(mean.covers),
        "variance_documents": mean.documents,
        "df_documents": mean.df_documents,
        "variance_seeds": mean.seeds,
        "df_seeds": mean.df_seeds,
        **{name: np.where(estimated, values, np.nan) for name, values in interval.items()},
        "p": np.where(tested, mean.p, np.nan),
        "untested": list(found.untested),
    }


def _mean(parts: Sequence[Difference], documents: Array) -> Difference:
    """Average the differences on several corpora.

    Args:
        parts: The differences.
        documents: The variance of their mean from documents. Its degrees of freedom are those of
            separate corpora, without the covariance of shared documents.
    """

    def each(name: str) -> Array:
        return np.array([getattr(part, name) for part in parts])

    covers = {part.covers for part in parts}
    df = satterthwaite(each("documents"), each("df_documents"))
    return Difference(
        covers=covers.pop() if len(covers) == 1 else Covers.SEPARATE,
        value=without_noise(each("value").mean(0)),
        documents=np.where(documents < NOISE**2, 0.0, documents),
        df_documents=np.nan_to_num(df, nan=1.0),  # without variance they have no effect
        seeds=each("seeds").sum(0) / len(parts) ** 2,
        df_seeds=satterthwaite(each("seeds"), each("df_seeds")),
        interaction=each("interaction").sum(0) / len(parts) ** 2,
    )
