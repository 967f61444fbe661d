"""A site's cluster as its profile describes it, and what jobs ask of it."""

import ast
from collections.abc import Mapping
from typing import Any

Request = dict[str, str | int]


def site_of(defaults: Mapping[str, Any]) -> dict[str, Any]:
    """What a profile's `default-resources` say, from their text: names, or Python literals as Snakemake reads them."""
    return {name: _value(text) for name, text in defaults.items()}


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
