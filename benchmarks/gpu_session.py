"""Measure in ten minutes what only a GPU can show; the most informative steps come first.

    python benchmarks/gpu_session.py [--out FOLDER] [--only STEP …] [--again]

Each step runs in a process of its own with a time limit and prints one JSON line: its name, its
seconds, its measurements, and `failed` or `timed_out` if it did not finish. The same command
resumes: finished steps are in FOLDER/steps.json and do not run again (with --again they do). The
output of a step is in FOLDER/STEP.log. The models have random weights in the shapes of Mistral-7B,
Llama-3.1-8B, BERT-large and DeBERTa-v3-large and are made on the card. Sentences are made-up words
in the lengths of JNLPBA and BioRED, or the corpora's own if BIONER_MIRROR names a mirror.

It writes docs/gpu/<card>.json and the table in docs/performance.md. From a machine that is wiped
afterwards, copy FOLDER, put its <card>.json into docs/gpu and run with --table. --rehearse runs
every step on the CPU with tiny shapes and writes only to FOLDER.

Besides torch for CUDA 13 it needs 43 MiB of wheels: docs/performance.md lists them.
"""

import argparse
import importlib
import json
import multiprocessing
import os
import re
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from parts.card.session import Session
from parts.card.table import CARDS, REHEARSAL, write_table

from bioner.io.files import write_json
from bioner.models.devices import require_devices
from bioner.ops.doctor.hardware import gpus_here
from bioner.settings.repository import REPOSITORY

MINUTES = 10.0  # per session
SHORTEST = 5.0  # seconds: no step starts with less time left
END = 5.0  # seconds for a killed process to end
ROOM = 40 * 2**30  # bytes for the weights of two models
MEMORY = Path("/dev/shm")


class Step(NamedTuple):
    """A function in a module of parts.card, and its time limit in seconds."""

    name: str
    module: str
    limit: float


STEPS = (
    Step("kernels", "probes", 45),
    Step("nf4", "probes", 25),
    Step("weights", "weights", 60),
    Step("training", "training", 100),
    Step("constrained", "decoding", 130),
    Step("free", "decoding", 75),
    Step("agreement", "decoding", 10),
    Step("optimizer", "probes", 20),
    Step("encoders", "encoders", 50),
    Step("llama_training", "training", 55),
    Step("llama_constrained", "decoding", 30),
)


def run_step(step: Step, session: Session, limit: float) -> dict[str, Any]:
    """Run a step in a forked process for at most `limit` seconds; return its line."""
    session.file.unlink(missing_ok=True)
    start = time.monotonic()
    # This process must not initialise CUDA, or its forks could not.
    process = multiprocessing.get_context("fork").Process(target=_child, args=(step, session))
    process.start()
    try:
        process.join(limit)
        timed_out = process.is_alive()
    finally:
        process.kill()
        process.join(END)  # a process that waits for a broken driver never ends
    measured = session.measured()
    card = measured.pop(0)["card"] if measured and "card" in measured[0] else None
    seconds = round(time.monotonic() - start, 1)
    line: dict[str, Any] = {"step": step.name, "card": card, "seconds": seconds}
    if timed_out:
        line["timed_out"] = limit
    elif process.exitcode:
        failed = measured.pop() if measured and "failed" in measured[-1] else {}
        line["failed"] = failed.get("failed", f"ended by signal {-process.exitcode}")
    return line | {"measured": measured}


