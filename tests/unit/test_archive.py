"""Archives of runs: what is packed and what is not, the same bytes again, faults told, nothing half-written."""

import base64
import gzip
import io
import os
import subprocess
import tarfile
from pathlib import Path

import pytest
from filelock import FileLock
from typer.testing import CliRunner

from bioner import archive
from bioner.archive import MANIFEST, files_of, find_run, pack, verify
from bioner.cli import app
from bioner.errors import InputError

SEED = "results/demo/bert/seed42"
MODEL = f"{SEED}/model/model.safetensors"
PACKED = [
    *("data/demo/raw/.snakemake_timestamp", "data/demo/raw/train.txt", "data/demo/train.jsonl"),
    *("logs/train/demo.log", "models/bert.json", "reports/report.html"),
    *(f"{SEED}/direct/raw.jsonl.gz", f"{SEED}/history.csv", f"{SEED}/model.txt"),
    "results/demo/bert/trials/lr1/run.json",
]
LEFT_OUT = [
    *(f"{SEED}/.training/checkpoints/checkpoint-1/model.safetensors", f"{SEED}/.training.before/job.json"),
    *(f"{SEED}/.model.x1/model/config.json", f"{SEED}/direct/.shards/1", "data/demo/.raw.x2/raw/train.txt"),
    *("results/demo/bert/trials/lr1/model/model.safetensors", "models/bert/model.safetensors", "config/mine.yaml"),
]


def write(folder: Path, *names: str) -> None:
    for number, name in enumerate(names):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"content of {name}\n")
        os.utime(path, (0, 1_700_000_000.25 + number))


def record(workdir: Path, name: str, kind: str = "metadata", longest: int = 254) -> str:
    """A record as Snakemake names it; its name in the archive."""
    coded = base64.urlsafe_b64encode(name.encode()).decode()
    parts = [coded[start : start + longest] for start in range(0, len(coded), longest)]
    place = Path(".snakemake", kind, *(f"@{part}" for part in parts[:-1]), parts[-1])
    write(workdir, str(place))
    return str(place)


@pytest.fixture
def work(tmp_path) -> Path:
    """A working directory with a run in `runs/demo`."""
    folder = tmp_path / "work"
    write(folder / "runs/demo", *PACKED, *LEFT_OUT, MODEL)
    return folder


def packed(run: Path, target: Path, weights: bool = False) -> list[str]:
    """Names in the archive of a run, its manifest's and Snakemake's own folder left away."""
    pack(files_of(find_run(run), weights), target)
    with tarfile.open(target) as opened:
        names = [member.name for member in opened if member.isreg()]
    assert names[0] == MANIFEST
    return names[1:]


def run(*arguments: str) -> str:
    """What the command says; its error as the one line that users see."""
    result = CliRunner().invoke(app, ["archive", *arguments])
    if isinstance(result.exception, InputError):
        return str(result.exception)
    assert result.exception is None, result.exception
    return result.output


def test_results_are_packed_and_neither_workspaces_nor_weights(tmp_path, work):
    assert packed(work / "runs/demo", tmp_path / "a.tar.gz") == sorted(PACKED)
    assert packed(work / "runs/demo", tmp_path / "w.tar.gz", weights=True) == sorted([*PACKED, MODEL])


@pytest.mark.parametrize(("options", "weights"), [([], set()), (["--weights"], {MODEL})])
def test_the_command_packs_trained_models_where_it_is_told_to(tmp_path, work, options, weights):
    run(str(work / "runs/demo"), "--to", str(tmp_path / "a.tar.gz"), *options)
    with tarfile.open(tmp_path / "a.tar.gz") as opened:
        assert set(opened.getnames()) == {MANIFEST, *PACKED, *weights}


def test_records_of_the_run_come_along_and_names_begin_at_the_working_directory(tmp_path, work):
    long = f"runs/demo/results/{'x' * 300}/scores.csv"
    ours = {record(work, name) for name in ("runs/demo/reports/report.html", f"runs/demo/{SEED}/model", long)}
    record(work, "runs/other/reports/report.html")
    record(work, "reports/report.html")
    write(work, ".snakemake/metadata/not-base64!")
    names = packed(work / "runs/demo", tmp_path / "a.tar.gz")
    assert {name for name in names if name.startswith(".snakemake")} == ours
    assert set(names) - ours == {f"runs/demo/{name}" for name in PACKED}
    with tarfile.open(tmp_path / "a.tar.gz") as opened:
        assert opened.getmember(".snakemake/incomplete").isdir()
    assert verify(tmp_path / "a.tar.gz") == len(names)


