"""`bioner <stage>`: one command a stage. Reads files, calls the stage's function, writes files; no logic of its own."""

import json
import logging
import os
import sys
import warnings
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from bioner.catalogue import complete_entry, find, is_closed, load_catalogue
from bioner.config import DEFAULT_CONFIG, REPOSITORY, Tree, load_config, merged
from bioner.errors import InputError
from bioner.yaml_files import read_yaml

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help=__doc__)

Config = Annotated[list[Path] | None, typer.Option("--config", help="Overlay of config/config.yaml; may be repeated.")]
Entry = Annotated[str | None, typer.Option("--entry", help="The catalogue entry as JSON, in place of the catalogue's.")]
Gold = Annotated[Path, typer.Option(help="Instances (JSON Lines, plain or .gz).")]
LengthCuts = Annotated[
    list[int] | None, typer.Option("--length-cut", min=1, help="Upper end of a length bucket; may be repeated.")
]
Out = Annotated[Path, typer.Option(help="Where to write.")]


@app.command()
def fetch(dataset: str, out: Out, mirror: Path | None = None, config: Config = None, entry: Entry = None) -> None:
    """Get a corpus's raw files and verify their checksums."""
    from bioner.corpora.fetching.fetch import fetch

    settings = _settings(config)
    folder = mirror or settings["mirror"] or os.environ.get("BIONER_MIRROR")
    if entry is None and dataset in (planned := _json("BIONER_DATASETS", os.environ.get("BIONER_DATASETS", "{}"))):
        entry = json.dumps(planned[dataset])  # as the workflow has it; where files come from is no parameter of a rule
    found = _entry("datasets", dataset, settings, entry)
    fetch(dataset, found, out, Path(folder).expanduser() if folder else None)


@app.command()
def normalize(
    dataset: str,
    raw: Annotated[Path, typer.Option(help="Folder of the raw files.")],
    out: Out,
    show_text: Annotated[bool, typer.Option(help="Messages may show text not to be redistributed.")] = False,
    config: Config = None,
    entry: Entry = None,
) -> None:
    """Raw files to instances: train.jsonl, dev.jsonl, test.jsonl, stats.csv, changes.csv."""
    from bioner.corpora.normalize import normalize

    settings = _settings(config)
    described = _entry("datasets", dataset, settings, entry)
    # The workflow names them here: its rules hand over nothing that does not change a result.
    closed = is_closed(described) or dataset in os.environ.get("BIONER_CLOSED", "").split(",")
    normalize(dataset, described, raw, out, show_text or dataset in settings["show_text"] or not closed)


@app.command()
def validate(
    file: Annotated[Path, typer.Argument(help="Instances or predictions (JSON Lines, plain or .gz).")],
    gold: Annotated[Path | None, typer.Option(help="Instances that predictions are held against.")] = None,
) -> None:
    """Every broken invariant of an instance or prediction file, with its line."""
    from bioner.instances import read_instances
    from bioner.validate import validate

    kind, count, faults = validate(file, read_instances(gold) if gold else None)
    for fault in faults:
        typer.echo(fault)
    if faults:
        remedy = f"Remake the file with `bioner {'normalize' if kind == 'instances' else 'realign'}`."
        raise InputError(file, f"{len(faults)} broken invariants in {count} {kind}", "none", remedy)
    typer.echo(f"{file}: {count} {kind}, all sound")


@app.command()
def train(
    model: str,
    data: Annotated[Path, typer.Option(help="Folder with train.jsonl and dev.jsonl.")],
    out: Out,
    seed: Annotated[int, typer.Option(min=0)] = 42,
    config: Config = None,
    entry: Entry = None,
) -> None:
    """Train a model: model/, history.csv, run.json."""
    from bioner.instances import read_instances
    from bioner.training.launch import launch
    from bioner.training.run import train

    settings = _entry("models", model, _settings(config), entry)
    launch(model, settings)
    train(model, settings, read_instances(data / "train.jsonl"), read_instances(data / "dev.jsonl"), seed, out)


