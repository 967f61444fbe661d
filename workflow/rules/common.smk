"""Configuration checked and completed, paths under `out`, and what a cell of the matrix consists of."""

import ast
import json
import os
import re
import signal
import sys

from snakemake.exceptions import WorkflowError
from snakemake.io import IOFile

from bioner.catalogue import (
    BEST,
    HEADLINE,
    LEXICAL,
    TRAINED,
    decodings_of,
    is_closed,
    load_matrix,
    prediction_settings,
    seeds_of,
    training_settings,
    trials_of,
)
from bioner.checksums import sha256_of
from bioner.config import REPOSITORY, load_config
from bioner.corpora.fetching.sources import identities, lacking
from bioner.errors import InputError
from bioner.slurm.site import grown, request, site_of

try:
    # Snakemake lists the overlays first, the file that they overlay last.
    files = [Path(file) for file in reversed(workflow.configfiles)]
    config = load_config(config, files)
    DATASETS, MODELS = load_matrix(config, files)
except InputError as error:
    raise WorkflowError(str(error)) from None


def out(path):
    """A path under the configured output folder, written as users write targets: without a leading `./`."""
    return path if config["out"] == "." else f"{config['out']}/{path}"


mirror = config["mirror"] or os.environ.get("BIONER_MIRROR")
MIRROR = Path(mirror).expanduser() if mirror else None
# Corpora that users supply, and have not: neither now nor in an earlier run.
ABSENT = {
    name: f"left out: {', '.join(files)} not at hand. {DATASETS[name]['obtain']}"
    for name in config["datasets"]
    if DATASETS[name]["obtain"]
    and (files := lacking(name, DATASETS[name], MIRROR))
    and not os.path.isdir(out(f"data/{name}/raw"))
}
NOTICES = {
    name: DATASETS[name]["notice"]
    for name in config["datasets"]
    if DATASETS[name]["notice"]
}
if workflow.is_main_process:
    for name, note in [*ABSENT.items(), *NOTICES.items()]:
        logger.warning(f"{name}: {note}")

# Rules call `bioner` as installed beside this Python, whether or not its environment was activated. The mirror is no
# parameter of a rule: where files come from does not change what they are, and must not train anything again.
# Every job, on whatever node, is run by a Snakemake that has read this file: its environment is the job's. Nor does it
# change a result whether messages may show a corpus's text.
search_path = [str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)]
closed = {name for name in DATASETS if is_closed(DATASETS[name])}
os.environ.update(
    PATH=os.pathsep.join(search_path),
    BIONER_DATASETS=json.dumps(DATASETS),
    BIONER_CLOSED=",".join(sorted(closed - set(config["show_text"]))),
    **({"BIONER_MIRROR": str(MIRROR)} if MIRROR else {}),
    **(
        {"HF_HOME": str(Path(config["hf_home"]).expanduser())}
        if config["hf_home"]
        else {}
    ),
)
# Jobs on other nodes find models in the cache or fail at once; `prefetch` fills it where there is a network.
if config["offline"] or (config["offline"] is None and workflow.remote_exec):
    os.environ.update(HF_HUB_OFFLINE="1")
shell.prefix("set -euo pipefail; ")
if workflow.remote_exec:
    # Slurm warns all processes of a job. Those that have something to keep do; those around them must outlive them.
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    shell.prefix("set -euo pipefail; trap '' TERM USR1; ")

REPORTS = [
    "table1_instances",
    "table2_test_entities",
    "corpora",
    "table3_strict",
    "table4_inference_time",
    "table5_relaxed",
    "alignment",
    "conventions",
    "subsets",
    "paper_scoring",
    "significance",
    "cost",
    "scores",
]


def one_of(names):
    """A wildcard that is one of these names; without names it is nothing."""
    return "|".join(map(re.escape, names)) or "(?!)"


ENSEMBLES = [name for name in MODELS if MODELS[name]["family"] == "ensemble"]
# Models whose hyper-parameters are searched for.
SEARCHED = [name for name in MODELS if config["search"] and trials_of(MODELS[name])]
SINGLE = [name for name in MODELS if name not in ENSEMBLES]


wildcard_constraints:
    dataset=one_of(DATASETS),
    model=one_of(MODELS),
    seed=r"\d+",
    decoding="direct|free|free-paper|forced",
    part="(dev/)?",
    trial=one_of({name for entry in MODELS.values() for name in trials_of(entry)}),


