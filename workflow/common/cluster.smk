"""What jobs ask of a cluster, and of one machine."""

from bioner.ops.slurm.site import grown, request, site_of


def get_resource(name):
    """A resource of the model's catalogue entry."""
    return lambda wildcards: MODELS[wildcards.model]["resources"][name]


# What the profile says of the cluster; nothing on one machine.
try:
    SITE = site_of(
        {
            name: default.raw
            for name, default in (workflow.resource_settings.default_resources or {}).items()
        }
    )
except InputError as error:
    raise WorkflowError(str(error)) from None


def get_resources(gpus, most=None):
    """What a model's job asks for; `gpus` names the entry's count of GPUs, of which it uses `most`.

    Retries ask for more memory and time.
    """

    def count(wildcards):
        wanted = MODELS[wildcards.model]["resources"][gpus]
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
