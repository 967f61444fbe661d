"""The configuration, checked and completed, and the environment that all jobs have."""

import json
import os
import re
import signal
import sys

from snakemake.exceptions import WorkflowError

from bioner.settings.config import load_config
from bioner.settings.matrix import load_matrix
from bioner.corpora.fetching.sources import mirror_of, why_absent
from bioner.errors import InputError
from bioner.ops.snakemake_internals import check_targets
from bioner.ops.targets import check_target
from bioner.results import layout

try:
    # Snakemake lists the overlays first, the file that they overlay last.
    files = [Path(file) for file in reversed(workflow.configfiles)]
    SETTINGS = load_config(config, files)
    MATRIX = load_matrix(SETTINGS, files)
except InputError as error:
    raise WorkflowError(str(error)) from None
DATASETS, MODELS = MATRIX.datasets, MATRIX.models


def check_requested(target):
    """Fail with the nearest names if no run of this configuration has a file."""
    try:
        check_target(MATRIX, target)
    except InputError as error:
        raise WorkflowError(str(error)) from None


if workflow.is_main_process:
    check_targets(check_requested)


def out(path):
    """Return a path under the output folder as users write targets: without a leading `./`."""
    return path if SETTINGS.out == "." else f"{SETTINGS.out}/{path}"


def result(path):
    """Return a path of the result tree (bioner.results.layout)."""
    return out(f"results/{path}")


MIRROR = mirror_of(SETTINGS)
ABSENT = {
    name: f"left out: {why}"
    for name in MATRIX.corpora
    if (why := why_absent(name, DATASETS[name], MIRROR, Path(out("data"))))
}
NOTICES = {name: DATASETS[name].notice for name in MATRIX.corpora if DATASETS[name].notice}
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
closed = {name for name in DATASETS if not DATASETS[name].redistributable}
os.environ.update(
    PATH=os.pathsep.join(search_path),
    BIONER_DATASETS=json.dumps({name: entry.canonical() for name, entry in DATASETS.items()}),
    BIONER_CLOSED=",".join(sorted(closed - set(SETTINGS.show_restricted_text))),
    # Reports leave out what another configuration trained, and draw systems by family.
    BIONER_MODELS=json.dumps(
        {
            name: (
                MODELS[name] if SETTINGS.run_search else MODELS[name].without_search()
            ).canonical()
            for name in SETTINGS.models
        }
    ),
    **({"BIONER_MIRROR": str(MIRROR)} if MIRROR else {}),
    **({"HF_HOME": str(Path(SETTINGS.hf_home).expanduser())} if SETTINGS.hf_home else {}),
)
# Jobs on other nodes find models in the cache, which `prefetch` fills, or fail at once.
# They need no token, and Snakemake with --verbose writes all variables into a job's log.
if SETTINGS.offline or (SETTINGS.offline is None and workflow.remote_exec):
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


wildcard_constraints:
    dataset=alternatives(DATASETS),
    model=alternatives(MODELS),
    seed=r"\d+",
    decoding="direct|free|free-paper|constrained",
    part=f"(dev/|{layout.cross_part(f'({alternatives(DATASETS)})')})?",
    trial=alternatives({name for entry in MODELS.values() for name in entry.trials()}),


def is_available(dataset):
    """Return whether the files of a corpus are available.

    A dry-run needs no files. Before the first report it plans the whole matrix; afterwards, what a
    run would do.
    """
    plans_all = workflow.dryrun and not os.path.exists(out("reports/report.html"))
    return plans_all or dataset not in ABSENT


def get_available_datasets():
    """Return the corpora of a run: those whose files are available."""
    present = list(filter(is_available, SETTINGS.datasets))
    if not present and not workflow.dryrun:
        sys.exit("No corpus of the configuration is at hand.")
    return present or SETTINGS.datasets


def get_available_corpora():
    """Return the corpora of a run, and others whose test sets its models predict."""
    others = [name for name in MATRIX.corpora if name not in SETTINGS.datasets]
    return [*get_available_datasets(), *filter(is_available, others)]


def to_json(entry):
    """Return JSON that does not depend on the order of the keys."""
    return json.dumps(entry, ensure_ascii=False, sort_keys=True)
