"""Commands of scores: score, merge-scores, compare, compare-all, cross, select-best, ensemble."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from bioner.cli.options import Gold, LengthCuts, Out, each_once, json_object, keep_apart, named
from bioner.data.instances import read_instances, read_predictions, write_predictions
from bioner.errors import InputError
from bioner.scoring.ensemble import Combination
from bioner.scoring.ensemble import combine as combined

log = logging.getLogger(__name__)

MOST = 1_000_000  # resamples: all are in memory until the percentiles are computed
Resamples = Annotated[
    int, typer.Option(min=1, max=MOST, help="Of the bootstrap and of approximate randomisation.")
]
Deterministic = Annotated[
    list[str] | None,
    typer.Option(help="A model without randomness, which has one run; repeat per model."),
]
Members = Annotated[
    list[str] | None,
    typer.Option(help="ENSEMBLE=MODEL: a model whose weights an ensemble uses; repeat for each."),
]
ResamplingSeed = Annotated[int, typer.Option(min=0, max=2**32 - 1)]


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


def compare(
    gold: Gold,
    pred: Annotated[
        list[Path], typer.Option(help="Predictions of one system; again for each seed.")
    ],
    versus: Annotated[
        list[Path], typer.Option(help="Predictions of the other; again for each seed.")
    ],
    out: Out,
    dataset: str | None = None,
    model: str | None = None,
    decoding: str | None = None,
    versus_model: str | None = None,
    versus_decoding: str | None = None,
    length_cut: LengthCuts = None,
    deterministic: Deterministic = None,
    member: Members = None,
    resamples: Resamples = 10_000,
    resampling_seed: ResamplingSeed = 0,
) -> None:
    """Compare two systems: differences, intervals and p-values of F1 and recall.

    Systems with the same --model and --versus-model share weights: name their seeds in the same
    order.
    """
    systems = [(model, decoding, pred), (versus_model, versus_decoding, versus)]
    how = deterministic or [], member or [], length_cut, resamples, resampling_seed
    _compare(gold, systems, out, dataset, *how)


def compare_all(
    gold: Gold,
    system: Annotated[
        list[str],
        typer.Option(
            help="MODEL:DECODING=predictions; again for each system and each of its seeds."
        ),
    ],
    out: Out,
    dataset: str | None = None,
    length_cut: LengthCuts = None,
    deterministic: Deterministic = None,
    member: Members = None,
    resamples: Resamples = 10_000,
    resampling_seed: ResamplingSeed = 0,
) -> None:
    """Compare every pair of several systems, and adjust the p-values of exploration.

    Decodings of one model share weights: name their seeds in the same order.
    """
    systems = _systems("--system", system)
    if len(systems) < 2:
        raise InputError("--system", f"{len(systems)} system", "at least two", "Name another.")
    given = [(model, decoding, paths) for (model, decoding), paths in systems.items()]
    how = deterministic or [], member or [], length_cut, resamples, resampling_seed
    _compare(gold, given, out, dataset, *how)


def cross(
    train: Annotated[str, typer.Argument(help="The corpus the systems were trained on.")],
    test: Annotated[str, typer.Argument(help="The corpus whose test set they predicted.")],
    data: Annotated[
        Path, typer.Option(help="Folder that holds {train}/ and {test}/ (train.jsonl, …).")
    ],
    types: Annotated[
        str, typer.Option(help='Types to score, as JSON: {"common name": ["name in a corpus", …]}.')
    ],
    system: Annotated[
        list[str],
        typer.Option(
            help="MODEL:DECODING=FILE, predictions on that test set; repeat per system and seed."
        ),
    ],
    out: Out,
    home: Annotated[
        list[str] | None, typer.Option(help="The same for systems trained on the test corpus.")
    ] = None,
    record: Annotated[
        Path | None,
        typer.Option(
            help="Also write, as JSON, what was compared and which documents were left out."
        ),
    ] = None,
    resamples: Resamples = 10_000,
    resampling_seed: ResamplingSeed = 0,
) -> None:
    """Score systems trained on one corpus on the test set of another, and the drop from home.

    The drop is the F1 of the same systems trained on the test corpus (--home) minus theirs.
    Test documents that train or dev of the training corpus has are left out.
    """
    from bioner.comparison.cross import Corpus, CrossSystem, score_across
    from bioner.data.instances import SPLITS
    from bioner.io.checksums import sha256_of
    from bioner.io.files import write_json
    from bioner.io.tables import write_table
    from bioner.results.consistency import checksums_of
    from bioner.settings.config import Cross
    from bioner.settings.parse import parse

    sides = [_systems(*given) for given in (("--system", system), ("--home", home or []))]
    files = [path for side in sides for paths in side.values() for path in paths]
    folders = [data / train, data / test]
    keep_apart(out, *files, *folders)
    if record:
        keep_apart(record, *files, *folders, out, option="--record")
    each_once("cross", files)
    tree = {"train": train, "test": [test], "types": json_object("--types", types)}
    mapping = parse(Cross, tree, ["--types"]).types
    ours, theirs = (
        Corpus(name, {split: read_instances(data / name / f"{split}.jsonl") for split in SPLITS})
        for name in (train, test)
    )
    gold = theirs.splits["test"]
    elsewhere, at_home = (
        {name: [read_predictions(path, gold) for path in paths] for name, paths in side.items()}
        for side in sides
    )
    if lone := at_home.keys() - elsewhere.keys():
        found = "a system that --system does not name"
        raise InputError(
            f"--home {':'.join(min(lone))}", found, "one of its systems", "Add it there."
        )
    systems = [CrossSystem(*name, runs, at_home.get(name, ())) for name, runs in elsewhere.items()]
    table, left_out = score_across(ours, theirs, systems, mapping, resamples, resampling_seed)
    write_table(out, table)
    if record:
        made = {
            "data": {name: checksums_of(data / name) for name in (train, test)},
            "predictions": sorted(map(sha256_of, files)),
            "left_out": left_out,
        }
        write_json(record, made)
    log.info(
        "cross: left out %d documents of %s's test set that are in %s", len(left_out), test, train
    )


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
        family: _systems(f"--searched-{family}", given)
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

    given = [_named("--candidate", text) for text in candidate or []]
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


def _named(option: str, text: str) -> tuple[str, Path]:
    name, path = named(option, text, "NAME=FILE", "bert-mini=predictions.jsonl")
    return name, Path(path)


def _systems(option: str, texts: Sequence[str]) -> dict[tuple[str, str], list[Path]]:
    """Return the files of each system, by model and decoding."""
    systems: dict[tuple[str, str], list[Path]] = {}
    for text in texts:
        name, path = _named(option, text)
        system = named(option, name, "MODEL:DECODING=FILE", "bert-mini:direct=p.jsonl", ":")
        systems.setdefault(system, []).append(path)
    return systems


def _compare(
    gold: Path,
    systems: Sequence[tuple[str | None, str | None, list[Path]]],
    out: Path,
    dataset: str | None,
    deterministic: Sequence[str],
    members: Sequence[str],
    length_cut: list[int] | None,
    resamples: int,
    resampling_seed: int,
) -> None:
    from bioner.comparison.compare import System, compare
    from bioner.io.tables import write_table

    keep_apart(out, gold, *(path for _, _, paths in systems for path in paths))
    for _, _, paths in systems:
        # A run twice would count as two seeds; both sides may share one.
        each_once("compare", paths)
    parts = [named("--member", text, "ENSEMBLE=MODEL", "vote=bert-mini") for text in members]
    known = {model for model, _, _ in systems}
    given = [("--deterministic", name) for name in deterministic]
    for option, name in given + [("--member", ensemble) for ensemble, _ in parts]:
        if name not in known:
            raise InputError(option, repr(name), "one of the systems", "Correct the name.")
    instances = read_instances(gold)
    read = [
        System(
            model,
            decoding,
            [read_predictions(path, instances) for path in paths],
            model in deterministic,
            frozenset(member for ensemble, member in parts if ensemble == model),
        )
        for model, decoding, paths in systems
    ]
    for system in read:
        if system.deterministic and len(system.runs) > 1:
            found = f"{len(system.runs)} runs of {system.model}"
            raise InputError("--deterministic", found, "one", "Name a single file for it.")
    cuts = sorted(set(length_cut or [1, 2]))
    write_table(out, compare(instances, read, cuts, resamples, resampling_seed, dataset))
