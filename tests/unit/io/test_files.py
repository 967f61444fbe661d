"""Files: plain or gzipped, written completely or not at all, errors that name file and line."""

import bz2
import errno
import gzip
import json
import lzma
import os
import shutil

import polars as pl
import pytest

from bioner.errors import InputError
from bioner.io.checksums import listing, sha256_of
from bioner.io.files import (
    atomic_path,
    atomic_text,
    full_disk,
    read_lines,
    read_records,
    read_text,
    write_records,
)

KEYS = frozenset({"id", "tags"})


def records_of(path):
    return [record for _, record in read_records(path, KEYS)]


@pytest.mark.parametrize("name", ["plain.txt", "zipped.txt.gz"])
def test_lines_are_numbered_from_one_and_bare_of_their_ends(tmp_path, name):
    path = tmp_path / name
    content = "TNF-α\r\n\nlast".encode()
    path.write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    assert list(read_lines(path)) == [(1, "TNF-α"), (2, ""), (3, "last")]


@pytest.mark.parametrize("separator", ["\u2028", "\x0b", "\x0c", "\x85"])
def test_only_newlines_end_a_line(tmp_path, separator):
    path = tmp_path / "lines.txt"
    path.write_bytes(f"a{separator}b\nc\n".encode())
    assert list(read_lines(path)) == [(1, f"a{separator}b"), (2, "c")]


@pytest.mark.parametrize("name", ["records.jsonl", "records.jsonl.gz"])
def test_written_records_are_read_back_in_order_with_their_places(tmp_path, name):
    path = tmp_path / "deep" / "folder" / name
    written = [{"id": "β-1", "tags": ["O"]}, {"id": "2", "tags": [], "more": None}]
    write_records(path, written)
    assert list(read_records(path, KEYS)) == [(f"{path}:1", written[0]), (f"{path}:2", written[1])]


def test_gzipped_bytes_depend_on_the_content_alone(tmp_path):
    for name in ("first.gz", "second.gz"):
        write_records(tmp_path / name, [{"id": "1", "tags": ["O"]}])
    first = (tmp_path / "first.gz").read_bytes()
    assert first == (tmp_path / "second.gz").read_bytes()
    assert first[4:8] == b"\0\0\0\0", "the header's time stamp"


def test_text_is_written_as_utf8_with_newlines_alone(tmp_path):
    with atomic_text(tmp_path / "text") as stream:
        stream.write("α\nβ\n")
    assert (tmp_path / "text").read_bytes() == "α\nβ\n".encode()


@pytest.mark.parametrize("name", ["new.txt", "new.txt.gz"])
def test_nothing_is_left_when_writing_a_new_file_fails(tmp_path, name):
    with pytest.raises(ZeroDivisionError), atomic_text(tmp_path / name) as stream:
        stream.write("half")
        _ = 1 / 0
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["old.txt", "old.txt.gz"])
def test_the_old_file_stays_as_it_was_when_rewriting_fails(tmp_path, name):
    path = tmp_path / name
    with atomic_text(path) as stream:
        stream.write("old\n")
    with pytest.raises(ZeroDivisionError), atomic_text(path) as stream:
        stream.write("half")
        _ = 1 / 0
    assert list(read_lines(path)) == [(1, "old")]
    assert list(tmp_path.iterdir()) == [path]


def test_a_failing_record_leaves_no_file(tmp_path):
    with pytest.raises(TypeError):
        write_records(tmp_path / "records.jsonl", [{"id": "1"}, {"id": {"a", "set"}}])
    assert list(tmp_path.iterdir()) == []


def test_a_file_is_not_seen_under_its_name_before_it_is_whole(tmp_path):
    path = tmp_path / "file"
    with atomic_text(path) as stream:
        stream.write("all")
        stream.flush()
        assert not path.exists()
    assert path.read_text(encoding="utf-8") == "all"


def test_a_folder_replaces_the_old_folder_whole(tmp_path):
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "stale").touch()
    with atomic_path(folder) as temporary:
        temporary.mkdir()
        (temporary / "fresh").touch()
    assert [path.name for path in folder.iterdir()] == ["fresh"]
    assert list(tmp_path.iterdir()) == [folder]


def test_what_a_link_stands_for_is_rewritten_and_the_link_stays(tmp_path):
    (tmp_path / "disk").mkdir()
    target, link = tmp_path / "disk" / "file", tmp_path / "link"
    target.write_text("old")
    link.symlink_to(target)
    with atomic_text(link) as stream:
        stream.write("new")
    assert link.is_symlink()
    assert target.read_text() == "new"


def test_a_pipe_is_not_replaced_by_a_file(tmp_path):
    """Nor is /dev/null, even if the user may write to it."""
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InputError, match="found a device or pipe"), atomic_text(tmp_path / "pipe"):
        pass
    assert (tmp_path / "pipe").is_fifo()