def test_what_a_job_has_not_finished_is_left_out_with_its_record(tmp_path, work):
    for name in (f"runs/demo/{SEED}/history.csv", "runs/demo/data/demo/raw"):
        record(work, name)
        record(work, name, "incomplete")
    kept = record(work, "runs/demo/reports/report.html")
    names = packed(work / "runs/demo", tmp_path / "a.tar.gz")
    gone = {"data/demo/raw/.snakemake_timestamp", "data/demo/raw/train.txt", f"{SEED}/history.csv"}
    assert set(names) == {kept, *(f"runs/demo/{name}" for name in PACKED if name not in gone)}


def test_the_way_to_the_run_does_not_matter(tmp_path, work, monkeypatch):
    record(work, "runs/demo/reports/report.html")
    packed(work / "runs/demo", tmp_path / "a.tar.gz")
    monkeypatch.chdir(work / "runs/demo/results")
    packed(Path(".."), tmp_path / "b.tar.gz")
    # runs/ on another file system, as scratch spaces are used.
    (work / "runs").rename(tmp_path / "scratch")
    (work / "runs").symlink_to(tmp_path / "scratch")
    packed(work / "runs/demo", tmp_path / "c.tar.gz")
    first, *others = [(tmp_path / f"{name}.tar.gz").read_bytes() for name in "abc"]
    assert others == [first, first]


def test_the_same_files_make_the_same_bytes_whoever_packs_them(tmp_path, work):
    packed(work / "runs/demo", tmp_path / "a.tar.gz")
    (work / "runs/demo/reports/report.html").chmod(0o600)
    packed(work / "runs/demo", tmp_path / "b.tar.gz")
    assert (tmp_path / "a.tar.gz").read_bytes() == (tmp_path / "b.tar.gz").read_bytes()
    with tarfile.open(tmp_path / "a.tar.gz") as opened:
        members = opened.getmembers()
    assert {(member.uid, member.gid, member.uname, member.gname) for member in members} == {(0, 0, "", "")}


def test_tar_and_sha256sum_agree_also_on_odd_names_and_fractions_of_seconds(tmp_path):
    odd = ["reports/über\\all.csv", "reports/two\nlines.csv", "reports/a b.csv", f"reports/{'x' * 200}.csv"]
    write(tmp_path / "run", "results/scores.csv", *odd)
    assert packed(tmp_path / "run", tmp_path / "a.tar.gz") == sorted(["results/scores.csv", *odd])
    assert verify(tmp_path / "a.tar.gz") == 5
    fresh = tmp_path / "fresh"
    fresh.mkdir()
    subprocess.run(["tar", "-xzf", tmp_path / "a.tar.gz"], cwd=fresh, check=True)
    subprocess.run(["sha256sum", "--check", "--strict", "--quiet", MANIFEST], cwd=fresh, check=True)
    for name in odd:
        assert (fresh / name).stat().st_mtime == (tmp_path / "run" / name).stat().st_mtime


@pytest.mark.parametrize("place", [SEED, "results/demo/bert/trials/lr1"])
def test_a_training_under_way_is_waited_for_and_a_lock_that_nobody_holds_is_none(tmp_path, work, place):
    lock = work / "runs/demo" / place / ".training.lock"
    target = tmp_path / "a.tar.gz"
    with FileLock(lock):
        said = run(str(work / "runs/demo"), "--to", str(target))
        assert said.startswith(f"{lock.parent}: found a training under way; expected a run at rest.")
    assert not target.exists()
    lock.touch()
    run(str(work / "runs/demo"), "--to", str(target))
    assert target.is_file()
    assert lock.exists(), "it is another's"


