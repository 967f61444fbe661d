"""Models of the hub, fetched whole into the cache so that jobs need no network."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from huggingface_hub import HfApi, hf_hub_download, snapshot_download
from huggingface_hub.constants import HF_HUB_OFFLINE

from bioner.errors import InputError
from bioner.io.files import parse_json, read_text
from bioner.models.hub_errors import why_not
from bioner.models.model_files import find_problem

# What transformers reads besides weights; original checkpoints in other formats are not needed.
TEXTS = ("*.json", "*.txt", "*.model", "*.jinja")


def fetch_snapshot(hub: str, revision: str, commit: str | None = None) -> dict[str, Any]:
    """Fetch a model's configuration, tokenizer and weights at a branch, tag or commit.

    With hub access off (HF_HUB_OFFLINE) the cache must hold all of it.

    Args:
        commit: fetch this one, even if the branch `revision` has moved.

    Returns:
        `hub`, `revision`, the `commit` that it stands for, and the sizes of its `files`.

    Raises:
        InputError: no such model or revision, no access, no connection, or incomplete.
    """
    wanted = commit or revision
    try:
        if HF_HUB_OFFLINE:
            # Asked for the whole snapshot, the library misses the files that are not fetched.
            folder = Path(
                hf_hub_download(hub, "config.json", revision=wanted, local_files_only=True)
            ).parent
        else:
            info = HfApi().model_info(hub, revision=wanted)
            weights = needed_weights(sibling.rfilename for sibling in info.siblings or [])
            # At the commit, since a branch may move between two files. The first call makes the
            # cache note the branch.
            snapshot_download(hub, revision=wanted, allow_patterns=["config.json"])
            folder = Path(
                snapshot_download(hub, revision=info.sha, allow_patterns=[*TEXTS, *weights])
            )
    except Exception as error:  # connections fail in many ways
        raise InputError(hub, *why_not(hub, wanted, error)) from None
    if fault := find_problem(folder):
        raise InputError(
            hub,
            f"a snapshot with {fault}",
            "all files of the model in the cache",
            "Where there is a connection: `snakemake prefetch`, with the same HF_HOME.",
        )
    files = {path.name: path.stat().st_size for path in sorted(folder.iterdir()) if path.is_file()}
    return {"hub": hub, "revision": revision, "commit": folder.name, "files": files}


def needed_weights(files: Iterable[str]) -> list[str]:
    """Choose the top-level files that hold a model's weights, safetensors if there are any."""
    top = [name for name in files if "/" not in name]
    safe = [name for name in top if name.startswith("model") and name.endswith(".safetensors")]
    return safe or [
        name for name in top if name.startswith("pytorch_model") and name.endswith(".bin")
    ]


def read_snapshot(path: Path) -> dict[str, Any]:
    """Read what `bioner download-model` wrote about a model."""
    record = parse_json(read_text(path), str(path), whole_file=True)
    if not isinstance(record, dict) or not all(
        isinstance(record.get(key), str) for key in ("hub", "commit")
    ):
        raise InputError(
            path,
            "no snapshot",
            "what `bioner download-model` wrote",
            "Remove it and run the same again.",
        )
    return record