def full(number=errno.ENOSPC, *names):
    return OSError(number, os.strerror(number), *names)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_names_the_file_to_write_and_leaves_no_folder(tmp_path, number):
    """A failed write names no file; a failed open names the temporary one."""
    target = tmp_path / "new" / "deep" / "file"
    for names in ([], [tmp_path / "new/deep/.file.x/file"]):
        with pytest.raises(OSError, match=os.strerror(number)) as caught, atomic_path(target):
            raise full(number, *names)
        assert (caught.value.errno, caught.value.filename) == (number, str(target))
        assert list(tmp_path.iterdir()) == []


def test_a_full_disk_elsewhere_and_other_errors_keep_their_names(tmp_path):
    for error in (
        full(errno.ENOSPC, "/elsewhere/file"),
        full(errno.EIO),
        full(errno.ENOENT, "input"),
    ):
        names = error.filename
        with pytest.raises(OSError, match="Errno") as caught, atomic_path(tmp_path / "file"):
            raise error
        assert caught.value.filename == names


def test_a_library_in_rust_says_in_words_that_the_disk_is_full(tmp_path):
    told = Exception("Error while serializing: I/O error: No space left on device (os error 28)")
    assert full_disk(told) == errno.ENOSPC
    assert full_disk(Exception("Permission denied (os error 13)")) is None
    assert full_disk(Exception("28")) is None
    with (
        pytest.raises(OSError, match="No space left") as caught,
        atomic_path(tmp_path / "table.csv"),
    ):
        raise told
    assert caught.value.filename == str(tmp_path / "table.csv")


def test_a_folder_that_another_writes_to_by_then_stays(tmp_path):
    with pytest.raises(ZeroDivisionError), atomic_path(tmp_path / "new" / "file"):
        (tmp_path / "new" / "other").touch()
        _ = 1 / 0
    assert [path.name for path in tmp_path.rglob("*")] == ["new", "other"]


def test_an_old_folder_survives_a_failure(tmp_path):
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "kept").touch()
    with pytest.raises(ZeroDivisionError), atomic_path(folder) as temporary:
        temporary.mkdir()
        _ = 1 / 0
    assert [path.name for path in folder.iterdir()] == ["kept"]
    assert list(tmp_path.iterdir()) == [folder]


@pytest.mark.parametrize(
    ("line", "found"),
    [
        (b'{"id": "2", "tags"', "JSON"),
        (b"", "JSON"),
        (b'{"id": "2"}', "without tags"),
        (b"[1, 2]", "id, tags"),
        (b'{"id": "\xff"}', "not UTF-8"),
    ],
    ids=["cut off", "empty line", "missing key", "no object", "not UTF-8"],
)
@pytest.mark.parametrize("name", ["records.jsonl", "records.jsonl.gz"])
def test_a_bad_line_is_named_by_file_and_line(tmp_path, name, line, found):
    path = tmp_path / name
    content = json.dumps({"id": "1", "tags": []}).encode() + b"\n" + line + b"\n"
    path.write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    with pytest.raises(InputError) as caught:
        records_of(path)
    message = str(caught.value)
    assert message.startswith(f"{path}:2: ")
    assert found in message
    assert "\n" not in message


