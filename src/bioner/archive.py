"""What must outlive a scratch file system: a run packed with its checksums and Snakemake's records, and verified."""

import fcntl
import gzip
import hashlib
import io
import os
import re
import tarfile
import zlib
from base64 import urlsafe_b64decode
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, cast

from bioner.errors import InputError, reason_of
from bioner.files import atomic_path

MANIFEST = "MANIFEST.sha256"
FOLDERS = ("data", "results", "reports", "logs", "models")
STAMP = ".snakemake_timestamp"  # the time of an output that is a folder
WEIGHTS = re.compile(r"results/[^/]+/[^/]+/(?P<of>seed\d+|trials/[^/]+)/model")  # a folder
FOREIGN = re.compile(
    r"models/(?![^/]+\.json$).*", re.DOTALL
)  # of `models/` the workflow's are the records of what was fetched
LOCKS = ("results/*/*/seed*/.training.lock", "results/*/*/trials/*/.training.lock")
LINE = re.compile(rb"(?P<escaped>\\?)(?P<digest>[0-9a-f]{64}) [ *](?P<name>[^\n]+)\n")
ESCAPES = {"\\": "\\\\", "\n": "\\n", "\r": "\\r"}  # of sha256sum, in names
CHUNK = 1 << 20
AGAIN = "Pack the run again, or copy the archive again from where it was packed."
FOREIGN_ARCHIVE = "Is it what `bioner archive` wrote?"


@dataclass(frozen=True, slots=True)
class Run:
    """A run's output folder, the working directory it was made in, and what Snakemake recorded there of its files."""

    out: Path
    workdir: Path
    records: tuple[Path, ...] = ()
    unfinished: frozenset[Path] = frozenset()  # outputs of jobs that did not end, or have not yet

    def name(self, path: Path) -> str:
        """A file's name in the archive: where it lies in the working directory."""
        return path.relative_to(self.workdir).as_posix()


def find_run(out: Path) -> Run:
    """The run in a folder; its working directory is the nearest folder upwards that holds Snakemake's records of it.

    A run under an absolute path outside of its working directory has none there; it is packed without.
    """
    out = Path(os.path.abspath(out))  # noqa: PTH100  # links stay: Snakemake's records name files as users do
    if not (out / "results").is_dir():
        remedy = "Name the folder that the configuration calls `out`."
        raise InputError(out, "no folder results/", "a run's output folder", remedy)
    for workdir in (out, *out.parents):
        if records := _records(workdir, "metadata", out):
            unfinished = frozenset(_records(workdir, "incomplete", out).values())
            finished = (record for record, of in records.items() if of not in unfinished)
            return Run(out, workdir, tuple(finished), unfinished)
    return Run(out, out)


def _records(workdir: Path, kind: str, out: Path) -> dict[Path, Path]:
    """Snakemake's records of files in the run, each with the file it is of.

    A record is named after its file, in base64; long names are cut into folders that begin with `@`.
    """
    folder = workdir / ".snakemake" / kind
    found = {}
    for path in sorted(folder.rglob("*")) if folder.is_dir() else ():
        try:
            coded = "".join(part.removeprefix("@") for part in path.relative_to(folder).parts)
            of = workdir / os.fsdecode(urlsafe_b64decode(coded))
        except ValueError:
            continue  # one of those folders
        if path.is_file() and any(of.is_relative_to(out / name) for name in FOLDERS):
            found[path] = of
    return found


