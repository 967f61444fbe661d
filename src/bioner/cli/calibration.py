"""Command of calibration: calibrate."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from bioner.cli.options import MOST, Gold, Out, each_once, keep_apart, named
from bioner.errors import InputError


def calibrate(
    gold: Gold,
    run: Annotated[
        list[str],
        typer.Option(
            help="SEED=FOLDER with raw.jsonl.gz and predictions.jsonl, and those of dev in dev/;"
            " again for each seed."
        ),
    ],
    out: Out,
    bins: Annotated[Path, typer.Option(help="Where to write the bins of the reliability curve.")],
    dev: Annotated[
        Path | None, typer.Option(help="Instances of dev: also fit a temperature on them.")
    ] = None,
    dataset: str | None = None,
    model: str | None = None,
    decoding: str | None = None,
    bootstrap: Annotated[
        int, typer.Option(min=0, max=MOST, help="Resamples for the intervals.")
    ] = 1000,
    bootstrap_seed: Annotated[int, typer.Option(min=0)] = 0,
) -> None:
    """Calibration of a system's predicted entities, before and after temperature scaling."""
    import polars as pl

    from bioner.data.instances import Instance, read_instances, read_predictions
    from bioner.data.raw_outputs import read_raw
    from bioner.io.tables import write_table
    from bioner.results import layout
    from bioner.scoring.calibration import calibrate
    from bioner.scoring.confidences import EntityConfidences, entity_confidences
    from bioner.scoring.score import ScoredRun

    given = [named("--run", text, "SEED=FOLDER", "42=results/D/M/seed42/direct") for text in run]
    seeds = [seed for seed, _ in given]
    for seed in seeds:
        if not (seed.isascii() and seed.isdigit()):
            raise InputError("--run", f"the seed {seed!r}", "a number", "Give SEED=FOLDER.")
        if seeds.count(seed) > 1:
            raise InputError("--run", f"seed {seed} twice", "each seed once", "Remove one.")
    folders = [Path(folder) for _, folder in given]
    each_once("--run", folders)
    for option, path, other in (("--out", out, bins), ("--bins", bins, out)):
        keep_apart(path, gold, dev, *folders, other, option=option)
    instances = read_instances(gold)
    instances_of_dev = read_instances(dev) if dev else None

    def read(folder: Path, gold: Sequence[Instance]) -> EntityConfidences | None:
        predictions = read_predictions(folder / layout.PREDICTIONS, gold)
        return entity_confidences(gold, read_raw(folder / layout.RAW, gold), predictions)

    made = []
    for seed, folder in zip(seeds, folders, strict=True):
        test = read(folder, instances)
        on_dev = read(folder / "dev", instances_of_dev) if test and instances_of_dev else None
        scored = ScoredRun(dataset, model, int(seed), decoding)
        made.append(calibrate(scored, test, on_dev, bootstrap, bootstrap_seed))
    write_table(out, pl.concat([each.row for each in made]))
    write_table(bins, pl.concat([each.bins for each in made]))
