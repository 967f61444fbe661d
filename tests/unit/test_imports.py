"""What runs on a login node starts in a moment: scoring and reporting never load torch."""

import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    "module",
    [
        "bioner.cli",
        "bioner.config",
        "bioner.corpora.fetching.fetch",
        "bioner.corpora.normalize",
        "bioner.models.controls",
        "bioner.planning.words",
        "bioner.predict",
        "bioner.realignment.realign",
        "bioner.reporting.figures",
        "bioner.reporting.report",
        "bioner.reporting.reproduction",
        "bioner.scoring.score",
        "bioner.status.cells",
        "bioner.status.table",
    ],
)
def test_no_torch(module):
    code = f"import sys, {module}; sys.exit('torch' in sys.modules or 'transformers' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
