"""Why a model could not be loaded, in words; imports no torch, so login nodes can afford it."""

import errno
import socket
import ssl
from collections.abc import Iterator
from json import JSONDecodeError
from pathlib import Path

import httpx2
from huggingface_hub.constants import HF_HUB_CACHE, HF_HUB_OFFLINE
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from bioner.errors import reason_of
from bioner.models import ADAPTER_FILE
from bioner.models.model_files import find_problem
from bioner.settings.model_entry import names_folder

UNWRITABLE = (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.EROFS)


def why_not(source: str, revision: str | None, error: Exception) -> tuple[str, str, str]:
    """Explain why a model could not be loaded.

    Returns:
        What was found, what was expected, and what to do.
    """
    reasons = list(_chain(error))
    fetch = f"`hf download {source}" + (f" --revision {revision}`" if revision else "`")
    if Path(source).is_dir():
        is_adapter = Path(source, ADAPTER_FILE).is_file()
        fault = None if is_adapter else find_problem(Path(source))
        return (
            f"no loadable model or tokenizer in this folder ({fault or reason_of(error)})",
            "a folder in Hugging Face form: config.json, weights, tokenizer",
            "Make or copy the folder again.",
        )
    if names_folder(source):
        return (
            "no such folder",
            "the folder of a model, or a hub id OWNER/NAME",
            "Correct the path.",
        )
    if any(isinstance(reason, GatedRepoError) for reason in reasons):
        return (
            "a gated model, and no leave to read it",
            "leave to read it",
            f"Accept its terms at https://huggingface.co/{source}, then `hf auth login`, or set"
            " HF_TOKEN.",
        )
    if any(isinstance(reason, RevisionNotFoundError) for reason in reasons):
        return (
            f"no revision {revision!r} of this model",
            "a branch, tag or commit",
            "Correct source.revision.",
        )
    if any(isinstance(reason, RepositoryNotFoundError) for reason in reasons):
        return (
            "no model of this name on the hub, or a private one",
            "a hub id or a local folder",
            "Correct the name; for a private model log in with `hf auth login`.",
        )
    away = next((said for said in map(_away, reasons) if said), None)
    if any(
        isinstance(reason, LocalEntryNotFoundError | OfflineModeIsEnabled) for reason in reasons
    ):
        unreachable = "the hub cannot be reached" + (f" ({away})" if away else "")
        where = "hub access is off (HF_HUB_OFFLINE)" if HF_HUB_OFFLINE else unreachable
        return (
            f"no model of this name in the cache, and {where}",
            "a model at hand",
            f"Where there is a connection, {fetch} with the same HF_HOME; or name a local folder.",
        )
    if away:
        return (
            f"that the hub cannot be reached ({away})",
            "its answer",
            "Check network, proxy (HTTPS_PROXY) and token (HF_TOKEN); "
            "or `snakemake prefetch` where there is a connection, with the same HF_HOME.",
        )
    if any(isinstance(reason, OSError) and reason.errno in UNWRITABLE for reason in reasons):
        return (
            f"{reason_of(error)} in {HF_HUB_CACHE}",
            "a cache that can be written to",
            "Make room there, or set HF_HOME to a folder that you may write in.",
        )
    return (
        f"no loadable model or tokenizer ({reason_of(error)})",
        "a hub id or a local folder",
        f"Check the name; try {fetch}.",
    )


def _away(error: BaseException) -> str | None:
    """Return why the hub did not answer, if this error says so: offline, a proxy, a login page."""
    if isinstance(error, OfflineModeIsEnabled):
        return None
    if isinstance(error, HfHubHTTPError):
        # Refused or not found: these are answers.
        return None if error.response.status_code in (401, 403, 404) else reason_of(error)
    if isinstance(error, JSONDecodeError):
        # A file of the model that is cut short begins as JSON.
        page = error.doc.strip() and not error.doc.lstrip().startswith(("{", "["))
        return "a page in place of its answer" if page else None
    if isinstance(error, UnicodeEncodeError):
        return "a token that is not ASCII" if error.encoding == "ascii" else None
    # A proxy of another scheme, or SOCKS without its package.
    if isinstance(error, ValueError | ImportError) and "proxy" in str(error):
        return reason_of(error)
    lost = (
        httpx2.TransportError,
        httpx2.InvalidURL,
        ConnectionError,
        TimeoutError,
        socket.gaierror,
        ssl.SSLError,
    )
    return reason_of(error) if isinstance(error, lost) else None


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an error and the errors that caused it."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
