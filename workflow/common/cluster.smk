"""Resources of jobs, on a cluster and on one machine."""

from bioner.models.gpu_leases import visible_cards
from bioner.ops.slurm.site import grown, request, site_of
from bioner.ops.snakemake_internals import limit_resource


def get_resource(name):
    """Return an input function for a resource of the model's catalogue entry."""
    return lambda wildcards: getattr(MODELS[wildcards.model].resources, name)


# The cluster as described in the profile; empty on one machine.
try:
    SITE = site_of(
        {
            name: default.raw
            for name, default in (workflow.resource_settings.default_resources or {}).items()
        }
    )
except InputError as error:
    raise WorkflowError(str(error)) from None

if not SITE and workflow.is_main_process:
    limit_resource(workflow, "gpus", len(visible_cards()))


def get_resources(gpus, most=None):
    """Return the resources of a model's job; retries get more memory and time.

    `gpus` names the number of GPUs in the model's entry; at most `most` of them are requested.
    """

    def count(wildcards):
        wanted = getattr(MODELS[wildcards.model].resources, gpus)
        return wanted if most is None else min(wanted, most)

    def growing(name):
        base = get_resource(name)
        return lambda wildcards, attempt: grown(base(wildcards), attempt, SITE.get(f"max_{name}"))

    def slurm(name):
        return lambda wildcards: request(SITE, count(wildcards)).get(name)

    return {
        "gpus": count,
        **{name: growing(name) for name in ("mem_mb", "runtime")},
        **{name: slurm(name) for name in request(SITE, 0) | request(SITE, 1)},
    }
