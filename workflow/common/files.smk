"""What the rules take: paths of a corpus, a model, and a cell of the matrix."""

import shlex

from bioner.catalogue import (
    BEST,
    HEADLINE,
    LEXICAL,
    decodings_of,
    from_hub,
    needed,
    seeds_of,
)
from bioner.checksums import sha256_of
from bioner.config import REPOSITORY
from bioner.corpora.fetching.sources import identities


def raw_files(wildcards):
    """What the raw files of a corpus are: it is fetched again when one of them changes, wherever it comes from."""
    raw = out(f"data/{wildcards.dataset}/raw")
    entry = DATASETS[wildcards.dataset]
    before = next((known for known in map(as_object, recorded(raw)) if known), {})
    return as_json(identities(wildcards.dataset, entry, MIRROR, Path(raw), before))


READING = [
    *("format", "splits", "token_column", "tag_column", "tag_scheme", "labels"),
    *("documents", "segmentation", "max_tokens", "borders", "on_error"),
]


def reading(wildcards):
    """What the instances of a corpus depend on beside its raw files."""
    entry = DATASETS[wildcards.dataset]
    files = {
        name: {"sha256": file["sha256"]} if entry["documents"] else {}
        for name, file in entry["files"].items()
    }
    return as_json({key: entry[key] for key in READING} | {"files": files})


def documents(wildcards):
    """The table of a corpus's documents by its content: where the repository lies must not train anything again."""
    table = DATASETS[wildcards.dataset]["documents"]
    return sha256_of(REPOSITORY / table) if table else ""


def snapshot(wildcards):
    """What is known of the model's weights in the cache, where they are the hub's."""
    return (
        out(f"models/{wildcards.model}.json")
        if from_hub(MODELS[wildcards.model])
        else []
    )


def snapshots():
    """What is known of all models of the run that are the hub's: members of ensembles and sources of drafts, too."""
    return [
        out(f"models/{name}.json")
        for name, entry in needed(config, MODELS).items()
        if from_hub(entry)
    ]


def fetching(model):
    """The command that has the cache hold a model; the commit that is written down stays."""
    entry = as_json({key: MODELS[model][key] for key in ("family", "source")})
    return f"bioner snapshot {model} --entry {shlex.quote(entry)} --out {out(f'models/{model}.json')}"


def prefetching():
    """Ask for every model, also for those once fetched: the cache may be another or have been cleared.

    One that cannot be had stops no other, a signal stops all; at the end those that failed are named.
    """
    names = [name for name, entry in needed(config, MODELS).items() if from_hub(entry)]
    asking = [
        f'{fetching(name)} || {{ [ $? -lt 128 ] || exit; failed="$failed {name}"; }}'
        for name in names
    ]
    told = "bioner: prefetch: not fetched:$failed. The lines above say why; then run the same again."
    ending = f'[ -z "$failed" ] || {{ echo "{told}"; exit 1; }}'
    return "\n".join(["failed=", *asking, ending])


def trial_records(wildcards):
    """The run.json of every trial of a cell's search."""
    return expand(
        out("results/{dataset}/{model}/trials/{trial}/run.json"),
        dataset=wildcards.dataset,
        model=wildcards.model,
        trial=trials_of(MODELS[wildcards.model]),
    )


def winner(wildcards):
    """The winner of the search that comes before a training, if there is one."""
    if wildcards.model not in SEARCHED:
        return []
    cell = {name: wildcards[name] for name in ("dataset", "model")}
    return checkpoints.search.get(**cell).output.winner


def weights(wildcards):
    """The trained model a prediction needs; none for controls. Its run.json tells whether it was trained again."""
    name = "results/{dataset}/{model}/seed{seed}/model".format(**wildcards)
    return ancient(out(name)) if trained(wildcards.model) else []


def training_record(wildcards):
    """The run.json of the training that a prediction depends on; none for controls."""
    name = "results/{dataset}/{model}/seed{seed}/run.json".format(**wildcards)
    return out(name) if trained(wildcards.model) else []


def split_of(wildcards):
    """The instances a prediction is made for: dev under `dev/`, test otherwise."""
    return out(f"data/{wildcards.dataset}/{'dev' if wildcards.part else 'test'}.jsonl")


def cell(dataset, model, name):
    """Paths of one file in every seed and decoding of a cell."""
    return expand(
        out("results/{dataset}/{model}/seed{seed}/{decoding}/{name}"),
        dataset=dataset,
        model=model,
        seed=seeds_of(MODELS[model], config["seeds"]),
        decoding=decodings_of(MODELS[model], config["decodings"]),
        name=name,
    )


def cell_file(dataset, model, seed, name):
    """The path of a file of one seed, under the decoding its model is compared by."""
    decoding = headline_decoding(model)
    return out(f"results/{dataset}/{model}/seed{seed}/{decoding}/{name}")


def headline_decoding(model):
    """The decoding a model is compared by: `forced` for an LLM where it is run, since realignment cannot lose there."""
    return max(
        decodings_of(MODELS[model], config["decodings"]),
        key=HEADLINE.index,
    )


def headline(dataset, model):
    """Test predictions a model is compared by, one file a seed."""
    seeds = seeds_of(MODELS[model], config["seeds"])
    return [cell_file(dataset, model, seed, "predictions.jsonl") for seed in seeds]


def draft(wildcards):
    """The predictions that forced decoding drafts from, where these are another model's."""
    if wildcards.decoding != "forced":
        return []
    seed, part = wildcards.seed, wildcards.part
    return test_draft(wildcards.dataset, wildcards.model, seed, part)


def test_draft(dataset, model, seed=config["seeds"][0], part=""):
    """The predictions on test (on dev with that `part`) that a model's drafts are taken from, if they are a model's."""
    source = MODELS[model]["predict"]["draft"]
    if MODELS[model]["family"] != "llm" or source in LEXICAL:
        return []
    seed = seed if trained(source) else config["seeds"][0]
    return cell_file(dataset, source, seed, f"{part}predictions.jsonl")


def compared():
    """The systems worth comparing; what oracle and all-o score is no finding."""
    return [
        name
        for name in config["models"]
        if MODELS[name]["control"] not in ("oracle", "all-o")
    ]


def comparisons():
    """What `significance.csv` is made of: comparisons of two and more systems, and who was chosen on dev."""
    names = ["comparisons.csv"] if len(compared()) > 1 else []
    if {MODELS[name]["family"] for name in config["models"]} >= set(BEST.values()):
        names.append("selection.csv")
    return [out(f"results/{dataset}/{name}") for dataset in at_hand() for name in names]


def dev_scores(dataset, named=False):
    """Score files on dev of the run's encoders and LLMs, by their headline decoding; with `named`, and whose they are.

    An LLM with a head is neither: it is compared with both, and is the best of none.
    """
    pairs = [
        (model, cell_file(dataset, model, seed, "dev/scores.csv"))
        for model in config["models"]
        if MODELS[model]["family"] in BEST.values()
        for seed in seeds_of(MODELS[model], config["seeds"])
    ]
    return pairs if named else [path for _, path in pairs]


def member_predictions(wildcards):
    """Predictions an ensemble is made of: (model, whether dev scores are to choose it) and its file."""
    for member in MODELS[wildcards.model]["members"]:
        models = [
            name
            for name in config["models"]
            if MODELS[name]["family"] == BEST.get(member)
        ]
        for model in models if member in BEST else [member]:
            seed = wildcards.seed if trained(model) else config["seeds"][0]
            name = f"{wildcards.part}predictions.jsonl"
            yield (model, member in BEST), cell_file(
                wildcards.dataset, model, seed, name
            )
