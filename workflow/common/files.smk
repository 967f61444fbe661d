"""Input functions of the rules: files of a corpus, a model, and a cell of the matrix."""

import functools
import shlex

from bioner.corpora.fetching.sources import identities
from bioner.io.checksums import sha256_of
from bioner.models.model_files import find_problem, fingerprint_of
from bioner.ops.snakemake_internals import recorded_params
from bioner.settings.repository import REPOSITORY


def parse_object(text):
    """Parse a JSON object; return an empty one for any other text."""
    try:
        known = json.loads(text)
    except json.JSONDecodeError:
        return {}
    return known if isinstance(known, dict) else {}


def get_raw_identities(wildcards):
    """Identify the raw files of a corpus, which is fetched again when one changes."""
    raw = out(f"data/{wildcards.dataset}/raw")
    entry = DATASETS[wildcards.dataset]
    before = next(filter(None, map(parse_object, recorded_params(workflow, raw))), {})
    return to_json(identities(wildcards.dataset, entry, MIRROR, Path(raw), before))


READING = [
    *("format", "splits", "token_column", "tag_column", "tag_scheme", "labels"),
    *("documents", "segmentation", "max_tokens", "token_alignment", "on_error"),
    *("type_key", "split"),  # left out if they are not set
]


def get_reading_params(wildcards):
    """Return what the instances of a corpus depend on in addition to its raw files."""
    entry = DATASETS[wildcards.dataset]
    tree = entry.canonical()
    files = {
        name: {"sha256": file.sha256} if entry.documents else {}
        for name, file in entry.files.items()
    }
    return to_json({key: tree[key] for key in READING if key in tree} | {"files": files})


def get_documents_checksum(wildcards):
    """Return the checksum of a corpus's table of documents, which may move with the repository."""
    table = DATASETS[wildcards.dataset].documents
    return sha256_of(REPOSITORY / table) if table else ""


def get_snapshot(wildcards):
    """Return the record of the model's weights in the cache, if they come from the hub.

    A folder that holds no model is found here, before any job runs.
    """
    entry = MODELS[wildcards.model]
    if entry.is_from_hub:
        return out(f"models/{wildcards.model}.json")
    if entry.source.hub and not os.path.exists(get_record(wildcards)):
        if problem := find_problem(Path(entry.source.hub)):
            raise WorkflowError(f"{wildcards.model}: source.hub {entry.source.hub}: {problem}.")
    return []


def get_record(wildcards):
    """Return the record that a training or a trial writes last."""
    if hasattr(wildcards, "trial"):
        return result(layout.trial_path(layout.RECORD)).format(**wildcards)
    return result(layout.seed_path(layout.RECORD)).format(**wildcards)


def get_weights_source(model):
    """Return what a model's entry says about where its weights come from."""
    tree = MODELS[model].canonical()
    return {key: tree[key] for key in ("family", "source")}


def get_snapshot_option(wildcards, input):
    """Return the option that names the record of the model's weights, if there is one."""
    return f"--snapshot {input.snapshot}" if input.snapshot else ""


def get_training_entry(wildcards):
    """Return the settings of a training or a trial, as its command takes them."""
    entry = MODELS[wildcards.model]
    if hasattr(wildcards, "trial"):
        entry = entry.trials()[wildcards.trial]
    return to_json(entry.training_settings())


def get_training_identity(wildcards):
    """Identify what a training starts from: it is planned again when this changes.

    That is its entry and, of a local folder, samples of the weights, since to read gigabytes takes
    too long. A folder that is gone counts as it was recorded. (Snakemake compares parameters as a
    set: nothing is new for other models.)
    """
    entry, hub = get_training_entry(wildcards), MODELS[wildcards.model].source.hub
    if not hub or MODELS[wildcards.model].is_from_hub:
        return entry
    if find_problem(Path(hub)):
        known = recorded_params(workflow, get_record(wildcards))
        return max((text for text in known if text.startswith(entry)), key=len, default=entry)
    return f"{entry} {get_fingerprint(Path(hub))}"


get_fingerprint = functools.cache(fingerprint_of)


def get_snapshots():
    """Return the records of all hub models of the run, with members of ensembles and drafts."""
    return [out(f"models/{name}.json") for name in MATRIX.downloaded()]


def get_download_command(model):
    """Return the command that fetches a model into the cache; a recorded commit stays."""
    entry = to_json(get_weights_source(model))
    record = out(f"models/{model}.json")
    return f"bioner download-model {model} --entry {shlex.quote(entry)} --out {record}"


def get_prefetch_commands():
    """Return commands that fetch every model, since the cache may be another or have been cleared.

    A model that cannot be fetched stops no other, a signal stops all; the end names the failures.
    """
    asking = [
        f'{get_download_command(name)} || {{ [ $? -lt 128 ] || exit; failed="$failed {name}"; }}'
        for name in MATRIX.downloaded()
    ]
    message = (
        "bioner: prefetch: not fetched:$failed. The lines above say why; then run the same again."
    )
    ending = f'[ -z "$failed" ] || {{ echo "{message}"; exit 1; }}'
    return "\n".join(["failed=", *asking, ending])


def get_trial_records(wildcards):
    """Return the record of every trial of a cell's search."""
    return expand(
        result(layout.trial_path(layout.RECORD)),
        dataset=wildcards.dataset,
        model=wildcards.model,
        trial=MODELS[wildcards.model].trials(),
    )


