"""What the scores on a corpus cannot show: notes for the page."""

import math
from collections.abc import Iterator, Mapping

import polars as pl

from bioner.settings.model_entry import ModelEntry

# Unseen mentions then move recall by five points at most.
NEARLY_ALL = 0.95


def note_known_mentions(corpora: pl.DataFrame) -> Iterator[tuple[str, str]]:
    """Yield each corpus whose test mentions all, or nearly all, occur in train, with a warning.

    Args:
        corpora: The table of corpora; `mentions_seen_in_train` is the share of test mentions whose
            lower-cased text and type are those of a training mention.
    """
    known = corpora.filter(pl.col("mentions_seen_in_train") >= NEARLY_ALL)
    for corpus, share in known.select("dataset", "mentions_seen_in_train").iter_rows():
        percent = f"{math.floor(1000 * share) / 10:g} % of the mentions of its test set occur"
        yield (
            corpus,
            f"{'every mention of its test set occurs' if share == 1 else percent} in train with the"
            " same type: a dictionary of train can find them, and scores do not show how systems"
            " do on entities that they have not seen.",
        )


def note_merging(runs: pl.DataFrame) -> Iterator[tuple[str, str]]:
    """Yield each corpus on whose dev set merging changes a model's predictions too much.

    Args:
        runs: The trainings (RUNS in results.runs).
    """
    for corpus, model, seed, fault in (
        runs.drop_nulls("merging").select("dataset", "model", "seed", "merging").iter_rows()
    ):
        yield (
            corpus,
            f"merging the weights of {model}, seed {seed}, changes its predictions on dev: {fault};"
            " with predict.weights: as-trained it predicts unmerged.",
        )


def note_possible_readers(corpora: pl.DataFrame) -> Iterator[tuple[str, str]]:
    """Yield each corpus that models may have read in pretraining, with a sentence that names them.

    Args:
        corpora: The table of corpora.
    """
    read = corpora.drop_nulls("may_have_read").select("dataset", "published", "may_have_read")
    for corpus, published, models in read.iter_rows():
        yield (
            corpus,
            f"published in {published}; models that may have read it, by the end of their"
            f" pretraining text: {models}.",
        )


def find_possible_readers(published: int, models: Mapping[str, ModelEntry]) -> str | None:
    """Name the pretrained models whose text does not end before a corpus was published.

    Args:
        published: The year of the corpus.
        models: Catalogue entries by name. Models from scratch, controls and ensembles do not count.

    Returns:
        Names with their training cut-offs (`llama-8b (2023-12), mistral-7b (unknown)`), or None.
    """
    cutoffs = {
        name: entry.training_cutoff
        for name, entry in models.items()
        if entry.is_trained and entry.source.hub
    }
    return (
        ", ".join(
            f"{name} ({month or 'unknown'})"
            for name, month in cutoffs.items()
            if month is None or int(month[:4]) >= published
        )
        or None
    )
