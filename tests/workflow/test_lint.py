"""Linters and formatters have nothing to say, but for Snakemake's advice on conda, which envs/ answers."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.workflow.snakemake import REPOSITORY, snakemake


def test_snakemake_lint(tmp_path):
    done = snakemake(tmp_path, "--lint", in_repository=True)
    advice = re.findall(r"^    \* (.+):$", done.stdout + done.stderr, flags=re.MULTILINE)
    assert set(advice) == {"Specify a conda environment or container for each rule."}


@pytest.mark.parametrize(
    "command",
    ["ruff check .", "ruff format --check .", "snakefmt --check Snakefile workflow", "mypy"],
)
def test_code_is_clean(command):
    tool, *arguments = command.split()
    program = str(Path(sys.executable).parent / tool)
    done = subprocess.run([program, *arguments], cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
