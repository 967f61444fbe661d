"""Slurm: whether the cluster has what the profile names."""

import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bioner.errors import InputError
from bioner.ops.doctor.report import Finding, fail, ok, skip
from bioner.ops.slurm.plugin import has_accounting, remembered
from bioner.ops.slurm.site import PARTITIONS, require_partitions, site_of
from bioner.settings.yaml_files import read_yaml

SLURM_TIMEOUT = 30  # seconds for an answer of Slurm's controller
SCORES = 120  # minutes that realigning and scoring, one job, ask for
# seconds; Snakemake asks after its jobs every 180, and never hears of those that Slurm has
# forgotten
FORGOTTEN = 200


@dataclass(frozen=True, slots=True)
class Partition:
    """What a partition's nodes offer: GPUs by type ('' where untyped), minutes a job may take,
    memory in MB.
    """

    gpus: Mapping[str, int]
    limit: int | None
    memory: int | None = None

    def count(self, kind: str) -> int:
        """The most GPUs of a type that one node has; of `any`, of whatever type."""
        return max(
            (number for name, number in self.gpus.items() if kind in ("any", name)), default=0
        )


def check_slurm(profile: Path, gpus: int = 1) -> Iterator[Finding]:
    """The profile's partitions are there, with nodes that hold the jobs it asks for; `gpus` is the
    most a job takes.
    """
    if shutil.which("sinfo") is None:
        yield skip("slurm", "no sinfo on PATH: no Slurm cluster")
        return
    file = profile / "config.yaml"
    defaults = read_yaml(file).get("default-resources")
    try:
        site = site_of(_as_mapping(defaults))
        require_partitions(site)
    except InputError as error:
        yield fail("slurm", f"{file}: {error}", "It is a site's own value.")
        return
    done = subprocess.run(
        ["sinfo", "-h", "-o", "%P|%G|%l|%m"],
        capture_output=True,
        text=True,
        check=False,
        timeout=SLURM_TIMEOUT,
    )
    found = partitions(done.stdout)
    if done.returncode or not found:
        said = (
            done.stderr.strip().splitlines()
            or [f"sinfo lists no partition (exit code {done.returncode})"]
        )[-1]
        yield fail(
            "slurm",
            said,
            "Log in where `sinfo` works, or have SLURM_CONF set; the controller may be down.",
        )
        return
    faults = [*_faults(file, site, found, gpus), *_memory_of_slurm()]
    yield from faults
    if not faults:
        named = " and ".join(dict.fromkeys(str(site[key]) for key in PARTITIONS))
        yield ok("slurm", f"partitions {named}, GPUs of type {site.get('gpu_type', 'any')}")


def partitions(text: str) -> dict[str, Partition]:
    """What `sinfo -h -o '%P|%G|%l|%m'` lists: a line for each kind of node in a partition; other
    lines are passed.
    """
    found: dict[str, Partition] = {}
    for line in text.splitlines():
        if line.count("|") < 3:
            continue  # a banner of the site's
        name, gres, limit, memory = line.rsplit("|", 3)
        name = name.strip().rstrip("*")  # the default partition's mark
        before = found.get(name, Partition({}, None))
        gpus = dict(before.gpus)
        for kind, count in _gpus(gres).items():
            gpus[kind] = max(count, gpus.get(kind, 0))
        most = int(digits) if (digits := memory.strip().rstrip("+")).isdigit() else None
        sizes = [size for size in (before.memory, most) if size is not None]
        found[name] = Partition(gpus, minutes(limit.strip()), max(sizes, default=None))
    return found


def minutes(limit: str) -> int | None:
    """Minutes of a time as Slurm writes it ([days-]hours:minutes:seconds); None for one without
    end.
    """
    matched = re.fullmatch(r"(?:(\d+)-)?(?:(\d+):)?(\d+):\d+", limit)
    if matched is None:
        return None
    days, hours, rest = (int(part or 0) for part in matched.groups())
    return (days * 24 + hours) * 60 + rest


