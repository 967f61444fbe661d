"""Snakemake's own linter has nothing to say but its advice on conda, which this project answers in envs/."""

import re

from tests.workflow.snakemake import snakemake


def test_snakemake_lint(tmp_path):
    done = snakemake(tmp_path, "--lint", in_repository=True)
    advice = re.findall(r"^    \* (.+):$", done.stdout + done.stderr, flags=re.MULTILINE)
    assert set(advice) == {"Specify a conda environment or container for each rule."}
