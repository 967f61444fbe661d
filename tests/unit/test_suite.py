"""The suite's own manners: a signal ends it, and an expensive test fails it."""

import os
import re
import signal
import subprocess
import sys
import time

import pytest

from bioner.errors import Interrupted
from bioner.io.signals import raise_on_signal
from tests.conftest import REPOSITORY


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1])
def test_a_signal_from_outside_ends_the_run_while_the_code_under_test_listens(number):
    with pytest.raises(KeyboardInterrupt, match=number.name), raise_on_signal("work"):
        os.kill(os.getpid(), number)
        time.sleep(60)  # Python may take the signal at the next instruction


def test_a_test_s_own_signal_reaches_the_code_under_test_and_handlers_are_put_back():
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(Interrupted, match="SIGTERM"), raise_on_signal("work"):
        signal.raise_signal(signal.SIGTERM)
    assert signal.getsignal(signal.SIGTERM) is before


SUITE = """
import time, pytest
def burn():
    end = time.process_time() + 0.3
    while time.process_time() < end: pass
def test_cheap(): pass
def test_expensive(): burn()
@pytest.mark.slow
def test_slow(): burn()
def test_children():
    import subprocess, sys
    subprocess.run([sys.executable, "-c", "import time\\nwhile time.process_time() < 0.3: pass"])
"""


def test_a_test_that_costs_too_much_fails_the_run_unless_it_is_marked_slow(tmp_path):
    """Processes that it starts count."""
    (tmp_path / "test_them.py").write_text(SUITE)
    others = [f"no:{name}" for name in ("cacheprovider", "xdist", "hypothesispytest")]
    options = [f"-p{name}" for name in ["tests.cpu", *others]] + [
        "-o",
        "markers=slow",
        "--rootdir",
        str(tmp_path),
    ]
    command = [sys.executable, "-m", "pytest", *options, "--cpu-limit", "0.2", str(tmp_path)]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "4 passed" in done.stdout
    failed = re.findall(r"^FAILED \S+::(\w+): (\S+) CPU seconds", done.stdout, flags=re.MULTILINE)
    assert sorted(name for name, _ in failed) == ["test_children", "test_expensive"]
    assert all(float(seconds) >= 0.3 for _, seconds in failed)
    shown = re.findall(r"^ +\S+  \S+::(\w+)$", done.stdout, flags=re.MULTILINE)
    assert set(shown) == {"test_cheap", "test_children", "test_expensive", "test_slow"}
