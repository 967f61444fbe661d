"""All checks of a machine, in the order in which a run would meet what they find."""

import os
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from bioner.models.gpu_leases import gpus_here
from bioner.ops.doctor.access import check_access
from bioner.ops.doctor.allreduce import check_allreduce
from bioner.ops.doctor.cache import Source, check_snapshot, fault_of, sources
from bioner.ops.doctor.cluster import check_slurm
from bioner.ops.doctor.hardware import check_driver, check_gpus
from bioner.ops.doctor.locks import check_locks, check_rename
from bioner.ops.doctor.nf4 import check_nf4
from bioner.ops.doctor.report import Check, Finding, skip
from bioner.ops.doctor.storage import check_space
from bioner.ops.doctor.versions import check_packages, check_python
from bioner.settings.matrix import Matrix

OUT_GIB = 20  # for checkpoints, adapters and predictions; `bioner plan` says how much a run leaves
LEAST_GIB = 1  # for temporary files, and for models that do not state their size
NO_MODELS = skip("snapshot", "no model of the run comes from the hub or a folder")


def checks(
    matrix: Matrix, out: Path, gpus: int | None, offline: bool, profile: Path
) -> list[tuple[str, Check]]:
    """Return the checks and their names for a run.

    Args:
        matrix: The run.
        out: The folder that it writes in.
        gpus: How many GPUs this machine is to have.
        offline: Whether the hub is not to be asked.
        profile: The folder of the Snakemake profile.
    """
    models = matrix.required()
    found = sources(models, out / "models")
    bf16 = [name for name, entry in models.items() if entry.train.precision == "bf16"]
    most = max((entry.resources.gpus for entry in models.values()), default=1)
    temporary = Path(os.environ.get("TMPDIR") or tempfile.gettempdir())
    return [
        ("python", check_python),
        ("packages", lambda: check_packages(bool(gpus or gpus_here()))),
        ("driver", partial(check_driver, gpus)),
        ("gpus", partial(check_gpus, gpus, bf16)),
        ("nf4", check_nf4),
        ("all-reduce", check_allreduce),
        *(("snapshot", partial(check_snapshot, source)) for source in found),
        *([] if found else [("snapshot", lambda: [NO_MODELS])]),
        ("access", partial(check_access, found, offline)),
        ("space", partial(check_space, out, OUT_GIB, "out")),
        ("space", partial(check_cache, found, offline)),
        ("space", partial(check_space, temporary, LEAST_GIB, "TMPDIR", made=False)),
        ("locks", partial(check_locks, out)),
        ("rename", partial(check_rename, out)),
        ("slurm", partial(check_slurm, profile, most)),
    ]


def check_cache(found: list[Source], offline: bool) -> Iterator[Finding]:
    """Check that the hub's cache has room for the models that must still be downloaded."""
    lacking = [source for source in found if not source.is_local and fault_of(source)]
    if offline or not lacking:
        why = "offline: nothing is downloaded" if offline else "nothing is to be downloaded"
        yield skip("space", f"HF_HOME: {why}")
        return
    from huggingface_hub.constants import HF_HUB_CACHE

    downloads = sum(source.download_gb for source in lacking) * 1e9 / 2**30
    yield from check_space(Path(HF_HUB_CACHE), max(LEAST_GIB, downloads), "HF_HOME")
