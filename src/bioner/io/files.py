"""Read plain or gzipped text; write files that appear completely or not at all."""

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
from typing import Any, BinaryIO, TextIO

from bioner.errors import InputError

FULL = (errno.ENOSPC, errno.EDQUOT)  # disk full, or quota used up


def full_disk(error: BaseException) -> int | None:
    """Return which of FULL an error says; libraries in Rust (polars, safetensors) use words."""
    told = re.search(r"\(os error (\d+)\)", str(error))
    number = int(told[1]) if told else getattr(error, "errno", None)
    return number if number in FULL else None


# First bytes of what stands in place of a file, and of files that are no plain text; what they are
# and what to do.
PLACEHOLDERS = {
    b"version https://git-lfs.github.com/spec/": (
        "a Git LFS pointer",
        "Run `git lfs pull` in the repository it comes from.",
    ),
    b"/annex/objects/": ("a git-annex pointer", "Run `git annex get` where it comes from."),
}
NO_TEXT = {
    b"\x1f\x8b": ("gzipped content", "Let its name end in .gz."),
    b"BZh91AY&SY": ("bzip2 content", "Unpack it."),
    b"\xfd7zXZ\0": ("xz content", "Unpack it."),
    b"PK\x03\x04": ("a zip archive or a spreadsheet", "Unpack it, or save the sheet as text."),
    # PAR1 alone is a gene, too; what follows is Thrift's mark of a number.
    b"PAR1\x15": ("a parquet file", "State `format: parquet`."),
    b"SQLite format 3\0": ("an SQLite database", "Export its table as text."),
    b"%PDF-": ("a PDF file", "Get the text it was made from."),
    b"\xff\xfe": ("UTF-16 text", "Convert it to UTF-8, for example with iconv."),
    b"\xfe\xff": ("UTF-16 text", "Convert it to UTF-8, for example with iconv."),
}
HEAD = 200  # bytes that suffice to tell


def find_placeholder(content: bytes) -> tuple[str, str] | None:
    """Return what stands in place of data in a file, and what to do about it.

    Servers send web pages; a clone without Git LFS or git-annex has pointers.
    """
    head = content[:HEAD].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if head.startswith((b"<!doctype html", b"<html")):
        return "an HTML page", "Open its address in a browser: is it a login or error page?"
    return next((told for first, told in PLACEHOLDERS.items() if content.startswith(first)), None)


def find_kind(content: bytes) -> tuple[str, str] | None:
    """Return what a file is that holds no text, by its first bytes, and what to do about it."""
    kinds = (told for first, told in NO_TEXT.items() if content.startswith(first))
    return find_placeholder(content) or next(kinds, None)


def files_of(path: Path) -> list[Path]:
    """Return a file itself, or the files of a folder in order of their relative paths.

    Hidden files and what hidden folders hold are left out.

    Raises:
        InputError: A folder without files.
    """
    if not path.is_dir():
        return [path]
    places = {file.relative_to(path): file for file in path.rglob("*") if not file.is_dir()}
    visible = [place for place in places if not any(part.startswith(".") for part in place.parts)]
    if not visible:
        raise InputError(path, "a folder without files", "at least one", "Check the path.")
    return [places[place] for place in sorted(visible, key=Path.as_posix)]


def byte_lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """Yield the numbered lines (from 1, with their ends) of a file, plain or `.gz`.

    Raises:
        InputError: The file cannot be read, or begins as no text does.
    """
    try:
        with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as stream:
            if kind := find_kind(stream.peek(HEAD)):
                raise InputError(path, kind[0], "text in UTF-8", kind[1])
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
    """Return a line as text without its end.

    Raises:
        InputError: The line is not UTF-8, or has a NUL byte or a carriage return inside.
    """
    try:
        # Editors on Windows write a byte order mark, which is not part of the text.
        text = line.decode("utf-8-sig" if number == 1 else "utf-8").rstrip("\r\n")
    except UnicodeDecodeError as error:
        raise InputError(
            f"{path}:{number}",
            f"bytes that are not UTF-8 ({error.reason})",
            "UTF-8 text",
            "Convert the file, for example with iconv.",
        ) from None
    if "\0" in text:
        raise InputError(
            f"{path}:{number}",
            "a NUL byte",
            "text in UTF-8",
            "Is this a text file? Convert it if it is UTF-16, for example with iconv.",
        )
    if "\r" in text:
        raise InputError(
            f"{path}:{number}",
            "a carriage return inside a line",
            "LF or CRLF ends",
            "Convert the line ends, for example with tr '\\r' '\\n'.",
        )
    return text


