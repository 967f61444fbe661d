"""Commands of comparisons: compare, compare-all, cross, compare-corpora."""

import logging
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from bioner.cli.options import (
    Gold,
    LengthCuts,
    Out,
    each_once,
    files_by_system,
    json_object,
    keep_apart,
    named,
)
from bioner.data.instances import read_instances, read_predictions
from bioner.errors import InputError
from bioner.scoring.resampling import clusters_of

log = logging.getLogger(__name__)

FEWEST, MOST_OF_PAIRS = 100, 100_000  # with 100,000, all pairs of 14 systems take 2 GB
Resamples = Annotated[
    int,
    typer.Option(
        min=FEWEST,
        max=MOST_OF_PAIRS,
        help="Of the bootstrap, of max-T and of approximate randomisation. With fewer than 2,000"
        " the bootstrap's variance is so uncertain that many tests are left out.",
    ),
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
    how = deterministic or [], _members(member), length_cut, resamples, resampling_seed
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
    systems = files_by_system("--system", system)
    if len(systems) < 2:
        raise InputError("--system", f"{len(systems)} system", "at least two", "Name another.")
    given = [(model, decoding, paths) for (model, decoding), paths in systems.items()]
    how = deterministic or [], _members(member), length_cut, resamples, resampling_seed
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

    sides = [files_by_system(*given) for given in (("--system", system), ("--home", home or []))]
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


def compare_corpora(
    results: Annotated[Path, typer.Option(help="Folder DATASET/MODEL/seedN/DECODING/….")],
    data: Annotated[Path, typer.Option(help="Folder DATASET/test.jsonl.")],
    dataset: Annotated[list[str], typer.Option(help="A corpus; again for each.")],
    system: Annotated[
        list[str], typer.Option(help="MODEL:DECODING, a trained system; again for each.")
    ],
    seed: Annotated[list[int], typer.Option(min=0, help="A training's; again for each.")],
    out: Out,
    best: Annotated[
        bool,
        typer.Option("--best", help="Also the best LLM against the best encoder of each corpus."),
    ] = False,
    member: Members = None,
    resamples: Resamples = 10_000,
    resampling_seed: ResamplingSeed = 0,
) -> None:
    """Mean differences of F1 over several corpora, with intervals and p-values.

    Reads the predictions of every system and seed on every corpus. The best of a family are those
    of DATASET/selection.csv.
    """
    from bioner.comparison.corpora_mean import CountedCorpus, compare_corpora, number_documents
    from bioner.comparison.counts import SystemCounts, count_overall
    from bioner.io.tables import write_table
    from bioner.results import layout

    given: list[tuple[str, Sequence[object]]] = [
        ("--dataset", dataset),
        ("--system", system),
        ("--seed", seed),
    ]
    for option, values in given:
        for value in values:
            if values.count(value) > 1:
                raise InputError(option, f"{value} twice", "each once", "Remove one of the two.")
    if len(dataset) < 2:
        raise InputError("--dataset", "one corpus", "at least two", "Name another.")
    systems = [named("--system", text, "MODEL:DECODING", "bert:direct", ":") for text in system]
    parts = _members(member)
    for ensemble in parts:
        if ensemble not in {model for model, _ in systems}:
            raise InputError("--member", repr(ensemble), "one of the systems", "Correct the name.")
    keep_apart(out, *(data / name for name in dataset), *(results / name for name in dataset))
    golds = {name: read_instances(data / name / "test.jsonl") for name in dataset}
    corpora = []
    for name, documents in number_documents(golds).items():
        gold, clusters, counted = golds[name], clusters_of(golds[name]), {}
        for model, decoding in systems:
            folders = [
                results / layout.run_path(layout.PREDICTIONS, name, model, each, decoding)
                for each in seed
            ]
            runs = [count_overall(gold, read_predictions(path, gold), clusters) for path in folders]
            counted[model, decoding] = SystemCounts(
                model, decoding, np.array(runs), members=parts.get(model, frozenset())
            )
        selection = results / layout.dataset_path(layout.SELECTION, name)
        chosen = _chosen(selection, counted) if best else {}
        corpora.append(CountedCorpus(name, documents, clusters.kind, counted, chosen))
    write_table(out, compare_corpora(corpora, resamples, resampling_seed))


def _members(texts: Sequence[str] | None) -> dict[str, frozenset[str]]:
    """Return the models whose weights each ensemble uses."""
    parts = [named("--member", text, "ENSEMBLE=MODEL", "vote=bert-mini") for text in texts or []]
    return {
        ensemble: frozenset(model for name, model in parts if name == ensemble)
        for ensemble, _ in parts
    }


def _compare(
    gold: Path,
    systems: Sequence[tuple[str | None, str | None, list[Path]]],
    out: Path,
    dataset: str | None,
    deterministic: Sequence[str],
    members: Mapping[str, frozenset[str]],
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
    known = {model for model, _, _ in systems}
    given = [("--deterministic", name) for name in deterministic]
    for option, name in given + [("--member", ensemble) for ensemble in members]:
        if name not in known:
            raise InputError(option, repr(name), "one of the systems", "Correct the name.")
    instances = read_instances(gold)
    read = [
        System(
            model,
            decoding,
            [read_predictions(path, instances) for path in paths],
            model in deterministic,
            members.get(model or "", frozenset()),
        )
        for model, decoding, paths in systems
    ]
    for system in read:
        if system.deterministic and len(system.runs) > 1:
            found = f"{len(system.runs)} runs of {system.model}"
            raise InputError("--deterministic", found, "one", "Name a single file for it.")
    cuts = sorted(set(length_cut or [1, 2]))
    write_table(out, compare(instances, read, cuts, resamples, resampling_seed, dataset))


def _chosen(path: Path, systems: Collection[tuple[str, str]]) -> dict[str, tuple[str, str]]:
    """Return the system that is chosen of each family."""
    from bioner.scoring.selection import read_selection

    rows = read_selection(path).filter("chosen").select("family", "model", "decoding").rows()
    chosen = {family: (model, decoding) for family, model, decoding in rows}
    for model, decoding in chosen.values():
        if (model, decoding) not in systems:
            found, remedy = f"{model}:{decoding} chosen", "Name it by --system too."
            raise InputError(path, found, "one of the systems", remedy)
    return chosen
