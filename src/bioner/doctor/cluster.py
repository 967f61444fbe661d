"""Slurm: whether the cluster has what the profile names."""

import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bioner.doctor.report import Finding, fail, ok, skip
from bioner.errors import InputError
from bioner.slurm.site import site_of
from bioner.yaml_files import read_yaml

PATIENCE = 30  # seconds for an answer of Slurm's controller
KEYS = ("slurm_partition", "gpu_partition")


@dataclass(frozen=True, slots=True)
class Partition:
    """The types of GPUs that nodes of a partition offer ('' where untyped), and minutes a job may take at most."""

    gpus: frozenset[str]
    limit: int | None


def check_slurm(profile: Path) -> Iterator[Finding]:
    """The profile's partitions are there, with GPUs of its type, and let jobs run as long as they may ask for."""
    if shutil.which("sinfo") is None:
        yield skip("slurm", "no sinfo on PATH: no Slurm cluster")
        return
    file = profile / "config.yaml"
    defaults = read_yaml(file).get("default-resources")
    try:
        site = site_of(defaults if isinstance(defaults, dict) else {})
    except InputError as error:
        yield fail("slurm", f"{file}: {error}", "It is a site's own value.")
        return
    if lacking := [key for key in KEYS if not site.get(key)]:
        yield fail("slurm", f"{file}: no {lacking[0]} under default-resources", "Name the cluster's partition there.")
        return
    done = subprocess.run(
        ["sinfo", "-h", "-o", "%P|%G|%l"], capture_output=True, text=True, check=False, timeout=PATIENCE
    )
    if done.returncode:
        said = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        yield fail("slurm", said, "Log in where `sinfo` works, or have SLURM_CONF set; the controller may be down.")
        return
    faults = list(_faults(file, site, partitions(done.stdout)))
    yield from faults
    if not faults:
        named = " and ".join(dict.fromkeys(str(site[key]) for key in KEYS))
        yield ok("slurm", f"partitions {named}, GPUs of type {site.get('gpu_type', 'any')}")


def partitions(text: str) -> dict[str, Partition]:
    """What `sinfo -h -o '%P|%G|%l'` lists: a line for each kind of node in a partition."""
    found: dict[str, Partition] = {}
    for line in filter(str.strip, text.splitlines()):
        name, gres, limit = line.rsplit("|", 2)
        name = name.strip().rstrip("*")  # the default partition's mark
        before = found[name].gpus if name in found else frozenset()
        found[name] = Partition(before | _gpu_types(gres), minutes(limit.strip()))
    return found


def minutes(limit: str) -> int | None:
    """Minutes of a time as Slurm writes it ([days-]hours:minutes:seconds); None for one without end."""
    matched = re.fullmatch(r"(?:(\d+)-)?(?:(\d+):)?(\d+):\d+", limit)
    if matched is None:
        return None
    days, hours, rest = (int(part or 0) for part in matched.groups())
    return (days * 24 + hours) * 60 + rest


def _faults(file: Path, site: Mapping[str, Any], found: Mapping[str, Partition]) -> Iterator[Finding]:
    for key in KEYS:
        for name in _names(site[key]):
            if name not in found:
                remedy = f"Set {key} in {file}."
                yield fail("slurm", f"no partition {name!r}; the cluster has {', '.join(sorted(found))}", remedy)
    # Of several partitions a job takes the first that it fits in.
    named = [found[name] for name in _names(site["gpu_partition"]) if name in found]
    if not named:
        return
    kind, offered = str(site.get("gpu_type", "any")), frozenset[str]().union(*(partition.gpus for partition in named))
    if not offered or (kind != "any" and kind not in offered):
        types = ", ".join(sorted(name or "without a type" for name in offered)) or "none"
        remedy = f"Set gpu_partition and gpu_type in {file}; `any` takes what there is."
        yield fail("slurm", f"no GPU {kind} in the partition {site['gpu_partition']!r}; it offers {types}", remedy)
    limits = [partition.limit for partition in named if partition.limit is not None]
    asked = site.get("max_runtime")
    if isinstance(asked, int) and len(limits) == len(named) and asked > max(limits):
        told = f"max_runtime is {asked} minutes, the partition {site['gpu_partition']!r} allows {max(limits)}"
        yield fail("slurm", told, f"Set max_runtime in {file} to {max(limits)}: longer jobs would wait for ever.")


def _names(partition: object) -> list[str]:
    return str(partition).split(",")


def _gpu_types(gres: str) -> frozenset[str]:
    """Types in `gpu:h100:4(S:0-1),shard:8`; '' for GPUs without one (`gpu:4`)."""
    items = [item.strip().split(":") for item in re.sub(r"\([^)]*\)", "", gres).split(",")]
    gpus = [item for item in items if item[0] == "gpu"]
    return frozenset("" if len(item) == 1 or item[1].isdigit() else item[1] for item in gpus)
