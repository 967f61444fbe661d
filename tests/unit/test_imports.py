"""Imports between rooms point one way; what needs no torch does not import it, and what does
imports it late.
"""

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

import bioner

# Each room imports from those before it.
ROOMS = ["errors", "settings", "io", "data", "realignment", "scoring", "comparison"]
ROOMS += ["corpora", "models", "inference", "training", "results", "reporting", "ops", "cli"]

LIGHT = [
    "bioner.cli",
    "bioner.cli.training",
    "bioner.settings.config",
    "bioner.corpora.fetching.fetch",
    "bioner.corpora.normalize",
    "bioner.models.controls",
    "bioner.models.devices",
    "bioner.models.hub_errors",
    "bioner.models.snapshots",
    "bioner.ops.planning.format",
    "bioner.inference.predict",
    "bioner.realignment.realign",
    "bioner.reporting.figures",
    "bioner.reporting.report",
    "bioner.reporting.reproduction",
    "bioner.scoring.score",
    "bioner.ops.status.cells",
    "bioner.ops.status.table",
    "bioner.training.job",
    "bioner.training.launch",
]
HEAVY = {"torch", "transformers"}


def test_imports_between_rooms_point_one_way():
    package = Path(bioner.__file__).parent
    rooms = {path.stem for path in package.glob("*.py")} | {
        path.parent.name for path in package.glob("*/__init__.py")
    }
    assert rooms == {*ROOMS, "__init__", "__main__"}, (
        "a room is new or gone: put it into its place in ROOMS"
    )
    wrong = []
    for path in sorted(package.glob("*/**/*.py")):
        room = path.relative_to(package).parts[0]
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("bioner."):
                other = str(node.module).split(".")[1]
                if ROOMS.index(other) > ROOMS.index(room):
                    wrong.append(f"{path.relative_to(package)}:{node.lineno} imports {node.module}")
    assert wrong == []


def run(code: str) -> str:
    """Run Python code in a process of its own; return what it printed."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_modules_that_login_nodes_use_import_no_torch():
    code = f"""
import importlib, json, sys
loaded = {{}}
for name in {LIGHT}:
    importlib.import_module(name)
    loaded[name] = sorted({HEAVY} & set(sys.modules))
print(json.dumps(loaded))"""
    loaded = json.loads(run(code))
    assert {name: found for name, found in loaded.items() if found} == {}, (
        "the first of these is to blame"
    )


def test_a_plan_imports_no_torch():
    assert run(f"""
import sys
from bioner.cli import main
sys.argv = ["bioner", "plan"]
main()
print({HEAVY} & set(sys.modules))""").endswith("set()\n")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["train", "mistral-7b", "--data", ".", "--out", "o"], "0 CUDA GPUs; expected 2"),
        (["train", "oracle", "--data", "{data}", "--out", "o"], "needs no training"),
        (["train", "bert-mini", "--data", "nowhere", "--out", "o"], "no such file"),
    ],
    ids=["missing GPUs", "a control", "no data"],
)
def test_train_refuses_bad_input_before_it_imports_transformers(tmp_path, arguments, said):
    """Of torch, which is stood in for here, it asks the number of GPUs alone."""
    for split in ("train", "dev"):
        (tmp_path / f"{split}.jsonl").write_text(
            '{"id": "a", "doc": "a", "tokens": ["gout"], "tags": ["B-Disease"]}\n'
        )
    arguments = [argument.format(data=tmp_path) for argument in arguments]
    code = f"""
import sys, types
from bioner.cli import main
sys.modules["torch"] = types.SimpleNamespace(cuda=types.SimpleNamespace(device_count=lambda: 0))
sys.argv, sys.stderr = ["bioner", *{arguments}], sys.stdout
try:
    main()
except SystemExit as end:
    print(end.code, "transformers" in sys.modules)"""
    printed = run(code)
    assert said in printed
    assert printed.endswith("2 False\n")
