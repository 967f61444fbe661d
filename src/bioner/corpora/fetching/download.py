"""One address to one file in a cache: what broke off goes on, what failed is tried again, nothing
is fetched twice.
"""

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
RETRY_BACKOFF = 1.0  # seconds before the second attempt; doubled before each further one
BUSY = (408, 425, 429, 500, 502, 503, 504)
CHUNK = 1 << 13  # bytes; what a broken connection loses at most


def cached(url: str) -> Path | None:
    """The file at `url` where an earlier download left it whole."""
    target = _place(url)
    return target if target.is_file() else None


def download(url: str, anew: bool = False) -> Path:
    """The file at `url`, in the cache (`$BIONER_CACHE`, or the user's); `anew` distrusts what is
    there.

    A download that breaks off leaves its part behind and goes on from there, in this call or in a
    later one, where the server can (RFC 9110, section 14; `If-Range` guards against a file that
    changed meanwhile). Raises OSError when it cannot be had.
    """
    target = _place(url)
    target.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{target}.lock"):  # of two that want it, one waits and finds it there
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
    # urllib3 tries again what fails before the first byte; the loop, what breaks off after it.
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
    """Get what is still missing of the file; it takes its name when it is whole."""
    part, mark = target.with_suffix(".part"), target.with_suffix(".etag")
    etag = mark.read_text() if mark.is_file() else ""
    have = part.stat().st_size if part.is_file() and etag else 0
    # Compressed transfer would make byte ranges of something else.
    headers = {"Accept-Encoding": "identity"}
    if have:
        headers |= {"Range": f"bytes={have}-", "If-Range": etag}
    with session.get(url, headers=headers, stream=True, timeout=(30, 60)) as answer:
        if answer.status_code == requests.codes.requested_range_not_satisfiable:
            part.unlink()
            return _advance(session, url, target)
        answer.raise_for_status()
        goes_on = answer.status_code == requests.codes.partial_content
        # Only a strong validator names the very bytes; without one a broken download begins again.
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
