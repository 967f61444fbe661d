"""Fetching raw files from a mirror or the project itself: verified, and all of them or none."""

import hashlib
import zipfile
from pathlib import Path

import pytest

from bioner.corpora.fetching.fetch import fetch, verify
from bioner.corpora.fetching.sources import identities, lacking, mirror_of, why_absent
from bioner.data.instances import SPLITS
from bioner.errors import InputError
from bioner.settings.catalogue import parse_entry
from bioner.settings.config import Configuration
from bioner.settings.dataset_entry import DatasetEntry, RawFile
from bioner.settings.repository import REPOSITORY

TEXTS = {"train.txt": b"train\n", "dev.txt": b"dev\n", "test.txt": b"test content\n"}
# `echo 'test content' | git hash-object --stdin`, the example of Pro Git, chapter "Git Objects".
TEST_BLOB = "d670460b4b4aece5915caf5c68d12f560a9fe3e4"
# SHA-256 of "abc" (FIPS 180-4).
ABC_SHA256 = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def sha256(content):
    return hashlib.sha256(content).hexdigest()


def entry(obtain="", **files):
    """A catalogue entry of three files; each keyword replaces one of them."""
    described = {name: {"sha256": sha256(text)} for name, text in TEXTS.items()}
    described |= {f"{stem}.txt": file for stem, file in files.items()}
    splits = {split: f"{split}.txt" for split in ("train", "dev", "test")}
    return parse_entry(
        DatasetEntry,
        "toy",
        {"format": "conll", "splits": splits, "files": described, "obtain": obtain},
    )


@pytest.fixture
def mirror(tmp_path):
    folder = tmp_path / "mirror" / "toy"
    folder.mkdir(parents=True)
    for name, text in TEXTS.items():
        (folder / name).write_bytes(text)
    return folder.parent


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def assert_nothing_left(out):
    assert not out.exists()
    assert [path for path in out.parent.iterdir() if out.name in path.name] == []


def test_files_of_a_mirror_are_copied(mirror, tmp_path):
    paths = fetch("toy", entry(), tmp_path / "raw", mirror)
    assert paths == [tmp_path / "raw" / name for name in TEXTS]
    assert [path.read_bytes() for path in paths] == list(TEXTS.values())
    assert names(tmp_path / "raw") == sorted(TEXTS)


def test_with_a_mirror_nothing_is_downloaded(mirror, tmp_path):
    nowhere = {"url": "http://127.0.0.1:9/train.txt", "sha256": sha256(TEXTS["train.txt"])}
    fetch("toy", entry(train=nowhere), tmp_path / "raw", mirror)
    (mirror / "toy" / "train.txt").unlink()
    with pytest.raises(InputError, match="no such file"):
        fetch("toy", entry(train=nowhere), tmp_path / "again", mirror)


def test_a_file_the_mirror_lacks_is_named_and_nothing_is_left(mirror, tmp_path):
    (mirror / "toy" / "test.txt").unlink()
    with pytest.raises(InputError, match=r"no such file; expected a raw file of toy") as caught:
        fetch("toy", entry(), tmp_path / "raw", mirror)
    assert str(caught.value).startswith(str(mirror / "toy" / "test.txt"))
    assert_nothing_left(tmp_path / "raw")


def test_the_catalogue_says_how_to_obtain_what_cannot_be_downloaded(tmp_path):
    with pytest.raises(InputError, match=r"toy: train\.txt: found no address.*Ask its authors"):
        fetch("toy", entry("Ask its authors."), tmp_path / "raw", None)
    with pytest.raises(InputError, match=r"Ask its authors"):
        fetch("toy", entry("Ask its authors."), tmp_path / "raw", tmp_path)
    assert_nothing_left(tmp_path / "raw")


def test_a_wrong_sha256_is_refused_and_the_old_folder_kept(mirror, tmp_path):
    fetch("toy", entry(), tmp_path / "raw", mirror)
    (mirror / "toy" / "dev.txt").write_bytes(b"abc")
    with pytest.raises(InputError) as caught:
        fetch("toy", entry(), tmp_path / "raw", mirror)
    assert (
        f"toy: dev.txt: found sha256 {ABC_SHA256}; expected {sha256(b'dev' + bytes([10]))}"
        in str(caught.value)
    )
    assert (tmp_path / "raw" / "dev.txt").read_bytes() == TEXTS["dev.txt"]


