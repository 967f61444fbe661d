"""The configuration, checked and completed, and the environment that all jobs have."""

import json
import os
import re
import signal
import sys

from snakemake.exceptions import WorkflowError

from bioner.settings.catalogue import is_closed, trials_of
from bioner.settings.config import load_config
from bioner.settings.matrix import load_matrix
from bioner.corpora.fetching.sources import mirror_of, why_absent
from bioner.errors import InputError

try:
    # Snakemake lists the overlays first, the file that they overlay last.
    files = [Path(file) for file in reversed(workflow.configfiles)]
    config = load_config(config, files)
    MATRIX = load_matrix(config, files)
except InputError as error:
    raise WorkflowError(str(error)) from None
DATASETS, MODELS = MATRIX.datasets, MATRIX.models


def out(path):
    """Return a path under the output folder as users write targets: without a leading `./`."""
    return path if config["out"] == "." else f"{config['out']}/{path}"


def result(path):
    """Return a path of the result tree (bioner.results.layout)."""
    return out(f"results/{path}")


MIRROR = mirror_of(config)
ABSENT = {
    name: f"left out: {why}"
    for name in config["datasets"]
    if (why := why_absent(name, DATASETS[name], MIRROR, Path(out("data"))))
}
NOTICES = {
    name: DATASETS[name]["notice"] for name in config["datasets"] if DATASETS[name]["notice"]
}
if workflow.is_main_process:
    for name, note in [*ABSENT.items(), *NOTICES.items()]:
        logger.warning(f"{name}: {note}")

# Rules call the `bioner` of this Python's environment, whether or not it was activated, by its real
# folder: make may link .venv to another environment meanwhile.
# Every job, on any node, is run by a Snakemake that has read this file: it has this environment.
# The mirror and whether messages may show a corpus's text are not parameters of rules: they do not
# change results, and must not cause new trainings.
commands = str(Path(sys.executable).parent.resolve())
search_path = [commands, os.environ.get("PATH", os.defpath)]
closed = {name for name in DATASETS if is_closed(DATASETS[name])}
os.environ.update(
    PATH=os.pathsep.join(search_path),
    BIONER_DATASETS=json.dumps(DATASETS),
    BIONER_CLOSED=",".join(sorted(closed - set(config["show_restricted_text"]))),
    # Reports leave out what another configuration trained, and draw systems by family.
    BIONER_MODELS=json.dumps(
        {
            name: MODELS[name] | ({} if config["run_search"] else {"search_space": None})
            for name in config["models"]
        }
    ),
    **({"BIONER_MIRROR": str(MIRROR)} if MIRROR else {}),
    **({"HF_HOME": str(Path(config["hf_home"]).expanduser())} if config["hf_home"] else {}),
)
# Jobs on other nodes find models in the cache, which `prefetch` fills, or fail at once.
# They need no token, and Snakemake with --verbose writes all variables into a job's log.
if config["offline"] or (config["offline"] is None and workflow.remote_exec):
    os.environ.update(HF_HUB_OFFLINE="1")
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"):
        os.environ.pop(name, None)
shell.prefix("set -euo pipefail; ")
if workflow.remote_exec:
    # Slurm warns all processes of a job. Those with something to save do so; the processes around
    # them must outlive them.
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    shell.prefix("set -euo pipefail; trap '' TERM USR1; ")


def alternatives(names):
    """Return a pattern for one of these names; without names it matches nothing."""
    return "|".join(map(re.escape, names)) or "(?!)"


SEARCHED = [name for name in MODELS if MATRIX.is_searched(name)]


wildcard_constraints:
    dataset=alternatives(DATASETS),
    model=alternatives(MODELS),
    seed=r"\d+",
    decoding="direct|free|free-paper|constrained",
    part="(dev/)?",
    trial=alternatives({name for entry in MODELS.values() for name in trials_of(entry)}),


def get_available_datasets():
    """Return the corpora of a run: those whose files are available.

    A dry-run needs no files. Before the first report it plans the whole matrix; afterwards, what a
    run would do.
    """
    if workflow.dryrun and not os.path.exists(out("reports/report.html")):
        return config["datasets"]
    present = [name for name in config["datasets"] if name not in ABSENT]
    if not present and not workflow.dryrun:
        sys.exit("No corpus of the configuration is at hand.")
    return present or config["datasets"]


def to_json(entry):
    """Return JSON that does not depend on the order of the keys."""
    return json.dumps(entry, ensure_ascii=False, sort_keys=True)
