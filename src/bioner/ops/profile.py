"""A site's Snakemake profile: `profiles/slurm` with the site's values, every comment kept."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

from bioner.errors import InputError
from bioner.io.files import read_text
from bioner.ops.slurm.site import GPU_TYPE, value_of
from bioner.settings.repository import REPOSITORY

TEMPLATE = REPOSITORY / "profiles" / "slurm" / "config.yaml"


@dataclass(frozen=True, slots=True)
class Setting:
    """A key of the profile that sites change: its option, question, and what a value looks like."""

    option: str
    question: str
    expected: str
    pattern: re.Pattern[str]
    is_name: bool = True  # chosen by the site; must be quoted so that Snakemake evaluates nothing


NAME = "a name as Slurm has it, without spaces, quotes or $"
PARTITION = re.compile(r"\w[\w.+-]*(,\w[\w.+-]*)*", re.ASCII)
ONE = re.compile(r"\w[\w.+@:/-]*", re.ASCII)
FEATURES = re.compile(r"[\w(\[][\w.+:&|,*()\[\]-]*", re.ASCII)
NUMBER = re.compile(r"[1-9][0-9]{0,8}")
WHOLE = "a whole number from 1 to 999999999"
GPU_NAME = (
    "letters, digits, _ and . (the executor plugin takes no others; say any, and --gpu-constraint)"
)

SETTINGS = {
    "slurm_partition": Setting("--cpu-partition", "Partition of jobs without GPU", NAME, PARTITION),
    "gpu_partition": Setting("--gpu-partition", "Partition of jobs with GPUs", NAME, PARTITION),
    "gpu_type": Setting(
        "--gpu-type",
        "GPU type, as `sinfo -o %G` names it (any: whatever the partition has)",
        GPU_NAME,
        GPU_TYPE,
    ),
    "gpu_request": Setting(
        "--gpu-request",
        "How GPUs are asked for (gres: --gres=gpu:h100:2, gpus: --gpus=h100:2)",
        "gres or gpus",
        re.compile("gres|gpus"),
        is_name=False,
    ),
    "slurm_account": Setting("--account", "Account", NAME, ONE),
    "qos": Setting("--qos", "Quality of service", NAME, ONE),
    "gpu_qos": Setting("--gpu-qos", "Quality of service of jobs with GPUs", NAME, ONE),
    "constraint": Setting("--constraint", "Constraint", NAME, FEATURES),
    "gpu_constraint": Setting("--gpu-constraint", "Constraint of jobs with GPUs", NAME, FEATURES),
    "max_runtime": Setting(
        "--max-runtime",
        "Longest time that the partitions allow, minutes",
        WHOLE,
        NUMBER,
        is_name=False,
    ),
    "max_mem_mb": Setting(
        "--max-mem-mb", "Most memory that a node has, MB", WHOLE, NUMBER, is_name=False
    ),
    "jobs": Setting("--jobs", "Most jobs in the queue at once", WHOLE, NUMBER, is_name=False),
    "slurm-status-command": Setting(
        "--status-command",
        "What is asked after jobs (sacct where there is accounting, else squeue)",
        "squeue or sacct",
        re.compile("squeue|sacct"),
        is_name=False,
    ),
}


def check_option(key: str, value: str) -> str:
    """Return a value that makes sense for a key of the profile; raise InputError for any other."""
    setting = SETTINGS[key]
    if not setting.pattern.fullmatch(value):
        raise InputError(setting.option, repr(value), setting.expected, "Correct the value.")
    return value


def defaults_of(template: Path = TEMPLATE) -> dict[str, str]:
    """Return the profile's values; keys that are commented out have none."""
    lines = {key: _line(key, read_text(template), template) for key in SETTINGS}
    # YAML's quotes go first, then Python's.
    return {
        key: str(value_of(str(yaml.safe_load(line["value"]))))
        for key, line in lines.items()
        if not line["off"]
    }


def profile_text(values: Mapping[str, str], template: Path = TEMPLATE) -> str:
    """Return the profile with these values in place of its own; keys lose their comment sign."""
    text, known = read_text(template), defaults_of(template)
    for key, value in values.items():
        if check_option(key, value) == known.get(key):
            continue
        line = _line(key, text, template)
        # A name like min, any or 1-2 would be evaluated: the inner quotes are Python's, the outer
        # ones YAML's.
        written = f"\"'{value}'\"" if SETTINGS[key].is_name else value
        new = f"{line['indent']}{key}: {written}{line['note'] or ''}"
        text = text[: line.start()] + new + text[line.end() :]
    return text


def _line(key: str, text: str, template: Path) -> re.Match[str]:
    """Find the line of a key, which may be commented out."""
    form = rf"^(?P<indent> *)(?P<off># )?{key}: (?P<value>.*?)(?P<note> +#.*)?$"
    found = re.search(form, text, re.MULTILINE)
    if not found:
        expected = "the keys that a site changes"
        raise InputError(template, f"no {key}", expected, "Restore it with git.")
    return found
