"""Locks and renames on the file system of a run's output, which trainings and predictions rely
on.
"""

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from bioner.io.files import atomic_path
from bioner.ops.doctor.processes import failure, run_together
from bioner.ops.doctor.report import Finding, fail, ok
from bioner.ops.doctor.storage import nearest

LIMIT = 30.0  # seconds for another process to try, and for this one to get a lock that nobody holds
TAKEN = 3  # exit code of a process that found the lock taken
TRY = f"""
import sys
from filelock import FileLock, Timeout
try:
    FileLock(sys.argv[1], timeout=0).acquire()
except Timeout:
    sys.exit({TAKEN})
"""
REMEDY = (
    "Choose an `out` on another file system, or have this one mounted with locks (Lustre: -o"
    " flock)."
)


def check_locks(out: Path) -> Iterator[Finding]:
    """A lock keeps another process out while it is held, and no longer."""
    with tempfile.TemporaryDirectory(dir=nearest(out), prefix=".bioner-doctor.") as folder:
        path = Path(folder) / "lock"
        lock = FileLock(path)
        try:
            lock.acquire(timeout=LIMIT)
        except (Timeout, OSError) as error:
            yield fail("locks", f"no lock is to be had in {out} ({error})", REMEDY)
            return
        try:
            held = another(path)
        finally:
            lock.release()
        free = another(path)
        if held == 0:
            yield fail("locks", f"two processes hold one lock in {out}", REMEDY)
        elif held != TAKEN or free != 0:
            reason = (
                held
                if held != TAKEN
                else "a lock stays taken when it is given back"
                if free == TAKEN
                else free
            )
            yield fail("locks", f"in {out}: {reason}", REMEDY)
        else:
            yield ok("locks", f"a lock in {out} keeps another process of this machine out")


def another(path: Path) -> int | str:
    """What becomes of a second process that wants the lock: 0 (it has it), TAKEN, or why
    neither.
    """
    ended = run_together([[sys.executable, "-c", TRY, str(path)]], LIMIT)
    if ended[0].code in (0, TAKEN):
        return ended[0].code
    return failure(ended, LIMIT) or ""


def check_rename(out: Path) -> Iterator[Finding]:
    """A file and a folder take the place of older ones in one step."""
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
            yield fail(
                "rename", f"in {out} old content is under a name that was given anew", REMEDY
            )
        else:
            yield ok("rename", f"files and folders in {out} are replaced in one step")
