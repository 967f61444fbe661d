"""Reading plain or gzipped text, and writing files that appear whole or not at all."""

import errno
import gzip
import io
import json
import os
import re
import tempfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TextIO

from bioner.errors import InputError

FULL = (errno.ENOSPC, errno.EDQUOT)  # no room on the disk, or none left of a quota


def full_disk(error: BaseException) -> int | None:
    """Which of FULL an error says, also one of a library in Rust (polars, safetensors), which says
    it in words.
    """
    told = re.search(r"\(os error (\d+)\)", str(error))
    number = int(told[1]) if told else getattr(error, "errno", None)
    return number if number in FULL else None


def is_html(content: bytes) -> bool:
    """Whether a file begins as a web page: what servers send in place of data."""
    return (
        content[:200]
        .lstrip(b"\xef\xbb\xbf \t\r\n")
        .lower()
        .startswith((b"<!doctype html", b"<html"))
    )


def byte_lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """Numbered lines (from 1, with their ends) of a file, plain or `.gz`; InputError where it
    cannot be read.
    """
    try:
        with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as stream:
            yield from enumerate(stream, 1)
    except FileNotFoundError:
        raise InputError(
            path, "no such file", "a readable file", "Check the path, or run the stage before."
        ) from None
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise InputError(
            path, f"a broken gzip file ({error})", "a whole one", "Make the file again."
        ) from None
    except OSError as error:
        raise InputError(path, str(error.strerror), "a readable file", "Check the path.") from None


def decoded(path: Path, number: int, line: bytes) -> str:
    """A line as text without its end; InputError where it is not UTF-8, or several lines to those
    who wrote it.
    """
    try:
        # Editors on Windows put a byte order mark first; it is no part of the text.
        text = line.decode("utf-8-sig" if number == 1 else "utf-8").rstrip("\r\n")
    except UnicodeDecodeError as error:
        if line.startswith(b"\x1f\x8b"):
            raise InputError(
                path, "gzipped content", "plain text", "Let its name end in .gz."
            ) from None
        bad = f"bytes that are not UTF-8 ({error.reason})"
        raise InputError(
            f"{path}:{number}", bad, "UTF-8 text", "Convert the file, for example with iconv."
        ) from None
    if "\r" in text:
        remedy = "Convert the line ends, for example with tr '\\r' '\\n'."
        raise InputError(
            f"{path}:{number}", "a carriage return inside a line", "LF or CRLF ends", remedy
        )
    return text


def read_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Numbered lines (from 1, without line ends) of a UTF-8 file, plain or `.gz`."""
    for number, line in byte_lines(path):
        yield number, decoded(path, number, line)


def read_text(path: Path) -> str:
    """The whole text of a UTF-8 file, plain or `.gz`, its line ends as they are."""
    lines = list(byte_lines(path))
    for number, line in lines:
        decoded(path, number, line)  # names the line that is not UTF-8
    return b"".join(line for _, line in lines).decode("utf-8-sig")


def read_records(path: Path, keys: frozenset[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    """JSON objects of a JSON Lines file, each with its place `file:line`; every one must hold
    `keys`.
    """
    for number, line in read_lines(path):
        where = f"{path}:{number}"
        yield where, read_record(line, where, keys)


def parse_json(text: str, where: str, whole_file: bool = False) -> Any:
    """The value that JSON text holds; InputError also for half a surrogate pair, which no UTF-8
    file can hold.

    With `whole_file` the place of a fault is its line in `where`.
    """
    try:
        value = json.loads(text)
        if "\\ud" in text.lower():
            json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise InputError(
            where, "half a surrogate pair", "whole characters", "Mend or remake the file."
        ) from None
    except (ValueError, RecursionError) as error:
        found = f"broken JSON ({error})" if text.strip() else "an empty line"
        place = f"{where}:{getattr(error, 'lineno', 1)}" if whole_file else where
        raise InputError(place, found, "JSON", "Mend or remake the file.") from None
    return value


def read_record(line: str, where: str, keys: frozenset[str] = frozenset()) -> dict[str, Any]:
    """The JSON object in a line that stands at `where`. No message shows the line: it may not be
    anybody's to see.
    """
    record = parse_json(line, where)
    wanted = "an object" + (f" with the keys {', '.join(sorted(keys))}" if keys else "")
    if not isinstance(record, dict):
        raise InputError(
            where, f"a {type(record).__name__}", wanted, "Is this the right kind of file?"
        )
    if not keys <= record.keys():
        lacks = ", ".join(sorted(keys - set(record)))
        raise InputError(
            where, f"a record without {lacks}", wanted, "Is this the right kind of file?"
        )
    return record


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """A temporary path beside `path` (file or folder) that takes its name when the block ends well,
    else vanishes.

    So do folders made for it. Where the disk is full, an OSError names `path`.
    """
    path = path.resolve()  # through links; and `.` has no name of its own
    if path.exists() and not (path.is_file() or path.is_dir()):
        raise InputError(
            path, "a device or pipe", "a regular file or folder to write", "Choose another path."
        )
    new = [folder for folder in path.parents if not folder.exists()]
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{path.name}.", dir=path.parent) as scratch:
            temporary = Path(scratch) / path.name
            yield temporary
            if temporary.is_dir() and path.is_dir():
                path.replace(Path(scratch) / "previous")
            temporary.replace(path)
    except BaseException as error:
        for folder in new:
            with suppress(OSError):  # another's file is in it by now
                folder.rmdir()
        where = getattr(error, "filename", None)
        if (number := full_disk(error)) and (
            where is None or Path(str(where)).is_relative_to(path.parent)
        ):
            raise OSError(number, os.strerror(number), str(path)) from None  # writing names no file
        raise


@contextmanager
def atomic_text(path: Path) -> Iterator[TextIO]:
    """A UTF-8 text stream to `path`, gzipped without a time stamp where the name ends in `.gz`."""
    with atomic_path(path) as temporary, temporary.open("wb") as raw:
        if path.suffix == ".gz":
            with (
                gzip.GzipFile(filename="", fileobj=raw, mode="wb", mtime=0) as zipped,
                io.TextIOWrapper(zipped, encoding="utf-8", newline="\n") as text,
            ):
                yield text
        else:
            with io.TextIOWrapper(raw, encoding="utf-8", newline="\n") as text:
                yield text


def write_json(path: Path, content: object) -> None:
    """Write a JSON file whole or not at all."""
    with atomic_text(path) as stream:
        stream.write(json.dumps(content, indent=2) + "\n")


def write_records(path: Path, records: Iterable[dict[str, Any]]) -> None:
    """Write JSON Lines, whole or not at all."""
    with atomic_text(path) as stream:
        for record in records:
            stream.write(json.dumps(record, ensure_ascii=False) + "\n")