def at_hand():
    """The corpora a run goes through: those whose files can be had.

    A dry-run needs no source. Before the first report it plans the whole matrix; afterwards, what a run would do.
    """
    if workflow.dryrun and not os.path.exists(out("reports/report.html")):
        return config["datasets"]
    present = [name for name in config["datasets"] if name not in ABSENT]
    if not present and not workflow.dryrun:
        sys.exit("No corpus of the configuration is at hand.")
    return present or config["datasets"]


def as_json(entry):
    """JSON that does not depend on the order in which somebody wrote the keys."""
    return json.dumps(entry, ensure_ascii=False, sort_keys=True)


def raw_files(wildcards):
    """What the raw files of a corpus are: it is fetched again when one of them changes, wherever it comes from."""
    raw = out(f"data/{wildcards.dataset}/raw")
    entry = DATASETS[wildcards.dataset]
    before = next((known for known in map(as_object, recorded(raw)) if known), {})
    return as_json(identities(wildcards.dataset, entry, MIRROR, Path(raw), before))


def as_object(text):
    """A JSON object from text; empty for any other text, as an earlier version of this workflow may have recorded."""
    try:
        known = json.loads(text)
    except json.JSONDecodeError:
        return {}
    return known if isinstance(known, dict) else {}


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


def cell_file(dataset, model, seed, name):
    """The path of a file of one seed, under the decoding its model is compared by."""
    decoding = headline_decoding(model)
    return out(f"results/{dataset}/{model}/seed{seed}/{decoding}/{name}")


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


def recorded(product):
    """The parameters that a file was made with, those that are text, as Snakemake recorded them."""
    values = workflow.persistence.params(IOFile(product)) or []
    return [ast.literal_eval(value) for value in values if value.startswith(("'", '"'))]


def deletions(made_from, product):
    """A parameter that counts how often `made_from` was deleted: each time its job runs again and asks for the file.

    Snakemake alone leaves a missing intermediate file be while what was made from it is there. The count so far stands
    in what Snakemake recorded with `product`.
    """

    def count(wildcards):
        source, result = (
            out(path).format(**wildcards) for path in (made_from, product)
        )
        counts = (
            re.fullmatch(r"deletions: (\d+)", value) for value in recorded(result)
        )
        before = next((int(match[1]) for match in counts if match), 0)
        return f"deletions: {before + (os.path.exists(result) and not os.path.exists(source))}"

    return count


def resource(name):
    """A resource of the model's catalogue entry."""
    return lambda wildcards: MODELS[wildcards.model]["resources"][name]


# What the profile says of the cluster; nothing on one machine.
SITE = site_of(
    {
        name: default.raw
        for name, default in (
            workflow.resource_settings.default_resources or {}
        ).items()
    }
)


def asks(gpus):
    """What a model's job asks for; `gpus` names the entry's count of GPUs. Retries ask for more memory and time."""

    def count(wildcards):
        return MODELS[wildcards.model]["resources"][gpus]

    def growing(name):
        base = resource(name)
        return lambda wildcards, attempt: grown(
            base(wildcards), attempt, SITE.get(f"max_{name}")
        )

    def slurm(name):
        return lambda wildcards: request(SITE, count(wildcards)).get(name)

    return {
        "gpus": count,
        **{name: growing(name) for name in ("mem_mb", "runtime")},
        **{name: slurm(name) for name in request(SITE, 0) | request(SITE, 1)},
    }


def trained(name):
    """Whether a model has weights: controls and ensembles have none."""
    return MODELS[name]["family"] in TRAINED


def weights(wildcards):
    """The trained model a prediction needs; none for controls. Its run.json tells whether it was trained again."""
    name = "results/{dataset}/{model}/seed{seed}/model".format(**wildcards)
    return ancient(out(name)) if trained(wildcards.model) else []


def training_record(wildcards):
    """The run.json of the training that a prediction depends on; none for controls."""
    name = "results/{dataset}/{model}/seed{seed}/run.json".format(**wildcards)
    return out(name) if trained(wildcards.model) else []


def from_hub(name):
    """Whether a model's weights are fetched from the hub: not made here, nor in a folder of the user's."""
    hub = MODELS[name]["source"]["hub"] if trained(name) else None
    return bool(
        hub and re.fullmatch(r"[\w.-]+(/[\w.-]+)?", hub) and not os.path.isdir(hub)
    )


def snapshot(wildcards):
    """What is known of the model's weights in the cache, where they are the hub's."""
    return out(f"models/{wildcards.model}.json") if from_hub(wildcards.model) else []
