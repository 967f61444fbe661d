"""Models of the hub, fetched whole into the cache so that jobs need no network."""

from collections.abc import Iterable
from pathlib import Path

from huggingface_hub import HfApi, hf_hub_download, snapshot_download
from huggingface_hub.constants import HF_HUB_OFFLINE
from pydantic import Field, ValidationError

from bioner.errors import InputError
from bioner.io.files import parse_json, read_text
from bioner.io.records import Record
from bioner.models.hub_errors import why_not
from bioner.models.model_files import find_problem

# What transformers reads besides weights; original checkpoints in other formats are not needed.
# A model's own code (*.py) only runs if its entry says so.
TEXTS = ("*.json", "*.txt", "*.model", "*.jinja", "*.py")


class Snapshot(Record):
    """A model in the cache: the commit that a branch, tag or commit stands for, and file sizes."""

    hub: str
    revision: str | None = None
    commit: str
    files: dict[str, int] = Field(default_factory=dict)


def fetch_snapshot(hub: str, revision: str, commit: str | None = None) -> Snapshot:
    """Fetch a model's configuration, tokenizer and weights at a branch, tag or commit.

    With hub access off (HF_HUB_OFFLINE) the cache must hold all of it.

    Args:
        commit: fetch this one, even if the branch `revision` has moved.

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
    return Snapshot(hub=hub, revision=revision, commit=folder.name, files=files)


def needed_weights(files: Iterable[str]) -> list[str]:
    """Choose the top-level files that hold a model's weights, safetensors if there are any."""
    top = [name for name in files if "/" not in name]
    safe = [name for name in top if name.startswith("model") and name.endswith(".safetensors")]
    return safe or [
        name for name in top if name.startswith("pytorch_model") and name.endswith(".bin")
    ]


def read_snapshot(path: Path) -> Snapshot:
    """Read what `bioner download-model` wrote about a model."""
    try:
        return Snapshot.model_validate(parse_json(read_text(path), str(path), whole_file=True))
    except ValidationError:
        expected, remedy = "what `bioner download-model` wrote", "Remove it and run the same again."
        raise InputError(path, "no snapshot", expected, remedy) from None