def test_a_git_blob_id_is_the_one_git_computes(mirror, tmp_path):
    fetch("toy", entry(test={"git_blob": TEST_BLOB}), tmp_path / "raw", mirror)
    (mirror / "toy" / "test.txt").write_bytes(b"other\n")
    with pytest.raises(InputError, match=rf"found git_blob [0-9a-f]{{40}}; expected {TEST_BLOB}"):
        fetch("toy", entry(test={"git_blob": TEST_BLOB}), tmp_path / "new", mirror)
    assert_nothing_left(tmp_path / "new")


def test_each_stated_checksum_is_verified(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"test content\n")
    verify(path, RawFile(sha256=sha256(b"test content\n"), git_blob=TEST_BLOB), "x")
    with pytest.raises(InputError, match="git_blob"):
        verify(path, RawFile(sha256=sha256(b"test content\n"), git_blob="0" * 40), "x")


def test_a_file_shipped_with_the_project_needs_no_mirror(mirror, tmp_path):
    shipped = {split: {"path": f"resources/demo/{split}/organs.txt"} for split in SPLITS}
    fetch("toy", entry(**shipped), tmp_path / "raw", None)
    assert (tmp_path / "raw" / "dev.txt").read_bytes() == (
        REPOSITORY / "resources/demo/dev/organs.txt"
    ).read_bytes()


def test_line_ends_are_not_content(mirror, tmp_path):
    """A copy with CRLF is accepted for the checksum of LF, and rewritten."""
    lines = b"one\ntwo\n"
    described = entry(train={"sha256": sha256(lines)}, dev={"git_blob": None})
    (mirror / "toy" / "train.txt").write_bytes(lines.replace(b"\n", b"\r\n"))
    fetch("toy", described, tmp_path / "raw", mirror)
    assert (tmp_path / "raw" / "train.txt").read_bytes() == lines
    (mirror / "toy" / "train.txt").write_bytes(b"one\r\nother\r\n")
    with pytest.raises(InputError, match="sha256"):
        fetch("toy", described, tmp_path / "raw", mirror)


def test_a_mirror_may_hold_the_archive_in_place_of_its_members(mirror, tmp_path):
    for name in TEXTS:
        (mirror / "toy" / name).unlink()
    with zipfile.ZipFile(mirror / "toy" / "corpus.zip", "w") as archive:
        for name, text in TEXTS.items():
            archive.writestr(f"corpus/{name}", text)
    source = {"url": "https://example.org/v1/corpus.zip"}
    files = {
        name.split(".")[0]: source | {"member": f"corpus/{name}", "sha256": sha256(text)}
        for name, text in TEXTS.items()
    }
    paths = fetch("toy", entry(**files), tmp_path / "raw", mirror)
    assert [path.read_bytes() for path in paths] == list(TEXTS.values())


def test_a_mirror_may_hold_a_file_under_another_name_or_in_another_folder(mirror, tmp_path):
    (mirror / "toy" / "train.txt").rename(mirror / "toy" / "train.csv")
    described = entry(train={"names": ["train.tsv", "train.csv"]})
    fetch("toy", described, tmp_path / "raw", mirror)
    assert (tmp_path / "raw" / "train.txt").read_bytes() == TEXTS["train.txt"]
    elsewhere = described.model_copy(update={"mirror_folder": "toy"})
    fetch("other", elsewhere, tmp_path / "other", mirror)
    with pytest.raises(InputError, match=r"other/train\.txt: found no such file"):
        fetch("other", described, tmp_path / "none", mirror)


@pytest.mark.parametrize("at_home", [True, False])
def test_a_folder_is_copied_whole(tmp_path, at_home):
    """brat: one folder per split, on this machine or in a mirror."""
    for split in SPLITS:
        folder = tmp_path / "mirror" / "toy" / split / "part"
        folder.mkdir(parents=True)
        (folder / "a.txt").write_text(split)
    splits = {
        split: str(tmp_path / "mirror" / "toy" / split) if at_home else split
        for split in ("train", "dev", "test")
    }
    described = parse_entry(DatasetEntry, "toy", {"format": "brat", "splits": splits})
    fetch("toy", described, tmp_path / "raw", None if at_home else tmp_path / "mirror")
    assert (tmp_path / "raw" / "test" / "part" / "a.txt").read_text() == "test"
    fetch("toy", described, tmp_path / "raw", None if at_home else tmp_path / "mirror")