def _faults(
    file: Path, site: Mapping[str, Any], found: Mapping[str, Partition], needed: int
) -> Iterator[Finding]:
    for key in PARTITIONS:
        for name in _names(site[key]):
            if name not in found:
                remedy = f"Set {key} in {file}."
                yield fail(
                    "slurm",
                    f"no partition {name!r}; the cluster has {', '.join(sorted(found))}",
                    remedy,
                )
    # Of several partitions a job takes the first that it fits in.
    named = [found[name] for name in _names(site["gpu_partition"]) if name in found]
    if named:
        yield from _gpu_faults(file, site, named, needed)
        told = "longer jobs would wait for ever"
        yield from _limits(file, site, "gpu_partition", named, site.get("max_runtime"), told)
    plain = [found[name] for name in _names(site["slurm_partition"]) if name in found]
    if plain:
        told = "realigning and scoring a prediction, one job, would wait for ever"
        yield from _limits(file, site, "slurm_partition", plain, SCORES, told)


def _gpu_faults(
    file: Path, site: Mapping[str, Any], named: Sequence[Partition], needed: int
) -> Iterator[Finding]:
    where = f"the partition {site['gpu_partition']!r}"
    kind, offered = (
        str(site.get("gpu_type", "any")),
        {name for partition in named for name in partition.gpus},
    )
    most = max(partition.count(kind) for partition in named)
    if not most:
        types = ", ".join(sorted(name or "without a type" for name in offered)) or "none"
        remedy = (
            f"Set gpu_partition and gpu_type in {file}; \"'any'\", in both quotes, takes what"
            " there is."
        )
        yield fail("slurm", f"no GPU {kind} in {where}; it offers {types}", remedy)
    elif most < needed:
        remedy = (
            "Set `resources.gpus` of the model to what a node has: the batch stays as it is, in"
            " more parts."
        )
        yield fail(
            "slurm",
            f"nodes of {where} have {most} GPUs, a model of the run takes {needed} on one node",
            remedy,
        )
    sizes = [partition.memory for partition in named if partition.memory is not None]
    asked = site.get("max_mem_mb")
    if isinstance(asked, int) and len(sizes) == len(named) and asked > max(sizes):
        told = f"max_mem_mb is {asked} MB, nodes of {where} have {max(sizes)}"
        yield fail(
            "slurm",
            told,
            f"Set max_mem_mb in {file} to {max(sizes)}: larger jobs would wait for ever.",
        )


def _limits(
    file: Path,
    site: Mapping[str, Any],
    key: str,
    named: Sequence[Partition],
    asked: object,
    consequence: str,
) -> Iterator[Finding]:
    limits = [partition.limit for partition in named if partition.limit is not None]
    if not isinstance(asked, int) or len(limits) < len(named) or asked <= max(limits):
        return
    if key == "gpu_partition":
        told = f"max_runtime is {asked} minutes, the partition {site[key]!r} allows {max(limits)}"
        yield fail("slurm", told, f"Set max_runtime in {file} to {max(limits)}: {consequence}.")
    else:
        told = f"the partition {site[key]!r} allows {max(limits)} minutes, {asked} are asked for"
        yield fail("slurm", told, f"Set {key} in {file} to a longer one: {consequence}.")


def _memory_of_slurm() -> Iterator[Finding]:
    """Where nothing keeps an account of jobs, Slurm must remember them until Snakemake asks."""
    seconds = remembered()
    if seconds is not None and seconds < FORGOTTEN and not has_accounting():
        told = f"no accounting, and Slurm forgets jobs {seconds} s after their end (MinJobAge)"
        yield fail(
            "slurm",
            told,
            "Have it raised to 300: what ends between two questions is waited for for ever.",
        )


def _as_mapping(defaults: object) -> dict[str, Any]:
    """`default-resources` as Snakemake takes them: a mapping, or a list of `key=value`."""
    if isinstance(defaults, list):
        return {key: value for key, _, value in (str(item).partition("=") for item in defaults)}
    return defaults if isinstance(defaults, dict) else {}


def _names(partition: object) -> list[str]:
    return str(partition).split(",")


def _gpus(gres: str) -> dict[str, int]:
    """GPUs a node by type in `gpu:h100:4(S:0-1),shard:8`; '' for those without one (`gpu:4`)."""
    items = [item.strip().split(":") for item in re.sub(r"\([^)]*\)", "", gres).split(",")]
    found = {}
    for _, *rest in (item for item in items if item[0] == "gpu"):
        *kind, count = rest if rest and rest[-1].isdigit() else [*rest, "1"]
        found["".join(kind)] = int(count)
    return found
