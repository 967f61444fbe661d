"""Download one address to one cached file: resumed, retried, and never fetched twice."""

import hashlib
import logging
import os
import time
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

import requests
from filelock import FileLock
from platformdirs import user_cache_path
from requests.adapters import HTTPAdapter
from urllib3.util.retry import Retry

from bioner.io.progress_bars import Meter

log = logging.getLogger(__name__)

ATTEMPTS = 5
RETRY_BACKOFF = 1.0  # seconds before the second attempt; doubles with each
BUSY = (408, 425, 429, 500, 502, 503, 504)
CHUNK = 1 << 13  # bytes that a broken connection can lose


def cached(url: str) -> Path | None:
    """Return the file that an earlier download of `url` completed, if any."""
    target = _place(url)
    return target if target.is_file() else None


def download(url: str, anew: bool = False) -> Path:
    """Return the file at `url`, from the cache (`$BIONER_CACHE`, or the user's) or downloaded.

    An interrupted download leaves its part and resumes from there, in this call or a later one, if
    the server supports it (RFC 9110, section 14; `If-Range` guards against a changed file).

    Args:
        url: The address.
        anew: Download again even if the file is cached.

    Raises:
        OSError: The download failed.
    """
    target = _place(url)
    target.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{target}.lock"):  # the second of two callers waits and finds the file
        if anew:
            target.unlink(missing_ok=True)
        if not target.is_file():
            log.info("fetch: downloading %s", url)
            _complete(url, target)
    return target


def _place(url: str) -> Path:
    cache = Path(os.environ.get("BIONER_CACHE") or user_cache_path("bioner"))
    return cache / hashlib.sha256(url.encode()).hexdigest()[:32]


def _complete(url: str, target: Path) -> None:
    # urllib3 retries what fails before the first byte; the loop resumes what breaks off later.
    retries = Retry(
        total=ATTEMPTS - 1, backoff_factor=RETRY_BACKOFF, status_forcelist=BUSY, retry_after_max=60
    )
    with requests.Session() as session:
        for scheme in ("http://", "https://"):
            session.mount(scheme, HTTPAdapter(max_retries=retries))
        for attempt in range(1, ATTEMPTS + 1):
            try:
                _advance(session, url, target)
                return
            except (
                requests.exceptions.ChunkedEncodingError,
                requests.exceptions.ConnectionError,
            ) as error:
                begun = target.with_suffix(".part").is_file()
                if attempt == ATTEMPTS or not begun:
                    raise
                log.info("fetch: %s broke off (%s); going on", url, type(error).__name__)
                time.sleep(RETRY_BACKOFF * 2 ** (attempt - 1))


def _advance(session: requests.Session, url: str, target: Path) -> None:
    """Fetch the rest of the file and give it its name when it is complete."""
    part, mark = target.with_suffix(".part"), target.with_suffix(".etag")
    etag = mark.read_text() if mark.is_file() else ""
    have = part.stat().st_size if part.is_file() and etag else 0
    # With a compressed transfer, byte ranges would count other bytes.
    headers = {"Accept-Encoding": "identity"}
    if have:
        headers |= {"Range": f"bytes={have}-", "If-Range": etag}
    with session.get(url, headers=headers, stream=True, timeout=(30, 60)) as answer:
        if answer.status_code == requests.codes.requested_range_not_satisfiable:
            part.unlink()
            return _advance(session, url, target)
        answer.raise_for_status()
        goes_on = answer.status_code == requests.codes.partial_content
        # Only a strong validator identifies the bytes; without one, the download restarts.
        validator = answer.headers.get("ETag") or answer.headers.get("Last-Modified") or ""
        mark.write_text("" if validator.startswith("W/") else validator)
        there = have if goes_on else 0
        coming = answer.headers.get("Content-Length", "")
        total = there + int(coming) if coming.isdecimal() else None
        task = f"fetch: {PurePosixPath(urlsplit(url).path).name}"
        with (
            part.open("ab" if goes_on else "wb") as stream,
            Meter(task, "MB", total, done=there, scale=1e6) as meter,
        ):
            for chunk in answer.iter_content(CHUNK):
                stream.write(chunk)
                meter.advance(len(chunk))
    part.replace(target)
    mark.unlink()
    return None