def test_an_html_page_in_a_mirror_is_told_even_without_a_checksum(mirror, tmp_path):
    (mirror / "toy" / "dev.txt").write_bytes(b"<html>Sign in</html>")
    with pytest.raises(InputError, match=r"toy: dev\.txt: found an HTML page; expected data"):
        fetch("toy", entry(dev={}), tmp_path / "raw", mirror)


def test_a_page_is_data_if_its_checksum_is_stated(mirror, tmp_path):
    """It says what the file is; a reader may still refuse it."""
    page = b"<html>BRCA1</html>"
    (mirror / "toy" / "dev.txt").write_bytes(page)
    fetch("toy", entry(dev={"sha256": sha256(page)}), tmp_path / "raw", mirror)


LFS_POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12\n"


@pytest.mark.parametrize("file", [{}, {"sha256": ABC_SHA256}], ids=["unverified", "verified"])
def test_a_git_lfs_pointer_is_told_as_such(mirror, tmp_path, file):
    (mirror / "toy" / "dev.txt").write_bytes(LFS_POINTER)
    with pytest.raises(InputError, match=r"toy: dev\.txt: found a Git LFS pointer.*git lfs pull"):
        fetch("toy", entry(dev=file), tmp_path / "raw", mirror)
    assert_nothing_left(tmp_path / "raw")


def test_only_files_that_a_user_has_to_supply_are_lacking(mirror, tmp_path):
    described = entry(
        train={}, dev={"url": "https://example.org/dev.txt"}, test={"names": ["test.csv"]}
    )
    assert lacking("toy", described, None) == ["train.txt", "test.txt"]
    assert lacking("toy", described, mirror) == []
    (mirror / "toy" / "test.txt").rename(mirror / "toy" / "test.csv")
    (mirror / "toy" / "dev.txt").unlink()
    (mirror / "toy" / "train.txt").unlink()
    assert lacking("toy", described, mirror) == ["train.txt"]


def test_a_corpus_is_left_out_while_its_files_are_not_at_hand_and_were_not_before(mirror, tmp_path):
    told = entry(
        "Ask its authors.",
        **{split: {"url": f"https://example.org/{split}.txt"} for split in ("dev", "test")},
    )
    assert (
        why_absent("toy", told, None, tmp_path / "data")
        == "train.txt not at hand. Ask its authors."
    )
    assert why_absent("toy", told, mirror, tmp_path / "data") is None
    untold = told.model_copy(update={"obtain": ""})
    assert why_absent("toy", untold, None, tmp_path / "data") is None, "its absence is a fault"
    (tmp_path / "data" / "toy" / "raw").mkdir(parents=True)
    assert why_absent("toy", told, None, tmp_path / "data") is None, "an earlier run had them"


def test_the_output_is_not_inside_the_folder_it_is_taken_from(tmp_path):
    for split in SPLITS:
        (tmp_path / split).mkdir()
    splits = {split: str(tmp_path / split) for split in SPLITS}
    described = parse_entry(DatasetEntry, "toy", {"format": "brat", "splits": splits})
    with pytest.raises(InputError, match="the output inside the folder it is taken from"):
        fetch("toy", described, tmp_path / "train" / "raw", None)


def test_a_folder_with_a_dangling_link_is_bad_input(tmp_path):
    for split in SPLITS:
        (tmp_path / split).mkdir()
    (tmp_path / "dev" / "a.ann").symlink_to(tmp_path / "nowhere")
    splits = {split: str(tmp_path / split) for split in SPLITS}
    described = parse_entry(DatasetEntry, "toy", {"format": "brat", "splits": splits})
    with pytest.raises(InputError, match=r"dev/a\.ann: found an unreadable file"):
        fetch("toy", described, tmp_path / "raw", None)
    assert_nothing_left(tmp_path / "raw")


def test_a_file_in_the_place_of_the_folder_is_bad_input(mirror, tmp_path):
    (tmp_path / "raw").write_text("mine")
    with pytest.raises(InputError, match="found a file; expected a folder to write"):
        fetch("toy", entry(), tmp_path / "raw", mirror)
    assert (tmp_path / "raw").read_text() == "mine"


