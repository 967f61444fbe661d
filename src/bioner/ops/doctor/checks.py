"""All checks of a machine, in the order in which a run would meet what they find."""

import os
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from bioner.ops.doctor.access import check_access
from bioner.ops.doctor.allreduce import check_allreduce
from bioner.ops.doctor.cache import Source, check_snapshot, is_whole, sources
from bioner.ops.doctor.cluster import check_slurm
from bioner.ops.doctor.hardware import check_driver, check_gpus, gpus_here
from bioner.ops.doctor.locks import check_locks, check_rename
from bioner.ops.doctor.nf4 import check_nf4
from bioner.ops.doctor.report import Check, Finding, skip
from bioner.ops.doctor.storage import ENCODER_GIB, LLM_GIB, OUT_GIB, TMP_GIB, Place, check_space
from bioner.ops.doctor.versions import check_packages, check_python
from bioner.settings.catalogue import load_catalogue
from bioner.settings.config import Tree
from bioner.settings.matrix import Matrix


def checks(
    settings: Tree, out: Path, gpus: int | None, offline: bool, profile: Path
) -> list[tuple[str, Check]]:
    """Names and checks for a run of this configuration on a machine that is to have so many
    GPUs.
    """
    models = Matrix(settings, {}, load_catalogue("models", settings)).required()
    found = sources(models, out / "models")
    bf16 = [name for name, entry in models.items() if entry["train"]["precision"] == "bf16"]
    most = max((entry["resources"]["gpus"] for entry in models.values()), default=1)
    temporary = Place(
        Path(os.environ.get("TMPDIR") or tempfile.gettempdir()), TMP_GIB, "TMPDIR", made=False
    )
    return [
        ("python", check_python),
        ("packages", lambda: check_packages(bool(gpus or gpus_here()))),
        ("driver", partial(check_driver, gpus)),
        ("gpus", partial(check_gpus, gpus, bf16)),
        ("nf4", check_nf4),
        ("all-reduce", check_allreduce),
        *(("snapshot", partial(check_snapshot, source)) for source in found),
        *([] if found else [("snapshot", _none_needed)]),
        ("access", partial(check_access, found, offline)),
        ("space", partial(check_space, Place(out, OUT_GIB, "out"))),
        ("space", partial(check_cache, found, offline)),
        ("space", partial(check_space, temporary)),
        ("locks", partial(check_locks, out)),
        ("rename", partial(check_rename, out)),
        ("slurm", partial(check_slurm, profile, most)),
    ]


def check_cache(found: list[Source], offline: bool) -> Iterator[Finding]:
    """The hub's cache has room for what is yet to be downloaded."""
    lacking = [source for source in found if not source.is_local and not is_whole(source)]
    if offline or not lacking:
        why = "offline: nothing is downloaded" if offline else "nothing is to be downloaded"
        yield skip("space", f"HF_HOME: {why}")
        return
    from huggingface_hub.constants import HF_HUB_CACHE

    least = LLM_GIB if any(source.llm for source in lacking) else ENCODER_GIB
    yield from check_space(Place(Path(HF_HUB_CACHE), least, "HF_HOME"))


def _none_needed() -> Iterator[Finding]:
    yield skip("snapshot", "no model of the run comes from the hub or a folder")