def _truncated(whole):
    return whole[: len(whole) // 2]


def _scrambled(whole):
    return whole[:20] + bytes(byte ^ 0xFF for byte in whole[20:-20]) + whole[-20:]


def _wrong_checksum(whole):
    return whole[:-8] + b"\0\0\0\0" + whole[-4:]


@pytest.mark.parametrize(
    "damage", [lambda _: b"plain text\n", _truncated, _scrambled, _wrong_checksum]
)
def test_a_broken_gzip_file_is_named(tmp_path, damage):
    path = tmp_path / "records.jsonl.gz"
    lines = "".join(json.dumps({"id": str(number), "tags": ["O"]}) + "\n" for number in range(500))
    path.write_bytes(damage(gzip.compress(lines.encode())))
    with pytest.raises(InputError, match="broken gzip file") as caught:
        records_of(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("name", ["missing.jsonl", "missing.jsonl.gz"])
def test_a_missing_file_is_named_with_the_way_out(tmp_path, name):
    with pytest.raises(InputError, match=r"no such file.*Check the path") as caught:
        records_of(tmp_path / name)
    assert str(caught.value).startswith(str(tmp_path / name))


def test_a_folder_in_place_of_a_file_is_named(tmp_path):
    with pytest.raises(InputError, match="a readable file") as caught:
        records_of(tmp_path)
    assert str(caught.value).startswith(str(tmp_path))


def test_line_ends_of_old_macs_are_refused(tmp_path):
    """The whole file would be one line."""
    path = tmp_path / "mac.txt"
    path.write_bytes(b"a\nb\rc\r")
    with pytest.raises(InputError, match=r"mac\.txt:2: found a carriage return inside a line"):
        list(read_lines(path))


@pytest.mark.parametrize("name", ["plain.txt", "zipped.txt.gz"])
def test_a_text_keeps_its_line_ends_zipped_or_not(tmp_path, name):
    path, content = tmp_path / name, "a\r\n\nβ"
    path.write_bytes(gzip.compress(content.encode()) if name.endswith(".gz") else content.encode())
    assert read_text(path) == content


def test_a_byte_order_mark_is_no_part_of_a_text(tmp_path):
    """Every offset would be wrong by one."""
    (tmp_path / "text").write_bytes("\ufeffgout".encode())
    assert read_text(tmp_path / "text") == "gout"


def test_a_folder_s_checksum_is_that_of_every_name_and_content(tmp_path):
    def of(**files):
        folder = tmp_path / "folder"
        shutil.rmtree(folder, ignore_errors=True)
        for name, content in files.items():
            (folder / name).mkdir(parents=True)
            (folder / name / "file").write_text(content)
        return sha256_of(folder)

    assert of(a="x", b="y") == of(b="y", a="x")
    assert (
        len({of(a="x", b="y"), of(a="y", b="x"), of(a="x", c="y"), of(a="x"), of(a="xy", b="")})
        == 5
    )


def test_a_folder_s_listing_tells_files_that_were_written_again(tmp_path):
    """Another model's weights may have the same name and size."""
    (tmp_path / "model").mkdir()
    weights = tmp_path / "model" / "weights"
    weights.write_bytes(b"one")
    os.utime(weights, ns=(1, 1))
    before = listing(tmp_path)
    assert before == [["model/weights", 3, 1]]
    weights.write_bytes(b"two")
    assert listing(tmp_path) != before
    assert listing(None) == listing(tmp_path / "nowhere") == []


def written_by_polars(path):
    pl.DataFrame({"tokens": [["a"]]}).write_parquet(path)
    return path.read_bytes()


LFS_POINTER = (
    b"version https://git-lfs.github.com/spec/v1\n"
    b"oid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393\nsize 12345\n"
)


@pytest.mark.parametrize(
    ("content", "found", "remedy"),
    [
        (lambda _: LFS_POINTER, "a Git LFS pointer", "git lfs pull"),
        (lambda _: b"/annex/objects/SHA256E-s1--2.tsv\n", "a git-annex pointer", "git annex get"),
        (lambda _: b"\n <!DOCTYPE html>", "an HTML page", "in a browser"),
        (written_by_polars, "a parquet file", "format: parquet"),
        (lambda _: gzip.compress(b"a O"), "gzipped content", "name end in .gz"),
        (lambda _: bz2.compress(b"a O"), "bzip2 content", "Unpack"),
        (lambda _: lzma.compress(b"a O"), "xz content", "Unpack"),
        (lambda _: b"PK\x03\x04\x14\x00", "a zip archive or a spreadsheet", "save the sheet"),
        (lambda _: b"SQLite format 3\x00", "an SQLite database", "Export"),
        (lambda _: b"%PDF-1.7\n", "a PDF file", "text it was made from"),
        (lambda _: "a O\n".encode("utf-16"), "UTF-16 text", "iconv"),
        (lambda _: b"\xfe\xff\0a", "UTF-16 text", "iconv"),
    ],
)
def test_a_file_that_holds_no_text_is_named_as_what_it_is(tmp_path, content, found, remedy):
    path = tmp_path / "file"
    path.write_bytes(content(path))
    with pytest.raises(InputError) as caught:
        list(read_lines(path))
    assert str(caught.value).startswith(f"{path}: found {found}; expected text in UTF-8.")
    assert remedy in str(caught.value)
    with gzip.open(tmp_path / "file.gz", "wb") as stream:
        stream.write(path.read_bytes())
    with pytest.raises(InputError, match=rf"file\.gz: found {found}"):
        read_text(tmp_path / "file.gz")


@pytest.mark.parametrize(
    "text", ["PAR1\tB-Gene\n", "PK O\n", "BZh9 O\n", "%PDF O\n", "version https://x.org/\n"]
)
def test_words_that_begin_alike_are_text(tmp_path, text):
    (tmp_path / "file").write_text(text)
    assert read_text(tmp_path / "file") == text


def test_a_byte_order_mark_of_utf_8_is_no_part_of_the_text(tmp_path):
    (tmp_path / "file").write_text("a\nb\n", encoding="utf-8-sig")
    assert list(read_lines(tmp_path / "file")) == [(1, "a"), (2, "b")]


def test_a_nul_byte_is_named_by_its_line(tmp_path):
    """Every other byte of English in UTF-16 is one, and what a crash leaves of a file."""
    (tmp_path / "file").write_bytes(b"a\nb\0c\n")
    with pytest.raises(InputError, match=r"file:2: found a NUL byte; expected text in UTF-8"):
        list(read_lines(tmp_path / "file"))