def refuse_training(run: Run) -> None:
    """InputError where a process trains in the run."""
    for lock in sorted(path for pattern in LOCKS for path in run.out.glob(pattern)):
        try:
            with lock.open("rb") as stream:
                fcntl.flock(stream, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except FileNotFoundError:
            continue  # it has just ended
        except OSError:  # held; or on a file system without locks, where its being there is all that tells
            remedy = f"Wait for it, or end it; where there is none, remove {lock.name}."
            raise InputError(lock.parent, "a training under way", "a run at rest", remedy) from None


def files_of(run: Run, weights: bool) -> dict[str, Path]:
    """What is packed, by name in the archive and sorted by it: the run's files and Snakemake's records of them.

    InputError where the run has no file.
    """
    folders = (run.out / name for name in FOLDERS if os.path.lexists(run.out / name))
    inside = [path for folder in folders for path in _walk(folder, run, weights, ())]
    if not inside:
        remedy = "Name the folder that the configuration calls `out`, or let a job of the run end first."
        raise InputError(run.out, "no file to pack", f"some in {', '.join(FOLDERS)}", remedy)
    return dict(sorted((run.name(path), path) for path in (*inside, *run.records)))


def _walk(folder: Path, run: Run, weights: bool, above: tuple[Path, ...]) -> Iterator[Path]:
    """Files below a folder, through links, but for what is left out."""
    if (place := folder.resolve()) in above:
        raise InputError(folder, "a link to a folder that it lies in", "files and folders", "Remove the link.")
    for path in folder.iterdir():
        if _left_out(path, run, weights):
            continue
        if path.is_dir():
            yield from _walk(path, run, weights, (*above, place))
        elif path.is_file():
            yield path
        else:
            raise InputError(path, "neither a file nor a folder", "what a run leaves", "Remove it, or mend the link.")


def _left_out(path: Path, run: Run, weights: bool) -> bool:
    """Whether a file or folder is a workspace or half written, not the run's, or weights that are not wanted."""
    if (path.name.startswith(".") and path.name != STAMP) or path in run.unfinished:
        return True
    name = path.relative_to(run.out).as_posix()
    model = WEIGHTS.fullmatch(name)
    return bool(FOREIGN.fullmatch(name) or (model and not (weights and model["of"].startswith("seed"))))


def pack(files: Mapping[str, Path], target: Path) -> None:
    """Write files as a tar.gz with their checksums as its first member: the same files and times make the same bytes.

    They are read twice, for the checksums stand first; InputError where one is another by then.
    """
    digests = {}
    for name, path in files.items():
        with path.open("rb") as stream:
            digests[name] = hashlib.file_digest(stream, "sha256").hexdigest()
    manifest = b"".join(_line(name, digest) for name, digest in digests.items())
    newest = max((path.stat().st_mtime for path in files.values()), default=0)
    with (
        atomic_path(target) as temporary,
        temporary.open("wb") as raw,
        gzip.GzipFile(filename="", fileobj=raw, mode="wb", compresslevel=6, mtime=0) as zipped,
        # PAX: Snakemake compares fractions of a second.
        tarfile.open(fileobj=zipped, mode="w", format=tarfile.PAX_FORMAT, encoding="utf-8") as archive,
    ):
        archive.addfile(_member(MANIFEST, len(manifest), newest), io.BytesIO(manifest))
        if any(name.startswith(".snakemake/") for name in files):
            # Without this folder Snakemake takes the records for those of an older version.
            folder = _member(".snakemake/incomplete", 0, newest)
            folder.type, folder.mode = tarfile.DIRTYPE, 0o755
            archive.addfile(folder)
        for name, path in files.items():
            with path.open("rb") as stream:
                status, read = os.fstat(stream.fileno()), _Hashed(stream)
                try:
                    archive.addfile(_member(name, status.st_size, status.st_mtime), cast(IO[bytes], read))
                    same = read.digest.hexdigest() == digests[name]
                except OSError as error:
                    if error.errno is not None:
                        raise
                    same = False  # tarfile's: shorter than it was
            if not same:
                remedy = "Wait for what writes it, then pack again."
                raise InputError(path, "a file that changed while it was packed", "a run at rest", remedy)


class _Hashed:
    """A stream that knows the checksum of what was read."""

    def __init__(self, stream: IO[bytes]) -> None:
        self.stream, self.digest = stream, hashlib.sha256()

    def read(self, size: int) -> bytes:
        block = self.stream.read(size)
        self.digest.update(block)
        return block


def _member(name: str, size: int, modified: float) -> tarfile.TarInfo:
    """A member that is nobody's."""
    member = tarfile.TarInfo(name)
    member.size, member.mtime = size, modified
    return member


def _line(name: str, digest: str) -> bytes:
    """A line as `sha256sum` writes it, and `sha256sum --check` reads it."""
    escaped = "".join(ESCAPES.get(character, character) for character in name)
    return os.fsencode(("" if escaped == name else "\\") + f"{digest}  {escaped}\n")


def verify(path: Path) -> int:
    """Compare an archive with its manifest without unpacking it; returns how many files it vouches for.

    Raises InputError for the first member that is not as the manifest has it, and where one is missing.
    """
    try:
        with gzip.open(path, "rb") as stream:
            with tarfile.open(fileobj=stream, mode="r|", encoding="utf-8") as archive:
                checked = _compared(path, archive)
            while stream.read(CHUNK):  # the checksum of the whole stands at its end
                pass
    except FileNotFoundError:
        raise InputError(path, "no such file", "an archive", "Check the path.") from None
    except IsADirectoryError:
        remedy = "Name the file; files that are unpacked: `sha256sum -c MANIFEST.sha256` in the folder."
        raise InputError(path, "a folder", "an archive, which is a file", remedy) from None
    except (tarfile.TarError, gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise InputError(path, f"a broken archive ({reason_of(error)})", "a whole one", AGAIN) from None
    return checked


def _compared(path: Path, archive: tarfile.TarFile) -> int:
    digests: dict[str, str] | None = None
    seen: set[str] = set()
    for number, member in enumerate(archive):
        if member.isdir() and number:
            continue
        content = archive.extractfile(member) if member.isreg() else None
        if content is None:
            raise InputError(path, f"{member.name}, which is no file,", "files and folders", FOREIGN_ARCHIVE)
        if digests is None:
            if member.name != MANIFEST:
                raise InputError(path, f"{member.name} first", MANIFEST, FOREIGN_ARCHIVE)
            digests = _digests(path, content.read())
            continue
        name = member.name
        if name not in digests or name in seen or ".." in PurePosixPath(name).parts or name.startswith("/"):
            raise InputError(path, f"{name}, once more or not in the manifest", "what the manifest lists", AGAIN)
        if hashlib.file_digest(cast(io.BytesIO, content), "sha256").hexdigest() != digests[name]:
            raise InputError(path, f"another content of {name}", "what the manifest vouches for", AGAIN)
        seen.add(name)
    if digests is None:
        raise InputError(path, "no member", MANIFEST, FOREIGN_ARCHIVE)
    if not digests:
        raise InputError(path, f"an empty {MANIFEST}", "a line for each file", FOREIGN_ARCHIVE)
    if lacking := sorted(digests.keys() - seen):
        raise InputError(path, f"no {lacking[0]}", "all that the manifest lists", AGAIN)
    return len(seen)


def _digests(path: Path, manifest: bytes) -> dict[str, str]:
    """Checksums by name, from the manifest."""
    lines = list(LINE.finditer(manifest))
    if sum(len(line[0]) for line in lines) != len(manifest):
        raise InputError(f"{path}:{MANIFEST}", "other lines", "lines of sha256sum", FOREIGN_ARCHIVE)
    letters = {written: letter for letter, written in ESCAPES.items()}

    def name(line: re.Match[bytes]) -> str:
        text = os.fsdecode(line["name"])
        return re.sub(r"\\[\\nr]", lambda match: letters[match[0]], text) if line["escaped"] else text

    return {name(line): line["digest"].decode() for line in lines}