@app.command()
def predict(
    model: str,
    gold: Gold,
    out: Out,
    train: Annotated[Path | None, typer.Option(help="Training instances (controls).")] = None,
    weights: Annotated[Path | None, typer.Option(help="Folder `model/` of a trained model.")] = None,
    decoding: Annotated[str, typer.Option(help="direct, free or forced.")] = "direct",
    config: Config = None,
    entry: Entry = None,
) -> None:
    """Raw outputs of a model for every gold instance."""
    from bioner.instances import read_instances
    from bioner.predict import predict
    from bioner.raw import write_raw

    _keep_apart(out, gold, train)
    settings = _entry("models", model, _settings(config), entry)
    known = read_instances(train) if train else []
    write_raw(out, predict(model, settings, read_instances(gold), known, weights, decoding))


@app.command()
def time(
    model: str,
    gold: Gold,
    out: Out,
    weights: Annotated[Path, typer.Option(help="Folder `model/` of a trained model.")],
    decoding: Annotated[list[str], typer.Option(help="direct, free or forced; may be repeated.")],
    sentences: Annotated[int, typer.Option(min=1)] = 100,
    batch: Annotated[list[int] | None, typer.Option(min=1, help="Batch size; may be repeated.")] = None,
    repeats: Annotated[int, typer.Option(min=1)] = 3,
    dataset: str = "",
    seed: int | None = None,
    config: Config = None,
    entry: Entry = None,
) -> None:
    """Inference seconds a sentence on a fixed sample."""
    import polars as pl

    from bioner.instances import read_instances
    from bioner.predict import load_predictor, time_predictions
    from bioner.provenance import provenance
    from bioner.reporting.kept import TIMING
    from bioner.tables import write_table

    settings = _entry("models", model, _settings(config), entry)
    instances = read_instances(gold)
    rows: list[dict[str, Any]] = []
    for way in decoding:
        predictor = load_predictor(model, settings, weights, way)
        machine = provenance()
        on_gpu = settings["resources"]["predict_gpus"] > 0
        whose = {
            "dataset": dataset,
            "model": model,
            "seed": seed,
            "decoding": way,
            "precision": settings["quantization"] or settings["train"]["precision"],
            "draft": None,
            "hardware": machine["gpus"][0] if machine["gpus"] and on_gpu else machine["cpu"],
        }
        rows += [whose | row for row in time_predictions(predictor, instances, sentences, batch or [1], repeats)]
    write_table(out, pl.DataFrame(rows, schema=TIMING))


@app.command()
def realign(
    gold: Gold,
    raw: Annotated[Path, typer.Option(help="Raw outputs (JSON Lines, plain or .gz).")],
    out: Out,
    train: Annotated[
        Path | None, typer.Option(help="Training instances: tags of types in neither file become O.")
    ] = None,
    method: Literal["robust", "paper"] = "robust",
    alignment: Annotated[Path | None, typer.Option(help="Also write how each output fitted.")] = None,
) -> None:
    """Raw outputs to valid tags on the gold tokens."""
    import polars as pl

    from bioner.instances import entity_types, read_instances, write_predictions
    from bioner.raw import read_raw
    from bioner.realign import realign_all
    from bioner.tables import write_table
    from bioner.tags import tag_set

    _keep_apart(out, gold, raw, train)
    instances = read_instances(gold)
    legal = frozenset(tag_set(entity_types([*instances, *read_instances(train)]))) if train else None
    predictions, alignments = realign_all(instances, read_raw(raw, instances), legal, method)
    if alignment:
        write_table(alignment, pl.DataFrame([asdict(row) for row in alignments]))
    write_predictions(out, predictions)


@app.command()
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
) -> None:
    """Strict, relaxed, exact and type scores by nervaluate; strict ones by entity length too."""
    from bioner.instances import read_instances, read_predictions
    from bioner.scoring.score import score
    from bioner.tables import write_table

    _keep_apart(out, gold, pred)
    instances = read_instances(gold)
    cuts = sorted(set(length_cut or [1, 2]))
    table = score(instances, read_predictions(pred, instances), dataset, model, seed, decoding, cuts, per_type)
    write_table(out, table)