def test_what_cannot_be_is_refused_before_anything_is_written(tmp_path, work):
    demo, there = str(work / "runs/demo"), tmp_path / "there.tar.gz"
    there.write_text("mine")
    assert "expected --to to pack, or --check" in run(demo)
    assert "expected --to to pack, or --check" in run(demo, "--to", str(tmp_path / "a.tar.gz"), "--check", str(there))
    assert "expected a name that is free" in run(demo, "--to", str(there))
    assert "expected a name that ends in .tar.gz" in run(demo, "--to", str(tmp_path / "a.zip"))
    assert "found no folder results/" in run(str(work), "--to", str(tmp_path / "a.tar.gz"))
    assert "found no folder results/" in run(str(tmp_path / "nowhere"), "--to", str(tmp_path / "a.tar.gz"))
    assert "expected a file of its own" in run(demo, "--to", f"{demo}/reports/a.tar.gz")
    assert f"{tmp_path}: found a folder; expected an archive, which is a file." in run("--check", str(tmp_path))
    (work / "runs/demo/reports/lost").symlink_to(tmp_path / "nowhere")
    assert "found neither a file nor a folder" in run(demo, "--to", str(tmp_path / "a.tar.gz"))
    (work / "runs/demo/reports/lost").unlink()
    (work / "runs/demo/reports/round").symlink_to("..")
    assert "found a link to a folder that it lies in" in run(demo, "--to", str(tmp_path / "a.tar.gz"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["there.tar.gz", "work"]
    assert there.read_text() == "mine"


def test_a_run_without_a_file_is_not_packed(tmp_path, work):
    """Only folders, or what is left out, or records of files that are gone."""
    empty = tmp_path / "work" / "empty"
    write(empty, "results/demo/bert/seed42/.training/checkpoint")
    record(work, "empty/reports/report.html")
    said = run(str(empty), "--to", str(tmp_path / "a.tar.gz"))
    assert said.startswith(f"{empty}: found no file to pack; expected some in data, results, reports, logs, models.")
    assert not (tmp_path / "a.tar.gz").exists()


@pytest.mark.parametrize("then", ["CONTENT of results/scores.csv\n", "short", "longer than what it was before"])
def test_a_file_that_changes_meanwhile_leaves_no_archive(tmp_path, monkeypatch, then):
    write(tmp_path / "run", "results/scores.csv")
    digest_of = archive._line

    def and_then(name: str, digest: str) -> bytes:
        (tmp_path / "run/results/scores.csv").write_text(then)
        return digest_of(name, digest)

    monkeypatch.setattr(archive, "_line", and_then)
    with pytest.raises(InputError, match="a file that changed while it was packed"):
        packed(tmp_path / "run", tmp_path / "a.tar.gz")
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def rewritten(path: Path, change) -> None:
    """An archive with its members, as (name, content) pairs, changed."""
    with tarfile.open(path) as opened:
        members = [(member.name, opened.extractfile(member).read()) for member in opened]
    with tarfile.open(path, "w:gz") as opened:
        for name, content in change(members):
            member = tarfile.TarInfo(name)
            member.size = len(content)
            opened.addfile(member, io.BytesIO(content))


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (
            lambda members: [(name, content.replace(b"report", b"REPORT")) for name, content in members],
            "reports/report.html, once",
        ),
        (lambda members: [*members[:-1], (members[-1][0], b"other")], "another content of results/"),
        (lambda members: members[:-1], "no results/"),
        (lambda members: [*members, members[-1]], "once more or not in the manifest"),
        (lambda members: [*members, ("more", b"")], "more, once more or not in the manifest"),
        (lambda members: members[1:], "data/demo/raw/.snakemake_timestamp first"),
        (lambda members: [], "found no member; expected MANIFEST.sha256"),
        (lambda members: [(MANIFEST, b"")], "found an empty MANIFEST.sha256; expected a line for each file"),
        (lambda members: [(MANIFEST, b"no checksum\n"), *members[1:]], "other lines"),
    ],
    ids=["manifest", "content", "missing", "twice", "more", "no manifest", "empty", "empty manifest", "no checksums"],
)
def test_an_archive_that_is_not_as_its_manifest_has_it(tmp_path, work, change, found):
    packed(work / "runs/demo", tmp_path / "a.tar.gz")
    rewritten(tmp_path / "a.tar.gz", lambda members: members)
    assert verify(tmp_path / "a.tar.gz") == len(PACKED)
    rewritten(tmp_path / "a.tar.gz", change)
    assert found in run("--check", str(tmp_path / "a.tar.gz"))


def test_a_damaged_archive_is_told_wherever_the_damage_is(tmp_path, work):
    file = tmp_path / "a.tar.gz"
    packed(work / "runs/demo", file)
    whole = file.read_bytes()
    for place in range(0, len(whole), 40):
        if place in range(4, 10):  # time stamp, speed, system: nobody's content
            continue
        file.write_bytes(whole[:place] + bytes([whole[place] ^ 0x55]) + whole[place + 1 :])
        with pytest.raises(InputError):
            verify(file)
    for length in range(0, len(whole), 40):
        file.write_bytes(whole[:length])
        with pytest.raises(InputError):
            verify(file)
    for other in (b"", b"plain text", gzip.compress(b"no tar")):
        file.write_bytes(other)
        assert run("--check", str(file)).startswith(f"{file}: found ")
    assert "no such file" in run("--check", str(tmp_path / "nowhere"))