def read_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Yield the numbered lines (from 1, without line ends) of a UTF-8 file, plain or `.gz`."""
    for number, line in byte_lines(path):
        yield number, decoded(path, number, line)


def read_text(path: Path) -> str:
    """Return the text of a UTF-8 file, plain or `.gz`, with its line ends unchanged."""
    lines = list(byte_lines(path))
    for number, line in lines:
        decoded(path, number, line)  # names the line that is not UTF-8
    return b"".join(line for _, line in lines).decode("utf-8-sig")


def read_records(path: Path, keys: frozenset[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the objects of a JSON Lines file, each with its place; all must have `keys`."""
    for number, line in read_lines(path):
        where = f"{path}:{number}"
        yield where, read_record(line, where, keys)


def read_json_values(path: Path) -> Iterator[tuple[str, Any]]:
    """Yield the JSON values of a file, each with its place: one per line, or one for all lines."""
    lines = [(f"{path}:{number}", line) for number, line in read_lines(path) if line.strip()]
    if len(lines) > 1 and _is_json(lines[0][1]):
        for where, line in lines:
            yield where, parse_json(line, where)
    else:
        yield str(path), parse_json(read_text(path), str(path), whole_file=True)


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def parse_json(text: str, where: str, whole_file: bool = False) -> Any:
    """Return the value of a JSON text.

    Args:
        text: The JSON.
        where: The place that messages name.
        whole_file: Whether `where` is a file, so that messages add the line.

    Raises:
        InputError: Broken JSON, or half a surrogate pair, which no UTF-8 file can hold.
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
    """Return the JSON object in a line. No message shows the line: its text may be confidential."""
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
    """Yield a temporary path that takes the name `path` (file or folder) if the block succeeds.

    Otherwise it vanishes, and so do folders made for it. If the disk is full, an OSError names
    `path`.
    """
    path = path.resolve()  # follows links, and gives `.` a name
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
            with suppress(OSError):  # another process has put a file there
                folder.rmdir()
        where = getattr(error, "filename", None)
        if (number := full_disk(error)) and (
            where is None or Path(str(where)).is_relative_to(path.parent)
        ):
            # Write errors name no file.
            raise OSError(number, os.strerror(number), str(path)) from None
        raise


@contextmanager
def atomic_text(path: Path) -> Iterator[TextIO]:
    """Yield a UTF-8 text stream to `path`, gzipped without a time stamp if named `.gz`."""
    with atomic_path(path) as temporary, temporary.open("wb") as raw:
        if path.suffix == ".gz":
            binary: gzip.GzipFile | BinaryIO = gzip.GzipFile(
                filename="", fileobj=raw, mode="wb", mtime=0
            )
        else:
            binary = raw
        with io.TextIOWrapper(binary, encoding="utf-8", newline="\n") as text:
            yield text


def write_json(path: Path, content: object) -> None:
    """Write a JSON file, completely or not at all."""
    with atomic_text(path) as stream:
        stream.write(json.dumps(content, indent=2) + "\n")


def write_records(path: Path, records: Iterable[dict[str, Any]]) -> None:
    """Write JSON Lines, completely or not at all."""
    with atomic_text(path) as stream:
        for record in records:
            stream.write(json.dumps(record, ensure_ascii=False) + "\n")
