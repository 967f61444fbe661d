"""Command of planning a comparison: power."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer

from bioner.cli.options import each_once, keep_apart
from bioner.data.instances import read_instances, read_predictions
from bioner.errors import InputError
from bioner.scoring.resampling import clusters_of

if TYPE_CHECKING:
    from bioner.comparison.power import Disagreement, SeedVariance


def power(
    documents: Annotated[int, typer.Option(min=2, help="Documents of the test set.")],
    seeds: Annotated[int, typer.Option(min=1, help="Of each of the two systems.")],
    seed_deviation: Annotated[
        list[float] | None,
        typer.Option(
            min=0,
            max=100,
            help="Standard deviation of F1 over seeds, in points; again for each to try. By default"
            " the pilot's.",
        ),
    ] = None,
    paired_seeds: Annotated[
        bool,
        typer.Option(
            "--paired-seeds",
            help="The two share weights: --seed-deviation is that of their difference.",
        ),
    ] = False,
    gold: Annotated[Path | None, typer.Option(help="Instances that a pair predicted.")] = None,
    pred: Annotated[
        list[Path] | None, typer.Option(help="Predictions of one; again for each seed.")
    ] = None,
    versus: Annotated[
        list[Path] | None, typer.Option(help="Predictions of the other; again for each seed.")
    ] = None,
    comparison: Annotated[
        Path | None, typer.Option(help="A pilot: what `bioner compare` wrote.")
    ] = None,
    model: Annotated[str | None, typer.Option(help="One system of the pilot.")] = None,
    decoding: Annotated[str | None, typer.Option(help="Its decoding.")] = None,
    baseline_model: Annotated[str | None, typer.Option(help="The other system.")] = None,
    baseline_decoding: Annotated[str | None, typer.Option(help="Its decoding.")] = None,
    disagreement: Annotated[
        tuple[float, float] | None,
        typer.Option(help="From, to: percent of entities that only one of the two gets right."),
    ] = None,
    entities: Annotated[
        int | None, typer.Option(min=1, help="With --disagreement: entities of the test set.")
    ] = None,
    design_effect: Annotated[
        float | None,
        typer.Option(
            min=1,
            max=1000,
            help="With --disagreement: by how much documents raise the variance. By default 1.",
        ),
    ] = None,
    level: Annotated[float, typer.Option(min=0.0001, max=0.5, help="Of the test.")] = 0.05,
    tests: Annotated[
        int, typer.Option(min=1, help="Tests of the family; they share the level (Bonferroni).")
    ] = 1,
    out: Annotated[Path | None, typer.Option(help="Also write the table (.csv).")] = None,
) -> None:
    """What a comparison could show, before training.

    The smallest difference in F1 that 80 % of studies would detect, and the smallest margin within
    which 80 % would find equal systems equivalent. How much the systems disagree comes from
    predictions of a similar pair (--gold), a pilot (--comparison) or a range (--disagreement).
    """
    from bioner.comparison.power import pilot_of, power_table
    from bioner.io.tables import as_markdown, check_table, write_table

    if out is not None:
        check_table(out)
        keep_apart(out, gold, comparison, *(pred or []), *(versus or []))
    if sum(source is not None for source in (gold, comparison, disagreement)) != 1:
        expected = "one of --gold, --comparison and --disagreement"
        remedy = "Say how much the systems disagree."
        raise InputError("power", "no or several sources", expected, remedy)
    for option, source, belongs, given in (
        ("--pred", "--gold", gold, pred),
        ("--versus", "--gold", gold, versus),
        ("--model", "--comparison", comparison, model),
        ("--decoding", "--comparison", comparison, decoding),
        ("--baseline-model", "--comparison", comparison, baseline_model),
        ("--baseline-decoding", "--comparison", comparison, baseline_decoding),
        ("--entities", "--disagreement", disagreement, entities),
        ("--design-effect", "--disagreement", disagreement, design_effect),
    ):
        if given and belongs is None:
            remedy = "Leave it out: it would have no effect."
            raise InputError(option, f"no {source}", f"{source} with {option}", remedy)
    estimated = None
    if gold:
        disagreements = [_disagreement(gold, pred or [], versus or [])]
    elif comparison:
        sides = ((model, decoding), (baseline_model, baseline_decoding))
        pilot, estimated = pilot_of(_pilot(comparison, sides))
        disagreements = [pilot]
    else:
        disagreements = _guesses(
            disagreement or (0.0, 0.0), entities, documents, design_effect or 1.0
        )
    if seeds == 1 and (seed_deviation or paired_seeds):
        remedy = "Leave out what is said of the deviation over seeds."
        raise InputError("--seeds", "1", "several", remedy)
    variances = _seed_variances(seeds, seed_deviation, paired_seeds, estimated)
    table = power_table(documents, seeds, disagreements, variances, level / tests)
    if out is not None:
        write_table(out, table)
    shown = [column.name for column in table if column.null_count() < len(table)]
    each = f" in each of {tests} tests" if tests > 1 else ""
    notes = [f"Points of F1, at 80 % power and an error level of {level / tests:.2g}{each}."]
    if seeds == 1:
        notes.append("With one seed per system, they are about these weights, not about training.")
    text = as_markdown(table.select(name for name in shown if name != "level"))
    typer.echo("\n".join([text, "", *notes]))


def _guesses(
    percents: tuple[float, float], entities: int | None, documents: int, design_effect: float
) -> "list[Disagreement]":
    """Return the disagreements at both ends of a range of percents."""
    from bioner.comparison.power import disagreement_of_share

    if not 0 < percents[0] <= percents[1] <= 100:
        found = " ".join(f"{end:g}" for end in percents)
        remedy = "For example --disagreement 5 10."
        raise InputError("--disagreement", found, "0 < from <= to <= 100", remedy)
    if entities is None:
        raise InputError("--entities", "none", "one with --disagreement", "Say how many.")
    return [
        disagreement_of_share(percent, entities, documents, design_effect)
        for percent in dict.fromkeys(percents)
    ]


def _seed_variances(
    seeds: int,
    deviations: Sequence[float] | None,
    paired: bool,
    estimated: "SeedVariance | None",
) -> "list[SeedVariance]":
    """Return the variances of seeds that are stated, else that of the pilot."""
    from bioner.comparison.power import SeedVariance

    if deviations:
        return [SeedVariance(each, 1 if paired else 2) for each in dict.fromkeys(deviations)]
    if seeds == 1:
        return [SeedVariance(0.0, 0)]
    if estimated and not paired:
        return [estimated]
    expected = "one, unless a pilot has as many seeds, two or more, of both systems"
    raise InputError("--seed-deviation", "none", expected, "State it, in points of F1.")


def _disagreement(gold: Path, pred: Sequence[Path], versus: Sequence[Path]) -> "Disagreement":
    """Return the disagreement of a pair that predicted a test set."""
    from bioner.comparison.counts import count_overall
    from bioner.comparison.power import disagreement_of_runs

    if not (pred and versus):
        remedy = "Name predictions of both."
        raise InputError("power", "one system", "--pred and --versus with --gold", remedy)
    instances = read_instances(gold)
    clusters, counts = clusters_of(instances), []
    for paths in (pred, versus):
        each_once("power", paths)
        runs = [read_predictions(path, instances) for path in paths]
        counts.append(np.array([count_overall(instances, run, clusters) for run in runs]))
    return disagreement_of_runs(*counts)


def _pilot(path: Path, sides: Sequence[tuple[str | None, str | None]]) -> dict[str, Any]:
    """Return the row of strict F1 overall of a pair, given by models and decodings."""
    import polars as pl

    from bioner.comparison.compare import read_comparisons

    rows = read_comparisons(path).filter(measure="f1", stratum="all", label="all")
    either = pl.lit(False)
    for prefixes in (("", "baseline_"), ("baseline_", "")):
        wanted = {
            f"{prefix}{column}": value
            for prefix, side in zip(prefixes, sides, strict=True)
            for column, value in zip(("model", "decoding"), side, strict=True)
            if value is not None
        }
        either |= pl.all_horizontal(pl.lit(True), *(pl.col(n) == v for n, v in wanted.items()))
    found = rows.filter(either)
    if len(found) != 1:
        remedy = "Name the pair by --model, --baseline-model and their decodings."
        raise InputError(path, f"{len(found)} comparisons of this pair", "one", remedy)
    return found.row(0, named=True)
