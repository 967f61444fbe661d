"""A site's cluster as its profile describes it, and what jobs ask of it."""

import ast
from collections.abc import Mapping
from typing import Any

from bioner.errors import InputError

Request = dict[str, str | int]
LIMITS = {"max_runtime": "minutes", "max_mem_mb": "megabytes"}
REMEDY = "Correct it in the profile's config.yaml."


def site_of(defaults: Mapping[str, Any]) -> dict[str, Any]:
    """What a profile's `default-resources` say, from their text: names, or Python literals as Snakemake reads them.

    Raises InputError for limits that are no whole numbers, and for another way to ask for GPUs than gres and gpus.
    """
    site = {name: _value(text) for name, text in defaults.items()}
    for name, unit in LIMITS.items():
        limit = site.get(name)
        if limit is not None and (type(limit) is not int or limit < 1):
            raise InputError(f"default-resources: {name}", repr(limit), f"a whole number of {unit}", REMEDY)
    if (how := site.get("gpu_request", "gres")) not in ("gres", "gpus"):
        raise InputError("default-resources: gpu_request", repr(how), "gres or gpus", REMEDY)
    return site


def request(site: Mapping[str, Any], gpus: int) -> Request:
    """The executor plugin's resources for a job with so many GPUs, all on one node; empty outside Slurm.

    `gpu_request` chooses between --gres and --gpus, `gpu_type` which GPUs (`any`: whatever the partition has). Jobs
    without GPUs ask for what `default-resources` hold.
    """
    if "gpu_partition" not in site:
        return {}
    kind = "" if site.get("gpu_type", "any") == "any" else str(site["gpu_type"])
    own: Request = {name: site[name] for name in ("slurm_partition", "qos", "constraint") if name in site}
    if not gpus:
        return own
    own |= {name: site[f"gpu_{name}"] for name in ("qos", "constraint") if f"gpu_{name}" in site}
    own["slurm_partition"] = site["gpu_partition"]
    if site.get("gpu_request", "gres") == "gres":
        return own | {"gres": ":".join(filter(None, ("gpu", kind, str(gpus))))}
    return own | {"gpu": gpus} | ({"gpu_model": kind} if kind else {})


def grown(base: int, attempt: int, limit: int | None) -> int:
    """What the n-th attempt of a job asks for: n times as much, as far as the site has or allows it."""
    return min(base * attempt, limit or base * attempt)


def _value(text: Any) -> Any:
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text