def get_winner(wildcards):
    """Return the winner of the search that precedes a training, if there is one."""
    if not MATRIX.is_searched(wildcards.model):
        return []
    cell = {name: wildcards[name] for name in ("dataset", "model")}
    return checkpoints.search.get(**cell).output.winner


def get_weights(wildcards):
    """Return the trained model of a prediction, ancient since its record shows a retraining."""
    if not MATRIX.is_trained(wildcards.model):
        return []
    return ancient(result(layout.seed_path(layout.WEIGHTS)).format(**wildcards))


def get_training_record(wildcards):
    """Return the record of the training that a prediction depends on; none for controls."""
    if not MATRIX.is_trained(wildcards.model):
        return []
    return result(layout.seed_path(layout.RECORD)).format(**wildcards)


def get_gold(wildcards):
    """Return the instances to predict: test, dev under `dev/`, another corpus's under `cross/`."""
    folder = Path(wildcards.part)
    if folder.parent.name == "cross":
        return out(f"data/{folder.name}/test.jsonl")
    return out(f"data/{wildcards.dataset}/{'dev' if wildcards.part else 'test'}.jsonl")


def get_run_scores(wildcards):
    """Return the score files of every seed and decoding of a cell."""
    model = wildcards.model
    return expand(
        result(layout.run_path(layout.SCORES)),
        dataset=wildcards.dataset,
        model=model,
        seed=MATRIX.seeds(model),
        decoding=MATRIX.decodings(model),
    )


def get_headline_file(name, dataset, model, seed, part=""):
    """Return a file of one seed, with the decoding used for comparisons."""
    return result(layout.run_path(name, dataset, model, seed, MATRIX.headline(model), part))


def get_compared_predictions(dataset):
    """Return model, decoding and file of all test predictions that are compared."""
    return [
        (model, how, result(layout.run_path(layout.PREDICTIONS, dataset, model, seed, how)))
        for model in MATRIX.compared
        for how in MATRIX.decodings(model)
        for seed in MATRIX.seeds(model)
    ]


def get_calibrated_files(dataset, model):
    """Return what calibration reads: raw outputs and predictions on test and dev, of all seeds.

    To predict dev is cheap, even for LLMs: constrained decoding takes seconds for 1,000 sentences.
    """
    return [
        get_headline_file(name, dataset, model, seed, part)
        for seed in MATRIX.seeds(model)
        for part in ("", "dev/")
        for name in (layout.RAW, layout.PREDICTIONS)
    ]


def get_draft(wildcards):
    """Return another model's predictions that constrained decoding drafts from, if any."""
    if wildcards.decoding != "constrained":
        return []
    seed, part = wildcards.seed, wildcards.part
    return get_draft_predictions(wildcards.dataset, wildcards.model, seed, part)


def get_draft_predictions(dataset, model, seed=MATRIX.first_seed, part=""):
    """Return the predictions that a model drafts from, if any."""
    source = MATRIX.draft(model)
    if source is None:
        return []
    seed = MATRIX.seed_beside(source, seed)
    return get_headline_file(layout.PREDICTIONS, dataset, source, seed, part)


def get_comparisons():
    """Return the comparisons of systems: by corpus, their mean, and selections on dev."""
    averaged = MATRIX.averaged(get_available_datasets())
    means = [result(layout.CORPORA_MEAN)] if averaged else []
    names = [layout.COMPARISONS] if MATRIX.has_comparisons else []
    names += [layout.SELECTION] if MATRIX.has_selection else []
    return means + [
        result(layout.dataset_path(name, dataset))
        for dataset in get_available_datasets()
        for name in names
    ]


def get_candidates(dataset):
    """Yield option and file of what dev chooses by: searches of a family, or reported runs."""
    for model in MATRIX.candidates:
        family = MODELS[model].family
        if MATRIX.is_chosen_by_search(family):
            option = f"--searched-{family} {model}:{MATRIX.headline(model)}="
            yield option, result(layout.cell_path(layout.SEARCH, dataset, model))
        else:
            for seed in MATRIX.seeds(model):
                path = get_headline_file(layout.SCORES, dataset, model, seed, "dev/")
                yield f"--{family} ", path


def get_cross_pairs():
    """Return the pairs of corpora of a run whose files are available."""
    present = get_available_corpora()
    return [pair for pair in MATRIX.cross_pairs if {pair.train, pair.test} <= set(present)]


def get_cross_types(train, test):
    """Return the mapped types of a pair as JSON."""
    pairs = [pair for pair in MATRIX.cross_pairs if (pair.train, pair.test) == (train, test)]
    return to_json(pairs[0].types)


def get_cross_predictions(train, test):
    """Yield option, model and predictions of each system of a pair: elsewhere, then at home."""
    part = layout.cross_part(test)
    sides = [("system", train, part)]
    sides += [("home", test, "")] if test in SETTINGS.datasets else []
    for side, dataset, part in sides:
        for model in MATRIX.cross_models:
            for seed in MATRIX.seeds(model):
                place = (dataset, model, seed, part)
                yield side, model, get_headline_file(layout.PREDICTIONS, *place)


def get_member_predictions(wildcards):
    """Yield an ensemble's members, whether they are candidates on dev, and their predictions."""
    for member, is_candidate in MATRIX.members(wildcards.model):
        seed = MATRIX.seed_beside(member, wildcards.seed)
        place = (wildcards.dataset, member, seed, wildcards.part)
        yield member, is_candidate, get_headline_file(layout.PREDICTIONS, *place)
