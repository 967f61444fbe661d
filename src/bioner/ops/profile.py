"""A site's Snakemake profile: `profiles/slurm` with the site's values, every comment kept."""

import ast
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

from bioner.errors import InputError
from bioner.ops.slurm.site import GPU_TYPE
from bioner.settings.config import REPOSITORY

TEMPLATE = REPOSITORY / "profiles" / "slurm" / "config.yaml"
SECTION = re.compile(r"^ *# --- SITE\b.*?^ *# --- ---$", re.DOTALL | re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Setting:
    """A key of the profile that sites change: its option, what is asked, and what its value may
    look like.
    """

    option: str
    question: str
    expected: str
    pattern: re.Pattern[str]
    is_name: bool = True  # of the site's choice: nothing that Snakemake may take for an expression
    top: bool = False  # beside `default-resources`, not among them


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
    "jobs": Setting(
        "--jobs", "Most jobs in the queue at once", WHOLE, NUMBER, is_name=False, top=True
    ),
    "slurm-status-command": Setting(
        "--status-command",
        "What is asked after jobs (sacct where there is accounting, else squeue)",
        "squeue or sacct",
        re.compile("squeue|sacct"),
        is_name=False,
        top=True,
    ),
}


def check_option(key: str, value: str) -> str:
    """A value that makes sense for a key; InputError for any other."""
    setting = SETTINGS[key]
    if not setting.pattern.fullmatch(value):
        raise InputError(setting.option, repr(value), setting.expected, "Correct the value.")
    return value


def defaults_of(template: Path = TEMPLATE) -> dict[str, str]:
    """What the profile says as it stands; keys behind a comment sign say nothing."""
    text = _text(template)
    return {
        key: _value(line["value"])
        for key in SETTINGS
        if not (line := _line(key, text, template))["off"]
    }


def profile_text(values: Mapping[str, str], template: Path = TEMPLATE) -> str:
    """The profile with these values in place of its own; a key behind a comment sign comes to the
    fore.
    """
    text, known = _text(template), defaults_of(template)
    for key, value in values.items():
        if check_option(key, value) == known.get(key):
            continue
        line = _line(key, text, template)
        # A name like min, any or 1-2 would be evaluated: the inner quotes are Python's, the outer
        # ones YAML's.
        written = f"\"'{value}'\"" if SETTINGS[key].is_name else value
        text = (
            f"{text[: line.start()]}{line['indent']}{key}:"
            f" {written}{line['note'] or ''}{text[line.end() :]}"
        )
    return text


def _text(template: Path) -> str:
    try:
        return template.read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError):
        raise InputError(template, "no such file", "the profile", "Restore it with git.") from None


def _line(key: str, text: str, template: Path) -> re.Match[str]:
    """Where the profile has a key, behind a comment sign or not."""
    section = SECTION.search(text)
    form = rf"^(?P<indent> *)(?P<off># )?{key}: (?P<value>.*?)(?P<note> +#.*)?$"
    if SETTINGS[key].top:
        found = re.compile(form, re.MULTILINE).search(text)
    else:
        found = section and re.compile(form, re.MULTILINE).search(
            text, section.start(), section.end()
        )
    if not found:
        raise InputError(
            template, f"no {key}", "the keys that a site changes", "Restore it with git."
        )
    return found


def _value(written: str) -> str:
    """The text that stands for: YAML's quotes taken away, then Python's."""
    value = str(yaml.safe_load(written))
    try:
        return str(ast.literal_eval(value))
    except (ValueError, SyntaxError):
        return value