def test_a_folder_that_holds_anything_else_is_not_replaced(mirror, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("years")
    with pytest.raises(InputError, match=r"found thesis\.tex; expected a folder for toy alone"):
        fetch("toy", entry(), tmp_path / "mine", mirror)
    assert names(tmp_path / "mine") == ["thesis.tex"]


def test_a_mirror_is_the_one_named_then_the_configuration_s_then_the_environment_s(monkeypatch):
    monkeypatch.setenv("BIONER_MIRROR", "/environment")
    assert mirror_of(Configuration(mirror="/configured"), Path("/named")) == Path("/named")
    assert mirror_of(Configuration(mirror="/configured")) == Path("/configured")
    assert mirror_of(Configuration(mirror=None)) == Path("/environment")
    monkeypatch.delenv("BIONER_MIRROR")
    assert mirror_of(Configuration(mirror=None)) is None


def test_where_nothing_can_be_written_it_does_not_wait(mirror):
    with pytest.raises(OSError):
        fetch("toy", entry(), Path("/proc/raw"), mirror)


def identified(described, mirror, raw=Path("nowhere"), before=None):
    return identities("toy", described, mirror, raw, before or {})


def test_a_file_is_known_by_its_checksum_its_content_or_its_address(mirror):
    here = {"path": str(mirror / "toy" / "dev.txt")}
    found = identified(
        entry(train={"sha256": "0" * 64}, dev=here, test={"url": "https://example.org/a"}), None
    )
    assert found == {
        "train.txt": f"sha256 {'0' * 64}",
        "dev.txt": f"sha256 {sha256(TEXTS['dev.txt'])}",
        "test.txt": "from https://example.org/a",
    }
    assert identified(entry(test={}), None)["test.txt"] == "lacking"
    assert identified(entry(test={}), mirror)["test.txt"] == f"sha256 {sha256(TEXTS['test.txt'])}"


def test_a_folder_is_known_by_all_that_it_holds(tmp_path):
    for split in SPLITS:
        (tmp_path / split / "part").mkdir(parents=True)
    brat = parse_entry(
        DatasetEntry,
        "toy",
        {"format": "brat", "splits": {split: str(tmp_path / split) for split in SPLITS}},
    )
    empty = identified(brat, None)
    (tmp_path / "dev" / "part" / "a.txt").write_text("new")
    filled = identified(brat, None)
    assert [empty[split] == filled[split] for split in SPLITS] == [True, False, True]


def test_what_was_fetched_stays_known_as_it_was_while_nothing_says_otherwise(mirror, tmp_path):
    described = entry(dev={"url": "https://example.org/dev.txt"}, test={})
    fetch("toy", described, tmp_path / "raw", mirror)
    before = identified(described, mirror)
    again = identified(described, None, tmp_path / "raw", before)
    assert again == before, "the mirror is not named this time"
    stated = entry(dev={"sha256": sha256(TEXTS["dev.txt"])}, test={"git_blob": TEST_BLOB})
    assert identified(stated, None, tmp_path / "raw", before) == before, (
        "checksums that are true of what is there"
    )
    wrong = entry(dev={"sha256": "0" * 64}, test={})
    assert identified(wrong, None, tmp_path / "raw", before)["dev.txt"] == f"sha256 {'0' * 64}"
    downloaded = before | {"dev.txt": "from https://example.org/dev.txt"}
    moved = entry(dev={"url": "https://example.org/new.txt"}, test={})
    assert (
        identified(moved, None, tmp_path / "raw", downloaded)["dev.txt"]
        == "from https://example.org/new.txt"
    )


def test_a_folder_has_no_checksum(tmp_path):
    for split in SPLITS:
        (tmp_path / split).mkdir()
    files = {split: {"path": str(tmp_path / split), "sha256": "0" * 64} for split in SPLITS}
    brat = parse_entry(
        DatasetEntry, "toy", {"format": "brat", "splits": {s: s for s in SPLITS}, "files": files}
    )
    with pytest.raises(InputError, match="found a folder with a checksum"):
        fetch("toy", brat, tmp_path / "raw", None)


@pytest.mark.parametrize("at_home", [True, False])
def test_a_broken_archive_on_this_machine_is_not_taken_for_its_member(mirror, tmp_path, at_home):
    archive = mirror / "toy" / "corpus.zip"
    with zipfile.ZipFile(archive, "w") as zipped:
        zipped.writestr("corpus/train.txt", "train")
    archive.write_bytes(archive.read_bytes()[:-30])
    (mirror / "toy" / "train.txt").unlink()
    source = {"path": str(archive)} if at_home else {"url": "https://example.org/corpus.zip"}
    with pytest.raises(InputError, match="no zip or tar archive"):
        fetch("toy", entry(train=source | {"member": "corpus/train.txt"}), tmp_path / "raw", mirror)
    assert_nothing_left(tmp_path / "raw")