@app.command()
def gather(scores: Annotated[list[Path], typer.Argument(help="Score files.")], out: Out) -> None:
    """The score files of a cell as one."""
    import polars as pl

    from bioner.scoring.score import read_scores
    from bioner.tables import write_table

    _keep_apart(out, *scores)
    if len({path.resolve() for path in scores}) < len(scores):
        raise InputError("gather", "a score file twice", "each once", "Remove one of the two.")
    write_table(out, pl.concat([read_scores(path) for path in scores]))


@app.command()
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

    _keep_apart(out, gold, *pred, *versus)
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


@app.command()
def report(
    results: Annotated[Path, typer.Option(help="Folder DATASET/MODEL/….")],
    data: Annotated[Path, typer.Option(help="Folder DATASET/stats.csv.")],
    out: Out,
    dataset: Annotated[list[str] | None, typer.Option(help="Only these, in this order.")] = None,
    model: Annotated[list[str] | None, typer.Option(help="Only these, in this order.")] = None,
    notices: Annotated[str | None, typer.Option(help="Notices of corpora as JSON, for those of the catalogue.")] = None,
    left_out: Annotated[str, typer.Option(help="Corpora that were left out, and why, as JSON.")] = "{}",
    config: Config = None,
) -> None:
    """Tables I to V beside the paper's, costs, one page; from kept files alone."""
    from bioner.reporting.report import report

    if notices is None:
        catalogue = load_catalogue("datasets", _settings(config))
        told = {name: entry["notice"] for name, entry in catalogue.items() if entry["notice"]}
    else:
        told = _json("--notices", notices)
    report(results, data, out, dataset or [], model or [], told, _json("--left-out", left_out))


@app.command()
def summary(reports: Annotated[Path, typer.Argument(help="Folder that `bioner report` wrote.")]) -> None:
    """Strict and relaxed scores of a finished report, on the terminal."""
    from bioner.reporting.report import summary

    typer.echo(f"\n{summary(reports)}\n\nReports: {reports}/ (start with {reports / 'report.html'})")


def main() -> None:
    """Run a command; bad input ends with one line on stderr and exit code 2."""
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    _quiet_libraries()
    try:
        app()
    except InputError as error:
        typer.echo(f"bioner: {error}", err=True)
        raise SystemExit(2) from None
    except OSError as error:
        place = error.filename or "system"
        typer.echo(f"bioner: {place}: {error.strerror}. Check the path and who may write there.", err=True)
        raise SystemExit(2) from None


def _settings(overlays: list[Path] | None) -> Tree:
    files = [DEFAULT_CONFIG, *(overlays or [])]
    tree: Tree = {}
    for path in files:
        tree = merged(tree, read_yaml(path))
    return load_config(tree, files)


def _entry(kind: str, name: str, settings: Tree, entry: str | None) -> Tree:
    if entry is None:
        return find(
            load_catalogue(kind, settings), name, kind.removesuffix("s"), REPOSITORY / "config" / f"{kind}.yaml"
        )
    return complete_entry(kind, name, _json("--entry", entry))


def _json(option: str, text: str) -> Tree:
    try:
        content = json.loads(text)
    except json.JSONDecodeError as error:
        raise InputError(option, f"no JSON ({error})", "a JSON object", "Quote it for the shell.") from None
    if not isinstance(content, dict):
        raise InputError(option, f"a {type(content).__name__}", "a JSON object", "Quote it for the shell.")
    return content


def _keep_apart(out: Path, *inputs: Path | None) -> None:
    """InputError where an output would overwrite what it is made from."""
    if out.resolve() in {path.resolve() for path in inputs if path}:
        raise InputError(out, "an input as the output", "another file", "Choose another --out.")


def _quiet_libraries() -> None:
    """Only this project's own lines; and the hub is not told of use."""
    warnings.simplefilter("ignore", FutureWarning)  # libraries to their own callers
    for noisy in ("httpx", "httpcore", "filelock", "urllib3", "bitsandbytes", "transformers", "py.warnings"):
        logging.getLogger(noisy).setLevel(logging.ERROR)
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
