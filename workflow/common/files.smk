"""What the rules take: paths of a corpus, a model, and a cell of the matrix."""

import shlex

from bioner.corpora.fetching.sources import identities
from bioner.io.checksums import sha256_of
from bioner.ops.snakemake_internals import recorded_params
from bioner.results import layout
from bioner.settings.catalogue import from_hub, trials_of
from bioner.settings.config import REPOSITORY


def parse_object(text):
    """A JSON object from text; empty for any other text."""
    try:
        known = json.loads(text)
    except json.JSONDecodeError:
        return {}
    return known if isinstance(known, dict) else {}


def get_raw_identities(wildcards):
    """What the raw files of a corpus are: it is fetched again when one of them changes, wherever it comes from."""
    raw = out(f"data/{wildcards.dataset}/raw")
    entry = DATASETS[wildcards.dataset]
    before = next(filter(None, map(parse_object, recorded_params(workflow, raw))), {})
    return to_json(identities(wildcards.dataset, entry, MIRROR, Path(raw), before))


READING = [
    *("format", "splits", "token_column", "tag_column", "tag_scheme", "labels"),
    *("documents", "segmentation", "max_tokens", "token_alignment", "on_error"),
]


def get_reading_params(wildcards):
    """What the instances of a corpus depend on beside its raw files."""
    entry = DATASETS[wildcards.dataset]
    files = {
        name: {"sha256": file["sha256"]} if entry["documents"] else {}
        for name, file in entry["files"].items()
    }
    return to_json({key: entry[key] for key in READING} | {"files": files})


def get_documents_checksum(wildcards):
    """The table of a corpus's documents by its content: where the repository lies must not train anything again."""
    table = DATASETS[wildcards.dataset]["documents"]
    return sha256_of(REPOSITORY / table) if table else ""


def get_snapshot(wildcards):
    """What is known of the model's weights in the cache, where they are the hub's."""
    return out(f"models/{wildcards.model}.json") if from_hub(MODELS[wildcards.model]) else []


def get_snapshots():
    """What is known of all models of the run that are the hub's: members of ensembles and sources of drafts, too."""
    return [out(f"models/{name}.json") for name in MATRIX.downloaded()]


def get_download_command(model):
    """The command that has the cache hold a model; the commit that is written down stays."""
    entry = to_json({key: MODELS[model][key] for key in ("family", "source")})
    return f"bioner download-model {model} --entry {shlex.quote(entry)} --out {out(f'models/{model}.json')}"


def get_prefetch_commands():
    """Ask for every model, also for those once fetched: the cache may be another or have been cleared.

    One that cannot be had stops no other, a signal stops all; at the end those that failed are named.
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
    """The record of every trial of a cell's search."""
    return expand(
        result(layout.trial_path(layout.RECORD)),
        dataset=wildcards.dataset,
        model=wildcards.model,
        trial=trials_of(MODELS[wildcards.model]),
    )


def get_winner(wildcards):
    """The winner of the search that comes before a training, if there is one."""
    if wildcards.model not in SEARCHED:
        return []
    cell = {name: wildcards[name] for name in ("dataset", "model")}
    return checkpoints.search.get(**cell).output.winner


def get_weights(wildcards):
    """The trained model that a prediction needs; none for controls. Its record shows whether it was retrained."""
    if not MATRIX.is_trained(wildcards.model):
        return []
    return ancient(result(layout.seed_path(layout.WEIGHTS)).format(**wildcards))


def get_training_record(wildcards):
    """The record of the training that a prediction depends on; none for controls."""
    if not MATRIX.is_trained(wildcards.model):
        return []
    return result(layout.seed_path(layout.RECORD)).format(**wildcards)


def get_gold(wildcards):
    """The instances a prediction is made for: dev under `dev/`, test otherwise."""
    return out(f"data/{wildcards.dataset}/{'dev' if wildcards.part else 'test'}.jsonl")


def get_run_scores(wildcards):
    """The score files of every seed and decoding of a cell."""
    model = wildcards.model
    return expand(
        result(layout.run_path(layout.SCORES)),
        dataset=wildcards.dataset,
        model=model,
        seed=MATRIX.seeds(model),
        decoding=MATRIX.decodings(model),
    )


def get_headline_file(name, dataset, model, seed, part=""):
    """A file of one seed, under the decoding its model is compared by."""
    return result(layout.run_path(name, dataset, model, seed, MATRIX.headline(model), part))


def get_headline_predictions(dataset, model):
    """Test predictions a model is compared by, one file per seed."""
    return [
        get_headline_file(layout.PREDICTIONS, dataset, model, seed) for seed in MATRIX.seeds(model)
    ]


def get_draft(wildcards):
    """The predictions that constrained decoding drafts from, if these are another model's."""
    if wildcards.decoding != "constrained":
        return []
    seed, part = wildcards.seed, wildcards.part
    return get_draft_predictions(wildcards.dataset, wildcards.model, seed, part)


def get_draft_predictions(dataset, model, seed=MATRIX.first_seed, part=""):
    """The predictions of another model that a model drafts from, if it does."""
    source = MATRIX.draft(model)
    if source is None:
        return []
    seed = MATRIX.seed_beside(source, seed)
    return get_headline_file(layout.PREDICTIONS, dataset, source, seed, part)


def get_comparisons():
    """What `significance.csv` is made of: comparisons of two and more systems, and who was chosen on dev."""
    names = [layout.COMPARISONS] if MATRIX.has_comparisons else []
    names += [layout.SELECTION] if MATRIX.has_selection else []
    return [
        result(layout.dataset_path(name, dataset))
        for dataset in get_available_datasets()
        for name in names
    ]


def get_dev_scores(dataset):
    """The models that dev scores choose among, each with its score files on dev."""
    return [
        (model, get_headline_file(layout.SCORES, dataset, model, seed, "dev/"))
        for model in MATRIX.candidates
        for seed in MATRIX.seeds(model)
    ]


def get_member_predictions(wildcards):
    """The models an ensemble is made of, whether dev scores choose among them, and their predictions."""
    for member, is_candidate in MATRIX.members(wildcards.model):
        seed = MATRIX.seed_beside(member, wildcards.seed)
        place = (wildcards.dataset, member, seed, wildcards.part)
        yield member, is_candidate, get_headline_file(layout.PREDICTIONS, *place)
