"""A site's cluster as its profile describes it, and what jobs ask of it."""

import ast
import builtins
import difflib
import re
from collections.abc import Mapping
from typing import Any

from bioner.errors import InputError

Request = dict[str, str | int]
PARTITIONS = ("slurm_partition", "gpu_partition")
NAMES = (*PARTITIONS, "gpu_type", "slurm_account", "qos", "gpu_qos", "constraint", "gpu_constraint")
LIMITS = {"max_runtime": "minutes", "max_mem_mb": "megabytes"}
KEYS = (*NAMES, *LIMITS, "gpu_request")
GPU_TYPE = re.compile(r"\w[\w.]*", re.ASCII)  # what the executor plugin lets through
REMEDY = "Correct it in the profile's config.yaml."


def site_of(defaults: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of a profile's `default-resources` as Snakemake reads them.

    Args:
        defaults: The text of each value: a name or a Python expression.

    Raises:
        InputError: For what would silently be misread: a key that is nearly one of a site's, a
            name that Python evaluates, a limit that is no whole number, GPUs that cannot be asked
            for.
    """
    for key in defaults:
        if key not in KEYS and (near := difflib.get_close_matches(key, KEYS, n=1, cutoff=0.8)):
            raise InputError("default-resources", repr(key), near[0], REMEDY)
    for key in NAMES:
        if key in defaults:
            _check_name(key, defaults[key])
    site = {name: value_of(text) for name, text in defaults.items()}
    for name, unit in LIMITS.items():
        limit = site.get(name)
        if limit is not None and (type(limit) is not int or limit < 1):
            raise InputError(
                f"default-resources: {name}", repr(limit), f"a whole number of {unit}", REMEDY
            )
    if (how := site.get("gpu_request", "gres")) not in ("gres", "gpus"):
        raise InputError("default-resources: gpu_request", repr(how), "gres or gpus", REMEDY)
    if not GPU_TYPE.fullmatch(kind := str(site.get("gpu_type", "any"))):
        remedy = "Say \"'any'\", and choose the nodes by gpu_constraint."
        expected = "letters, digits, _ and . (the executor plugin takes no others)"
        raise InputError("default-resources: gpu_type", repr(kind), expected, remedy)
    if site.keys() & set(PARTITIONS):
        require_partitions(site)
    return site


def require_partitions(site: Mapping[str, Any]) -> None:
    """Raise InputError if a profile names no partition for jobs with or without GPUs."""
    for key in PARTITIONS:
        if not site.get(key):
            raise InputError(
                "default-resources",
                f"no {key}",
                "the cluster's partition",
                f"Name it there. {REMEDY}",
            )


def request(site: Mapping[str, Any], gpus: int) -> Request:
    """Return the executor plugin's resources for a job with so many GPUs on one node.

    `gpu_request` chooses between --gres and --gpus; with `gpu_type` `any` no type is asked for.
    Outside Slurm there are no resources.
    """
    if "gpu_partition" not in site:
        return {}
    kind = "" if site.get("gpu_type", "any") == "any" else str(site["gpu_type"])
    own: Request = {
        name: site[name] for name in ("slurm_partition", "qos", "constraint") if name in site
    }
    if not gpus:
        return own
    own |= {name: site[f"gpu_{name}"] for name in ("qos", "constraint") if f"gpu_{name}" in site}
    own["slurm_partition"] = site["gpu_partition"]
    if site.get("gpu_request", "gres") == "gres":
        return own | {"gres": ":".join(filter(None, ("gpu", kind, str(gpus))))}
    return own | {"gpu": gpus} | ({"gpu_model": kind} if kind else {})


def grown(base: int, attempt: int, limit: int | None) -> int:
    """Return what the n-th attempt of a job asks for: n times as much, up to the site's limit."""
    return min(base * attempt, limit or base * attempt)


def _check_name(key: str, text: Any) -> None:
    """Raise InputError if Snakemake, which evaluates Python, would read a name differently."""
    if text is None or str(text).strip() == "":
        raise InputError(
            f"default-resources: {key}", "nothing", "a name", "Name it, or remove the key."
        )
    try:
        ast.literal_eval(str(text))  # a name in quotes, or a number: Snakemake reads it as we do
    except (ValueError, SyntaxError):
        if hasattr(builtins, str(text)) or re.fullmatch(r"[\d\s()*/+-]+", str(text)):
            remedy = f"Write {key}: \"'{text}'\"; `bioner profile` does."
            raise InputError(
                f"default-resources: {key}", f"{text}, which Python evaluates", "text", remedy
            ) from None


def value_of(text: Any) -> Any:
    """Return what Snakemake reads: the value of a Python literal, else the text itself."""
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text
