"""Snakemake as a user starts it, in the repository or in an empty folder, but for its imports
(tests.forked).
"""

import re
import subprocess
from collections import Counter
from pathlib import Path

from tests import forked

REPOSITORY = Path(__file__).resolve().parents[2]


def snakemake(
    folder: Path, *arguments: str, in_repository: bool = False
) -> subprocess.CompletedProcess[str]:
    """Run the workflow with `folder` as its working directory, or in the repository itself."""
    where = (
        []
        if in_repository
        else ["--snakefile", str(REPOSITORY / "Snakefile"), "--directory", str(folder)]
    )
    return forked.run(["snakemake", *where, *arguments], REPOSITORY)


def dry_run(folder: Path, *arguments: str, in_repository: bool = False) -> str:
    """The text of a dry-run that must succeed."""
    done = snakemake(folder, *arguments, "--dry-run", in_repository=in_repository)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def jobs(text: str) -> dict[str, int]:
    """Planned jobs a rule, from the table `Job stats`; empty where there is nothing to do."""
    if "Nothing to be done" in text:
        return {}
    table = text.split("Job stats:")[1].split("\n\n")[0]
    return {
        rule: int(count) for rule, count in re.findall(r"^(\w+) +(\d+)$", table, flags=re.MULTILINE)
    }


def run(folder: Path, *arguments: str) -> dict[str, int]:
    """A run of the corpus in `folder` that must succeed; how many jobs of each rule it took."""
    done = snakemake(folder, *arguments, "--configfile", str(folder / "tiny.yaml"), "--cores", "2")
    text = done.stdout + done.stderr
    assert done.returncode == 0, text
    return dict(Counter(re.findall(r"Finished jobid: \d+ \(Rule: (\w+)\)", text)))


def planned(folder: Path, *arguments: str) -> dict[str, int]:
    """What such a run would do now: jobs a rule."""
    found = jobs(dry_run(folder, *arguments, "--configfile", str(folder / "tiny.yaml")))
    found.pop("total", None)
    return found
