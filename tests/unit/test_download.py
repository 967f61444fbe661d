"""Downloading raw files from a local web server: plain files, members of archives, and what can go wrong."""

import threading
import zipfile
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest

from bioner.corpora.fetch import fetch
from bioner.errors import InputError
from tests.unit.test_fetch import TEXTS, assert_nothing_left, entry, names, sha256


@pytest.fixture
def site(tmp_path, monkeypatch):
    """A local web server: the folder it serves and its address."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    folder = tmp_path / "site"
    folder.mkdir()
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder))) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield folder, f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_a_plain_file_is_downloaded_verified_and_nothing_else_is_left(site, tmp_path):
    folder, address = site
    for name, text in TEXTS.items():
        (folder / name).write_bytes(text)
    files = {n.split(".")[0]: {"url": f"{address}/{n}", "sha256": sha256(text)} for n, text in TEXTS.items()}
    fetch("toy", entry(**files), tmp_path / "raw", None)
    assert names(tmp_path / "raw") == sorted(TEXTS)
    assert (tmp_path / "raw" / "test.txt").read_bytes() == b"test content\n"


def members(address):
    return {
        split: {"url": f"{address}/corpus.zip", "member": f"corpus/{split}.txt"}
        | {"sha256": sha256(TEXTS[f"{split}.txt"])}
        for split in ("train", "dev", "test")
    }


def zipped(path, content):
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in content.items():
            archive.writestr(name, text)


def test_members_of_an_archive_are_downloaded_and_nothing_else_is_left(site, tmp_path):
    folder, address = site
    zipped(folder / "corpus.zip", {f"corpus/{name}": text for name, text in TEXTS.items()})
    fetch("toy", entry(**members(address)), tmp_path / "raw", None)
    assert (tmp_path / "raw" / "dev.txt").read_bytes() == b"dev\n"
    assert names(tmp_path / "raw") == sorted(TEXTS)


def test_a_member_is_its_exact_path_not_a_prefix(site, tmp_path):
    folder, address = site
    decoys = {f"corpus/{name}.{ending}": b"decoy\n" for name in TEXTS for ending in ("1", "bak", "orig")}
    zipped(folder / "corpus.zip", decoys | {f"corpus/{name}": text for name, text in TEXTS.items()})
    fetch("toy", entry(**members(address)), tmp_path / "raw", None)
    assert (tmp_path / "raw" / "train.txt").read_bytes() == b"train\n"


def test_archives_of_one_name_at_two_addresses_are_two_archives(site, tmp_path):
    folder, address = site
    for part, held in {"old": ("train.txt",), "new": ("dev.txt", "test.txt")}.items():
        (folder / part).mkdir()
        zipped(folder / part / "corpus.zip", {name: TEXTS[name] for name in held})
    files = {
        split: {"url": f"{address}/{part}/corpus.zip", "member": f"{split}.txt"}
        for split, part in {"train": "old", "dev": "new", "test": "new"}.items()
    }
    fetch("toy", entry(**files), tmp_path / "raw", None)
    assert (tmp_path / "raw" / "dev.txt").read_bytes() == b"dev\n"


def test_an_archive_without_the_member_is_bad_input(site, tmp_path):
    folder, address = site
    zipped(folder / "corpus.zip", {"corpus/dev.txt": b"dev\n"})
    with pytest.raises(InputError, match=r"corpus/train\.txt"):
        fetch("toy", entry(**members(address)), tmp_path / "raw", None)
    assert_nothing_left(tmp_path / "raw")


def test_a_download_that_is_no_archive_is_bad_input(site, tmp_path):
    folder, address = site
    (folder / "corpus.zip").write_bytes(b"<html>Please log in</html>")
    with pytest.raises(InputError, match=r"corpus\.zip"):
        fetch("toy", entry(**members(address)), tmp_path / "raw", None)
    assert_nothing_left(tmp_path / "raw")


def test_a_404_names_the_address_and_the_way_out(site, tmp_path):
    _, address = site
    with pytest.raises(InputError, match=rf"{address}/gone\.txt.*404.*set a mirror") as caught:
        fetch("toy", entry(train={"url": f"{address}/gone.txt"}), tmp_path / "raw", None)
    assert "\n" not in str(caught.value)
    assert_nothing_left(tmp_path / "raw")


def test_an_address_where_nobody_answers_is_bad_input(tmp_path, monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with pytest.raises(InputError, match="a failed download"):
        fetch("toy", entry(train={"url": "http://127.0.0.1:9/train.txt"}), tmp_path / "raw", None)
    assert_nothing_left(tmp_path / "raw")
