"""Slurm: whether it takes the jobs that the profile describes."""

import math
import re
import shutil
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from bioner.ops.doctor.report import Finding, fail, ok, skip
from bioner.ops.slurm.commands import SlurmError, ask
from bioner.ops.slurm.plugin import has_accounting, remembered
from bioner.ops.slurm.site import PARTITIONS, request, require_partitions, site_of
from bioner.settings.yaml_files import read_yaml

SCORES = 120  # minutes that realigning and scoring, one job, ask for
# seconds; Snakemake asks for the state of its jobs every 180 s, and never hears of jobs that Slurm
# has forgotten
FORGOTTEN = 200


def check_slurm(profile: Path, gpus: int = 1) -> Iterator[Finding]:
    """Check that Slurm takes the jobs of this profile, which ask for at most `gpus` GPUs.

    Raises:
        InputError: The profile is wrong, or Slurm does not answer (SlurmError).
    """
    if shutil.which("sbatch") is None:
        yield skip("slurm", "no sbatch on PATH: no Slurm cluster")
        return
    file = profile / "config.yaml"
    site = site_of(_as_mapping(read_yaml(file).get("default-resources")))
    require_partitions(site)
    faults = [*_time_limits(file, site), *_refusals(file, site, gpus), *_memory_of_slurm()]
    yield from faults
    if not faults:
        named = " and ".join(dict.fromkeys(str(site[key]) for key in PARTITIONS))
        yield ok("slurm", f"partitions {named}, GPUs of type {site.get('gpu_type', 'any')}")


def minutes(limit: str) -> float:
    """Return the minutes in sinfo's [days-][hours:]minutes:seconds, infinity for `infinite`."""
    matched = re.fullmatch(r"(?:(\d+)-)?(?:(\d+):)?(\d+):\d+", limit)
    if matched is None:
        return math.inf
    days, hours, rest = (int(part or 0) for part in matched.groups())
    return (days * 24 + hours) * 60 + rest


def _time_limits(file: Path, site: Mapping[str, Any]) -> Iterator[Finding]:
    """Find partitions that allow too little time: Slurm may take such jobs and never start them."""
    jobs = [
        ("gpu_partition", "max_runtime", site.get("max_runtime") or 0),
        ("slurm_partition", "the time for realigning and scoring", SCORES),
    ]
    for key, what, asked in jobs:
        limits = ask("sinfo", "--noheader", f"--partition={site[key]}", "--format=%l").split()
        allowed = max(map(minutes, limits), default=math.inf)  # jobs take any partition that fits
        if asked > allowed:
            told = f"{what} is {asked} minutes, the partition {site[key]!r} allows {allowed}"
            setting = f"max_runtime to {allowed}, or {key}" if what == "max_runtime" else key
            remedy = f"Set {setting} to a longer partition in {file}: jobs would wait for ever."
            yield fail("slurm", told, remedy)


def _refusals(file: Path, site: Mapping[str, Any], gpus: int) -> Iterator[Finding]:
    """Find the settings with which Slurm refuses a job without GPUs or with the most."""
    for count in (0, max(gpus, 1)):
        options = _options(site, count)
        reason = _refusal(options.values())
        if reason is None:
            continue
        # At fault is a setting without which Slurm takes the job; none is found if two are wrong.
        culprits = [
            setting
            for setting, option in options.items()
            if _refusal(other for other in options.values() if other != option) is None
        ]
        remedy = (
            f"Set {' or '.join(culprits or options)} in {file}; `sinfo -o '%P %G %m %f %T'` lists"
            " partitions, GPUs, memory, features and states of the nodes."
        )
        found = f"Slurm refuses a job with {' '.join(options.values())} ({reason})"
        yield fail("slurm", found, remedy)


def _refusal(options: Iterable[str]) -> str | None:
    """Return why Slurm refuses a job with these options of sbatch; None if it takes it."""
    try:
        ask("sbatch", "--test-only", "--nodes=1", "--time=1", *options, "--wrap=true")
    except SlurmError as error:
        return error.reason
    return None


def _options(site: Mapping[str, Any], gpus: int) -> dict[str, str]:
    """Return the options of sbatch for a job with so many GPUs, by setting of the profile."""
    asked = request(site, gpus)
    kind = "gpu_" if gpus else ""
    typed = ":".join(str(asked[name]) for name in ("gpu_model", "gpu") if name in asked)
    gpus_asked = ("gpus", typed) if typed else ("gres", asked.get("gres"))
    options = {
        "slurm_account": ("account", site.get("slurm_account")),
        f"{kind or 'slurm_'}partition": ("partition", asked["slurm_partition"]),
        f"{kind}qos": ("qos", asked.get("qos")),
        f"{kind}constraint": ("constraint", asked.get("constraint")),
        "max_mem_mb": ("mem", site.get("max_mem_mb") if gpus else None),
        "gpu_type (or `resources.gpus` of the model)": gpus_asked,
    }
    return {setting: f"--{option}={value}" for setting, (option, value) in options.items() if value}


def _memory_of_slurm() -> Iterator[Finding]:
    """Find a Slurm without accounting that forgets jobs before Snakemake asks for their state."""
    seconds = remembered()
    if seconds is not None and seconds < FORGOTTEN and not has_accounting():
        told = f"no accounting, and Slurm forgets jobs {seconds} s after their end (MinJobAge)"
        remedy = "Have it raised to 300: what ends between two questions is waited for for ever."
        yield fail("slurm", told, remedy)


def _as_mapping(defaults: object) -> dict[str, Any]:
    """Return `default-resources` as a mapping; Snakemake also takes a list of `key=value`."""
    if isinstance(defaults, list):
        return {key: value for key, _, value in (str(item).partition("=") for item in defaults)}
    return defaults if isinstance(defaults, dict) else {}