def _child(step: Step, session: Session) -> None:
    """Run a step in its forked process, and send its output to its log."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    with (session.out / f"{step.name}.log").open("w", buffering=1) as log:
        sys.stdout = sys.stderr = log
        for stream in (1, 2):
            os.dup2(log.fileno(), stream)
        try:
            require_devices(step.name, session.gpus)
            session.say(card=_card(session))
            getattr(importlib.import_module(f"parts.card.{step.module}"), step.name)(session)
        except BaseException as error:
            traceback.print_exc()
            session.say(failed=f"{type(error).__name__}: {error}"[:400])
            os._exit(1)


def _card(session: Session) -> str:
    import torch

    return str(torch.cuda.get_device_name()) if session.gpus else REHEARSAL


def run_steps(
    steps: Sequence[Step], out: Path, scratch: Path, options: argparse.Namespace
) -> dict[str, dict[str, Any]]:
    """Run the steps that are not finished, print their lines, and return all lines by step."""
    path = out / "steps.json"
    lines: dict[str, dict[str, Any]] = {}
    if path.is_file():
        lines = json.loads(path.read_text(encoding="utf-8"))
    end = time.monotonic() + 60 * options.minutes
    for step in steps:
        if is_finished(lines.get(step.name)) and not options.again:
            print(f"{step.name}: already finished; --again repeats it", file=sys.stderr)
            continue
        left = end - time.monotonic()
        if left < SHORTEST:
            print(f"{step.name}: no time left; the same command resumes", file=sys.stderr)
            continue
        session = Session(step.name, out, scratch, options.rehearse)
        line = run_step(step, session, round(min(step.limit, left), 1))
        others = {name for name, other in lines.items() if other["card"] != line["card"]}
        if line["card"] and others:  # steps of one card stand in one file
            print(f"removed, since another card ran them: {', '.join(others)}", file=sys.stderr)
            lines = {name: other for name, other in lines.items() if name not in others}
        lines[step.name] = line
        write_json(path, lines)
        print(json.dumps(line), flush=True)
    return lines


def is_finished(line: Mapping[str, Any] | None) -> bool:
    """Return whether a step has run to its end."""
    return line is not None and not {"failed", "timed_out"} & line.keys()


def write_card(lines: Mapping[str, Mapping[str, Any]], out: Path) -> Path | None:
    """Write all lines to `out`, into a file named after the card; None if no step has seen one."""
    card = next((line["card"] for line in lines.values() if line["card"]), None)
    if card is None:
        return None
    path = out / f"{re.sub('[^a-z0-9]+', '-', card.lower()).strip('-')}.json"
    steps = [lines[step.name] for step in STEPS if step.name in lines]
    write_json(path, {"card": card, "steps": steps})
    return path


def _scratch(out: Path) -> Path:
    """Return the folder for weights: in shared memory if there is room, else in `out`."""
    room = MEMORY.is_dir() and shutil.disk_usage(MEMORY).free >= ROOM
    return MEMORY / "bioner-gpu-session" if room else out / "weights"


def main() -> None:
    """Run the steps, and write the card's file and the table."""
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    names = [step.name for step in STEPS]
    parser.add_argument("--out", type=Path, default=REPOSITORY / "runs" / "gpu-session")
    parser.add_argument("--only", nargs="+", choices=names, default=names, metavar="STEP")
    parser.add_argument("--again", action="store_true", help="repeat finished steps")
    parser.add_argument("--minutes", type=float, default=MINUTES, help="limit of the whole session")
    parser.add_argument("--rehearse", action="store_true", help="on the CPU, with tiny shapes")
    parser.add_argument("--table", action="store_true", help="only rewrite the table")
    options = parser.parse_args()
    if options.table:
        write_table()
        return
    if not options.rehearse and not gpus_here():
        sys.exit("No GPU here. --rehearse runs every step on the CPU, with tiny shapes.")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # ends the step, too
    if options.rehearse and options.out == parser.get_default("out"):
        options.out = Path(tempfile.mkdtemp(prefix="bioner-rehearsal-"))
        print(f"results in {options.out}", file=sys.stderr)
    out = options.out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    if options.rehearse:  # imported once for all steps
        for step in STEPS:
            importlib.import_module(f"parts.card.{step.module}")
    scratch = out / "weights" if options.rehearse else _scratch(out)
    chosen = [step for step in STEPS if step.name in options.only]
    lines = run_steps(chosen, out, scratch, options)
    if all(is_finished(lines.get(name)) for name in names):
        shutil.rmtree(scratch, ignore_errors=True)
    else:
        print(f"weights are kept in {scratch} for the next session", file=sys.stderr)
    card = write_card(lines, out)
    if card and not options.rehearse:
        CARDS.mkdir(exist_ok=True)
        shutil.copy(card, CARDS)
        write_table()
    sys.exit(0 if all(is_finished(lines.get(step.name)) for step in chosen) else 1)


if __name__ == "__main__":
    main()
