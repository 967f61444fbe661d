"""Locks and renames on the output's file system, which trainings and predictions rely on."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from bioner.io.files import atomic_path
from bioner.ops.doctor.report import Finding, fail, ok
from bioner.ops.doctor.storage import nearest

LIMIT = 30.0  # seconds to get a lock that nobody holds
REMEDY = (
    "Choose an `out` on another file system, or have this one mounted with locks (Lustre: -o"
    " flock)."
)


def check_locks(out: Path) -> Iterator[Finding]:
    """Check that a lock keeps others out while it is held, and no longer."""
    with tempfile.TemporaryDirectory(dir=nearest(out), prefix=".bioner-doctor.") as folder:
        path = Path(folder) / "lock"
        try:
            with FileLock(path).acquire(timeout=LIMIT):
                free_while_held = is_free(path)
            free_afterwards = is_free(path)
        except OSError as error:  # also filelock's Timeout
            yield fail("locks", f"no lock is to be had in {out} ({error})", REMEDY)
            return
    if free_while_held:
        yield fail("locks", f"two processes hold one lock in {out}", REMEDY)
    elif not free_afterwards:
        yield fail("locks", f"in {out}: a lock stays taken when it is given back", REMEDY)
    else:
        yield ok("locks", f"a lock in {out} keeps another process of this machine out")


def is_free(path: Path) -> bool:
    """Return whether a lock is free; the kernel treats a second opening like another process."""
    try:
        with FileLock(path).acquire(timeout=0):
            return True
    except Timeout:
        return False


def check_rename(out: Path) -> Iterator[Finding]:
    """Check that a file and a folder replace older ones in one step."""
    with tempfile.TemporaryDirectory(dir=nearest(out), prefix=".bioner-doctor.") as folder:
        file, whole = Path(folder) / "file", Path(folder) / "folder"
        for text in ("old", "new"):
            with atomic_path(file) as temporary:
                temporary.write_text(text, encoding="utf-8")
            with atomic_path(whole) as temporary:
                temporary.mkdir()
                (temporary / text).touch()
        names = [path.name for path in whole.iterdir()]
        if file.read_text(encoding="utf-8") != "new" or names != ["new"]:
            told = f"in {out} old content is under a name that was given anew"
            yield fail("rename", told, REMEDY)
        else:
            yield ok("rename", f"files and folders in {out} are replaced in one step")
