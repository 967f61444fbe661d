"""Downloading raw files from a local web server: archives, broken connections, other addresses."""

import io
import logging
import random
import tarfile
import threading
import zipfile
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from bioner.corpora.fetching import download
from bioner.corpora.fetching.fetch import fetch
from bioner.errors import InputError
from bioner.settings.catalogue import parse_entry
from bioner.settings.dataset_entry import DatasetEntry
from tests.unit.corpora.test_fetch import TEXTS, assert_nothing_left, entry, names, sha256


class Site:
    """A web server on this machine: what it serves, how it fails, and what it was asked for."""

    def __init__(self, address):
        self.address = address
        self.files = {}
        self.asked = []  # path and Range header of every request
        self.statuses = []  # answered first, one a request, before anything is served
        self.break_after = []  # bytes after which an answer breaks off, one an answer
        self.ranges = True  # whether the server knows byte ranges
        self.etag = '"one"'

    def of(self, path):
        return [what for where, what in self.asked if where == path]


@pytest.fixture
def site(monkeypatch):
    """A running Site; the downloader waits for almost no time between attempts."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            site.asked.append((self.path, self.headers.get("Range")))
            if site.statuses:
                return self.send_error(site.statuses.pop(0))
            if self.path not in site.files:
                return self.send_error(404)
            content, start = site.files[self.path], 0
            if (
                site.ranges
                and self.headers.get("Range")
                and self.headers.get("If-Range") == site.etag
            ):
                start = int(self.headers["Range"].removeprefix("bytes=").removesuffix("-"))
                if start >= len(content):
                    return self.send_error(416)
                self.send_response(206)
                self.send_header(
                    "Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}"
                )
            else:
                self.send_response(200)
            self.send_header("Content-Length", str(len(content) - start))
            self.send_header("ETag", site.etag)
            self.end_headers()
            stop = start + site.break_after.pop(0) if site.break_after else len(content)
            self.wfile.write(content[start:stop])
            return None

        def log_message(self, *_):
            pass

    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(download, "RETRY_BACKOFF", 0.001)
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        site = Site(f"http://127.0.0.1:{server.server_port}")
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield site
        server.shutdown()


def one_file(site, content, *addresses, checksum=True, **keys):
    """Return an entry whose training file has these addresses; the others ship with the project."""
    file = {"url": list(addresses) or [f"{site.address}/train.txt"]} | (
        {"sha256": sha256(content)} if checksum else {}
    )
    file |= keys
    dev, test = ({"path": f"resources/demo/{split}/organs.txt"} for split in ("dev", "test"))
    return entry(train=file, dev=dev, test=test)


def fetched(tmp_path, described):
    return fetch("toy", described, tmp_path / "raw", None)[0].read_bytes()


def test_a_plain_file_is_downloaded_verified_and_nothing_else_is_left(site, tmp_path):
    site.files = {f"/{name}": text for name, text in TEXTS.items()}
    files = {
        n.split(".")[0]: {"url": f"{site.address}/{n}", "sha256": sha256(text)}
        for n, text in TEXTS.items()
    }
    fetch("toy", entry(**files), tmp_path / "raw", None)
    assert names(tmp_path / "raw") == sorted(TEXTS)
    assert (tmp_path / "raw" / "test.txt").read_bytes() == b"test content\n"
    assert names(tmp_path) == ["raw"]


LONG = bytes(range(256)) * 256  # eight chunks


def test_a_download_that_breaks_off_goes_on_where_it_stopped(site, tmp_path):
    site.files, site.break_after = (
        {"/train.txt": LONG},
        [3 * download.CHUNK + 100, 2 * download.CHUNK],
    )
    assert fetched(tmp_path, one_file(site, LONG)) == LONG
    assert site.of("/train.txt") == [
        None,
        f"bytes={3 * download.CHUNK}-",
        f"bytes={5 * download.CHUNK}-",
    ]


def test_a_later_fetch_goes_on_with_what_an_earlier_one_left(site, tmp_path):
    site.files, site.break_after = {"/train.txt": LONG}, [download.CHUNK] * download.ATTEMPTS
    with pytest.raises(InputError, match="a failed download"):
        fetched(tmp_path, one_file(site, LONG))
    assert fetched(tmp_path, one_file(site, LONG)) == LONG
    assert site.of("/train.txt")[-1] == f"bytes={download.ATTEMPTS * download.CHUNK}-"


@pytest.mark.parametrize(
    "change", [{"ranges": False}, {"etag": 'W/"weak"'}], ids=["no ranges", "weak ETag"]
)
def test_a_download_begins_again_where_the_server_cannot_go_on(site, tmp_path, change):
    site.files, site.break_after = {"/train.txt": LONG}, [3 * download.CHUNK]
    vars(site).update(change)
    assert fetched(tmp_path, one_file(site, LONG)) == LONG
    assert len(site.asked) == 2


def test_a_file_that_changed_meanwhile_is_not_pieced_together(site, tmp_path):
    site.files, site.break_after = (
        {"/train.txt": b"old " * len(LONG)},
        [download.CHUNK] * download.ATTEMPTS,
    )
    with pytest.raises(InputError):
        fetched(tmp_path, one_file(site, LONG))
    site.files, site.etag = {"/train.txt": LONG}, '"two"'
    assert fetched(tmp_path, one_file(site, LONG)) == LONG


def test_a_part_that_was_the_whole_file_is_no_dead_end(site, tmp_path, download_cache):
    """Interrupted after the last byte, before the rename: the server has nothing more to send."""
    site.files, site.break_after = {"/train.txt": LONG}, [download.CHUNK] * download.ATTEMPTS
    described = one_file(site, LONG)
    with pytest.raises(InputError, match="a failed download"):
        fetched(tmp_path, described)
    (part,) = download_cache.rglob("*.part")
    part.write_bytes(LONG)
    assert fetched(tmp_path, described) == LONG


def test_a_busy_server_is_asked_again(site, tmp_path):
    site.files, site.statuses = {"/train.txt": LONG}, [503, 429, 500]
    assert fetched(tmp_path, one_file(site, LONG)) == LONG
    assert len(site.asked) == 4


def test_a_server_that_stays_busy_is_given_up(site, tmp_path):
    site.files, site.statuses = {"/train.txt": LONG}, [503] * 20
    with pytest.raises(InputError, match=r"a failed download of .*503.*Try again"):
        fetched(tmp_path, one_file(site, LONG))
    assert len(site.asked) == download.ATTEMPTS


@pytest.mark.parametrize(
    "first", [None, b"damaged\n", b"<!DOCTYPE html><p>Sign in"], ids=["gone", "damaged", "HTML"]
)
def test_the_next_address_is_tried_where_one_fails(site, tmp_path, caplog, first):
    site.files = {"/second": LONG} | ({"/first": first} if first else {})
    with caplog.at_level(logging.WARNING):
        assert (
            fetched(
                tmp_path, one_file(site, LONG, f"{site.address}/first", f"{site.address}/second")
            )
            == LONG
        )
    assert "Trying the next address" in caplog.text


def test_nothing_is_downloaded_twice(site, tmp_path):
    site.files = {"/train.txt": LONG}
    fetched(tmp_path, one_file(site, LONG))
    fetched(tmp_path, one_file(site, LONG))  # lies in the folder
    fetch("toy", one_file(site, LONG), tmp_path / "elsewhere", None)  # lies in the cache
    assert len(site.asked) == 1


def test_without_a_checksum_nothing_vouches_for_an_old_download(site, tmp_path, caplog):
    old = b"old\n"
    site.files = {"/train.txt": old}
    with caplog.at_level(logging.INFO):
        assert fetched(tmp_path, one_file(site, b"", checksum=False)) == old
    assert f"unverified, since the catalogue states no checksum; its sha256 is {sha256(old)}" in (
        caplog.text
    )
    site.files = {"/train.txt": b"new\n"}
    assert fetched(tmp_path, one_file(site, b"", checksum=False)) == b"new\n"


def test_a_damaged_cache_is_found_out_and_mended(site, tmp_path):
    site.files = {"/train.txt": LONG}
    described = one_file(site, LONG)
    fetched(tmp_path, described)
    download.cached(f"{site.address}/train.txt").write_bytes(b"rotten")
    fetch("toy", described, tmp_path / "elsewhere", None)
    assert len(site.asked) == 2


def test_two_fetches_at_once_take_turns_and_download_once(site, tmp_path):
    site.files = {"/train.txt": LONG * 20}
    described = one_file(site, LONG * 20)
    with ThreadPoolExecutor(4) as pool:
        folders = [tmp_path / "same", tmp_path / "same", tmp_path / "other", tmp_path / "third"]
        for done in [pool.submit(fetch, "toy", described, folder, None) for folder in folders]:
            assert done.result()[0].read_bytes() == LONG * 20
    assert len(site.asked) == 1
    assert names(tmp_path) == ["other", "same", "third"]


def test_a_truncated_download_is_refused(site, tmp_path):
    site.files = {"/train.txt": LONG[:-1]}
    with pytest.raises(
        InputError, match=r"toy: train\.txt from .*/train\.txt: found sha256 [0-9a-f]{64}; expected"
    ):
        fetched(tmp_path, one_file(site, LONG))
    assert_nothing_left(tmp_path / "raw")


@pytest.mark.parametrize("checksum", [True, False])
def test_an_html_page_in_place_of_data_is_told_as_such(site, tmp_path, checksum):
    site.files = {"/train.txt": b"\n<!DOCTYPE html>\n<html>Please sign in</html>"}
    with pytest.raises(InputError, match="found an HTML page"):
        fetched(tmp_path, one_file(site, LONG, checksum=checksum))
    assert_nothing_left(tmp_path / "raw")


def members(site, name="corpus.zip"):
    return {
        split: {"url": f"{site.address}/{name}", "member": f"corpus/{split}.txt"}
        | {"sha256": sha256(TEXTS[f"{split}.txt"])}
        for split in ("train", "dev", "test")
    }


def zipped(content):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, text in content.items():
            archive.writestr(name, text, compress_type=zipfile.ZIP_DEFLATED)
    return buffer.getvalue()


def tarred(content, links=(), packing="gz"):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=f"w:{packing}") as archive:
        for name, text in content.items():
            info = tarfile.TarInfo(name)
            info.size = len(text)
            archive.addfile(info, io.BytesIO(text))
        for name, target in links:
            info = tarfile.TarInfo(name)
            info.type, info.linkname = tarfile.SYMTYPE, target
            archive.addfile(info)
    return buffer.getvalue()


@pytest.mark.parametrize("packed", [zipped, tarred])
def test_members_of_an_archive_are_taken_and_it_is_downloaded_once(site, tmp_path, packed):
    site.files = {"/corpus.zip": packed({f"corpus/{name}": text for name, text in TEXTS.items()})}
    fetch("toy", entry(**members(site)), tmp_path / "raw", None)
    assert (tmp_path / "raw" / "dev.txt").read_bytes() == b"dev\n"
    assert names(tmp_path / "raw") == sorted(TEXTS)
    assert len(site.asked) == 1


def test_without_checksums_too_an_archive_of_three_files_is_downloaded_once(site, tmp_path):
    site.files = {"/corpus.zip": zipped({f"corpus/{name}": text for name, text in TEXTS.items()})}
    files = {split: file | {"sha256": None} for split, file in members(site).items()}
    fetch("toy", entry(**files), tmp_path / "raw", None)
    assert len(site.asked) == 1


def test_a_member_is_its_exact_path_not_a_prefix(site, tmp_path):
    decoys = {
        f"corpus/{name}.{ending}": b"decoy\n" for name in TEXTS for ending in ("1", "bak", "orig")
    }
    site.files = {
        "/corpus.zip": zipped(decoys | {f"corpus/{name}": text for name, text in TEXTS.items()})
    }
    fetch("toy", entry(**members(site)), tmp_path / "raw", None)
    assert (tmp_path / "raw" / "train.txt").read_bytes() == b"train\n"


def test_archives_of_one_name_at_two_addresses_are_two_archives(site, tmp_path):
    for part, held in {"old": ("train.txt",), "new": ("dev.txt", "test.txt")}.items():
        site.files[f"/{part}/corpus.zip"] = zipped({name: TEXTS[name] for name in held})
    files = {
        split: {"url": f"{site.address}/{part}/corpus.zip", "member": f"{split}.txt"}
        for split, part in {"train": "old", "dev": "new", "test": "new"}.items()
    }
    fetch("toy", entry(**files), tmp_path / "raw", None)
    assert (tmp_path / "raw" / "dev.txt").read_bytes() == b"dev\n"


def test_an_unpacked_file_at_a_second_address_stands_in_for_the_archive(site, tmp_path):
    site.files = {"/plain.txt": TEXTS["train.txt"]}
    addresses = [f"{site.address}/corpus.zip", f"{site.address}/plain.txt"]
    described = one_file(site, TEXTS["train.txt"], *addresses, member="corpus/train.txt")
    assert fetched(tmp_path, described) == TEXTS["train.txt"]


def test_an_archive_without_the_member_is_bad_input(site, tmp_path):
    site.files = {"/corpus.zip": zipped({"corpus/dev.txt": b"dev\n"})}
    with pytest.raises(InputError, match=r"no member corpus/train\.txt"):
        fetch("toy", entry(**members(site)), tmp_path / "raw", None)
    assert_nothing_left(tmp_path / "raw")


@pytest.mark.parametrize("checksum", [True, False])
@pytest.mark.parametrize(
    "content", [b"<html>Please log in</html>", zipped({"corpus/train.txt": b"train\n" * 99})[:-40]]
)
def test_a_download_that_is_no_sound_archive_is_bad_input(site, tmp_path, content, checksum):
    site.files = {"/corpus.zip": content}
    files = {
        split: file | ({} if checksum else {"sha256": None})
        for split, file in members(site).items()
    }
    with pytest.raises(InputError, match=r"corpus\.zip"):
        fetch("toy", entry(**files), tmp_path / "raw", None)
    assert_nothing_left(tmp_path / "raw")


@pytest.mark.parametrize(
    "packed", [zipped, tarred, partial(tarred, packing="xz")], ids=["zip", "tar.gz", "tar.xz"]
)
def test_a_damaged_archive_is_bad_input_and_never_data(site, tmp_path, packed):
    """Flip single bytes: refused in one line, or (if the byte is unused) the same content."""
    draw = random.Random(0)
    content = {f"corpus/{split}.txt": draw.randbytes(300) for split in ("train", "dev", "test")}
    whole = packed(content)
    files = {split: file | {"sha256": None} for split, file in members(site).items()}
    refused = 0
    for number, position in enumerate(draw.sample(range(len(whole)), 60)):
        site.files = {
            "/corpus.zip": whole[:position]
            + bytes([whole[position] ^ 0x55])
            + whole[position + 1 :]
        }
        out = tmp_path / str(number) / "raw"
        try:
            paths = fetch("toy", entry(**files), out, None)
        except InputError:
            refused += 1
        else:
            assert [path.read_bytes() for path in paths] == list(content.values())
    assert refused > 30


def brat(site, name):
    """A corpus whose splits are folders of an archive."""
    files = {
        split: {"url": f"{site.address}/{name}", "member": f"all/{split}"}
        for split in ("train", "dev", "test")
    }
    splits = {split: split for split in files}
    return parse_entry(DatasetEntry, "toy", {"format": "brat", "splits": splits, "files": files})


FOLDERS = {
    f"all/{split}/deep/a.{kind}": kind.encode()
    for split in ("train", "dev", "test")
    for kind in ("txt", "ann")
}


@pytest.mark.parametrize("packed", [zipped, tarred])
def test_folders_of_an_archive_keep_their_files_in_place(site, tmp_path, packed):
    site.files = {
        "/all.tgz": packed(FOLDERS | {"all/train.txt": b"beside", "other/b.txt": b"outside"})
    }
    fetch("toy", brat(site, "all.tgz"), tmp_path / "raw", None)
    held = {
        str(path.relative_to(tmp_path / "raw"))
        for path in (tmp_path / "raw").rglob("*")
        if path.is_file()
    }
    assert held == {name.removeprefix("all/") for name in FOLDERS}


@pytest.mark.parametrize("packed", [zipped, tarred])
@pytest.mark.parametrize(
    "evil", ["all/train/../../../evil.txt", "all/train/deep/../../../../../evil.txt"]
)
def test_no_member_leaves_its_folder(site, tmp_path, packed, evil):
    site.files = {"/all.tgz": packed(FOLDERS | {evil: b"evil"})}
    with pytest.raises(InputError, match="members inside their folder"):
        fetch("toy", brat(site, "all.tgz"), tmp_path / "a" / "raw", None)
    assert list(tmp_path.rglob("*evil*")) == []


def test_links_in_an_archive_are_passed_over(site, tmp_path):
    secret = tmp_path / "secret.txt"
    secret.write_text("secret")
    site.files = {
        "/all.tgz": tarred(FOLDERS, [("all/train/link.txt", str(secret)), ("all/train/up", "..")])
    }
    fetch("toy", brat(site, "all.tgz"), tmp_path / "raw", None)
    assert names(tmp_path / "raw" / "train") == ["deep"]


def test_a_404_names_the_address_and_the_way_out(site, tmp_path):
    with pytest.raises(InputError, match=rf"{site.address}/gone\.txt.*404.*set a mirror") as caught:
        fetch("toy", entry(train={"url": f"{site.address}/gone.txt"}), tmp_path / "raw", None)
    assert "\n" not in str(caught.value)
    assert len(site.asked) == 1
    assert_nothing_left(tmp_path / "raw")


def test_an_address_where_nobody_answers_is_bad_input(tmp_path, monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(download, "RETRY_BACKOFF", 0.001)
    with pytest.raises(InputError, match="a failed download"):
        fetch("toy", entry(train={"url": "http://127.0.0.1:9/train.txt"}), tmp_path / "raw", None)
    assert_nothing_left(tmp_path / "raw")
