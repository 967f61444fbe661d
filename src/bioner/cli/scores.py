"""Commands of scores: score, gather, compare."""

from pathlib import Path
from typing import Annotated

import typer

from bioner.cli.options import Gold, LengthCuts, Out, keep_apart
from bioner.errors import InputError


def score(
    gold: Gold,
    pred: Annotated[Path, typer.Option(help="Predictions (JSON Lines, plain or .gz).")],
    out: Out,
    dataset: str | None = None,
    model: str | None = None,
    seed: int | None = None,
    decoding: str | None = None,
    length_cut: LengthCuts = None,
    per_type: Annotated[bool, typer.Option(help="Also one row an entity type.")] = True,
    train: Annotated[
        Path | None,
        typer.Option(help="Training instances: adds seen and unseen mentions, and new sentences."),
    ] = None,
    alignment: Annotated[
        Path | None, typer.Option(help="What `realign` wrote beside the predictions: adds scores without its repair.")
    ] = None,
    bootstrap: Annotated[int, typer.Option(min=0, help="Resamples for the intervals of F1.")] = 0,
    bootstrap_seed: Annotated[int, typer.Option(min=0)] = 0,
) -> None:
    """One prediction file scored in every way: official, by length, the paper's, other conventions."""
    from bioner.instances import read_instances, read_predictions
    from bioner.realign import read_orphans
    from bioner.scoring.score import score
    from bioner.tables import write_table

    keep_apart(out, gold, pred, train, alignment)
    instances = read_instances(gold)
    known = read_instances(train) if train else None
    table = score(
        instances,
        read_predictions(pred, instances, known),
        dataset=dataset,
        model=model,
        seed=seed,
        decoding=decoding,
        length_cuts=sorted(set(length_cut or [1, 2])),
        per_type=per_type,
        train=known,
        orphans=read_orphans(alignment, instances) if alignment else None,
        bootstrap=bootstrap,
        bootstrap_seed=bootstrap_seed,
    )
    write_table(out, table)


def gather(scores: Annotated[list[Path], typer.Argument(help="Score files.")], out: Out) -> None:
    """The score files of a cell as one."""
    import polars as pl

    from bioner.scoring.score import read_scores
    from bioner.tables import write_table

    keep_apart(out, *scores)
    if len({path.resolve() for path in scores}) < len(scores):
        raise InputError("gather", "a score file twice", "each once", "Remove one of the two.")
    write_table(out, pl.concat([read_scores(path) for path in scores]))


def compare(
    gold: Gold,
    pred: Annotated[list[Path], typer.Option(help="Predictions of one system; again for each seed.")],
    versus: Annotated[list[Path], typer.Option(help="Predictions of the other; again for each seed.")],
    out: Out,
    dataset: str | None = None,
    model: str | None = None,
    decoding: str | None = None,
    versus_model: str | None = None,
    versus_decoding: str | None = None,
    length_cut: LengthCuts = None,
    resamples: Annotated[int, typer.Option(min=1)] = 10_000,
    resampling_seed: Annotated[int, typer.Option(min=0)] = 0,
) -> None:
    """Strict F1 of two systems, their difference, its 95 % interval and p-value."""
    import polars as pl

    from bioner.instances import read_instances, read_predictions
    from bioner.scoring.compare import COMPARISON, compare
    from bioner.tables import write_table

    keep_apart(out, gold, *pred, *versus)
    instances = read_instances(gold)
    ours, theirs = ([read_predictions(path, instances) for path in paths] for paths in (pred, versus))
    whose = {
        "dataset": dataset,
        "model": model,
        "decoding": decoding,
        "versus_model": versus_model,
        "versus_decoding": versus_decoding,
    }
    rows = compare(instances, ours, theirs, sorted(set(length_cut or [1, 2])), resamples, resampling_seed)
    write_table(out, pl.DataFrame([whose | row for row in rows], schema=COMPARISON))
