"""Commands of scores: score, merge-scores, select-best, ensemble."""

import logging
from pathlib import Path
from typing import Annotated, Any

import typer

from bioner.cli.options import (
    MOST,
    Gold,
    LengthCuts,
    Out,
    each_once,
    files_by_system,
    keep_apart,
    named_file,
)
from bioner.data.instances import read_instances, read_predictions, write_predictions
from bioner.errors import InputError
from bioner.scoring.ensemble import Combination
from bioner.scoring.ensemble import combine as combined

log = logging.getLogger(__name__)


def score(
    gold: Gold,
    pred: Annotated[Path, typer.Option(help="Predictions (JSON Lines, plain or .gz).")],
    out: Out,
    dataset: str | None = None,
    model: str | None = None,
    seed: Annotated[int | None, typer.Option(min=0, max=2**32 - 1)] = None,
    decoding: str | None = None,
    length_cut: LengthCuts = None,
    per_type: Annotated[bool | None, typer.Option(help="Also one row an entity type.")] = None,
    train: Annotated[
        Path | None,
        typer.Option(help="Training instances: adds seen and unseen mentions, and new sentences."),
    ] = None,
    alignment: Annotated[
        Path | None,
        typer.Option(
            help="What `realign` wrote beside the predictions: adds scores without its repair."
        ),
    ] = None,
    bootstrap: Annotated[
        int | None, typer.Option(min=0, max=MOST, help="Resamples for the intervals of F1.")
    ] = None,
    bootstrap_seed: Annotated[int | None, typer.Option(min=0)] = None,
) -> None:
    """One prediction file scored in every way: official, by length, the paper's, other
    conventions.
    """
    from bioner.io.tables import write_table
    from bioner.realignment.realign import read_orphans
    from bioner.scoring.score import ScoredRun, score
    from bioner.settings.config import Scoring

    keep_apart(out, gold, pred, train, alignment)
    if train and train.resolve() == gold.resolve():
        log.warning("score: --train is the gold itself: every mention is seen, no sentence is new")
    instances = read_instances(gold)
    known = read_instances(train) if train else None
    predictions = read_predictions(pred, instances, known)
    given: dict[str, Any] = {
        "length_cuts": length_cut and tuple(dict.fromkeys(length_cut)),
        "per_type": per_type,
        "bootstrap": bootstrap,
        "bootstrap_seed": bootstrap_seed,
    }
    table = score(
        instances,
        predictions,
        ScoredRun(dataset, model, seed, decoding),
        Scoring(**{name: value for name, value in given.items() if value is not None}),
        known,
        read_orphans(alignment, predictions) if alignment else None,
    )
    write_table(out, table)


def merge_scores(
    scores: Annotated[list[Path], typer.Argument(help="Score files.")], out: Out
) -> None:
    """The score files of a cell as one."""
    from bioner.io.tables import write_table
    from bioner.scoring.score import concat_scores, read_scores

    keep_apart(out, *scores)
    each_once("gather", scores)
    write_table(out, concat_scores([read_scores(path) for path in scores]))


def select_best(
    out: Out,
    encoder: Annotated[
        list[Path] | None,
        typer.Option(help="Dev scores of a reported run of an encoder; again for each."),
    ] = None,
    llm: Annotated[
        list[Path] | None,
        typer.Option(help="Dev scores of a reported run of an LLM; again for each."),
    ] = None,
    searched_encoder: Annotated[
        list[str] | None,
        typer.Option(help="MODEL:DECODING=search.csv, in place of --encoder; again for each."),
    ] = None,
    searched_llm: Annotated[
        list[str] | None,
        typer.Option(help="MODEL:DECODING=search.csv, in place of --llm; again for each."),
    ] = None,
    dataset: Annotated[
        str | None, typer.Option(help="The corpus's name, which search.csv does not have.")
    ] = None,
) -> None:
    """The best encoder and the best LLM by strict F1 on dev: of their searches, or else of their
    reported runs.
    """
    from bioner.io.tables import write_table
    from bioner.scoring.selection import SearchedCandidate, select
    from bioner.training.search import read_search

    scored = {family: paths for family, paths in (("encoder", encoder), ("llm", llm)) if paths}
    searches = {
        family: files_by_system(f"--searched-{family}", given)
        for family, given in (("encoder", searched_encoder), ("llm", searched_llm))
        if given
    }
    if not scored and not searches:
        raise InputError(
            "select-best",
            "no score file",
            "--encoder or --llm, or --searched-encoder or --searched-llm",
            "Name dev/scores.csv or search.csv files.",
        )
    if searches and not dataset:
        remedy = "Add it: search.csv does not say which corpus it is of."
        raise InputError("select-best", "a search without --dataset", "the corpus's name", remedy)
    files = [path for paths in scored.values() for path in paths]
    files += [path for found in searches.values() for paths in found.values() for path in paths]
    keep_apart(out, *files)
    each_once("select-best", files)
    searched: dict[str, list[SearchedCandidate]] = {}
    for family, found in searches.items():
        for (model, decoding), paths in found.items():
            if len(paths) > 1:
                several = f"{len(paths)} searches of {model}"
                raise InputError(f"--searched-{family}", several, "one", "Remove the others.")
            table = read_search(paths[0])
            candidate = SearchedCandidate(model, decoding, table["dev_strict_f1"][0], len(table))
            searched.setdefault(family, []).append(candidate)
    write_table(out, select(scored, searched, dataset))


def ensemble(
    gold: Gold,
    out: Out,
    combine: Annotated[Combination, typer.Option(help="What becomes of the spans.")],
    pred: Annotated[
        list[Path] | None, typer.Option(help="Predictions of a member; again for each.")
    ] = None,
    candidate: Annotated[
        list[str] | None,
        typer.Option(help="MODEL=predictions: a member where --selection has it chosen."),
    ] = None,
    selection: Annotated[Path | None, typer.Option(help="What `select` wrote.")] = None,
) -> None:
    """Predictions of several systems put together, span by span."""
    from bioner.scoring.selection import chosen_of, read_selection

    given = [named_file("--candidate", text) for text in candidate or []]
    candidates = dict(given)
    if len(candidates) < len(given):
        raise InputError("--candidate", "a model twice", "each once", "Remove one of the two.")
    files = [*(pred or []), *candidates.values()]
    keep_apart(out, gold, selection, *files)
    each_once("ensemble", files)
    if (selection is None) != (not candidates):
        raise InputError(
            "ensemble",
            "one of them alone",
            "--selection with --candidate",
            "Give both, or members by --pred.",
        )
    members = list(pred or [])
    if selection is not None:
        chosen = chosen_of(read_selection(selection), candidates, selection)
        members += [candidates[model] for model in chosen]
    if len(members) < 2:
        raise InputError(
            "ensemble", f"{len(members)} member", "at least two", "Name more predictions."
        )
    instances = read_instances(gold)
    write_predictions(
        out, combined(instances, [read_predictions(path, instances) for path in members], combine)
    )
