"""How long normalizing takes and how much memory, as whole commands, and how both grow with the
size of a corpus.

Real corpora are taken from BIONER_MIRROR, those whose files it holds (ChemProt by the stand-in for
its training split). Growth is measured on made-up corpora in three formats, every step twice the
size: the second doubling takes twice as long as the first where time grows as the corpus does.
PubTator waits some two seconds for spaCy before its first document. The last line is JSON, ratios
first.
"""

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from bioner.data.instances import SPLITS
from bioner.settings.catalogue import load_datasets
from bioner.settings.config import load_config
from bioner.settings.yaml_files import read_yaml

REPOSITORY = Path(__file__).resolve().parents[1]
BIONER = [sys.executable, "-m", "bioner"]
REAL = (
    *("JNLPBA", "BioRED", "ChemProt-standin", "BC5CDR"),
    *("NCBI-disease", "BC2GM", "AnatEM", "Linnaeus", "CRAFT"),
)
WORDS = (
    "IL-2",
    "expression",
    "of",
    "the",
    "gene",
    "in",
    "rats",
    "(",
    ")",
    "was",
    "not",
    "N-acetyl-cysteine",
    "and",
)
MEASURE = """
import resource, subprocess, sys, time
start = time.perf_counter()
code = subprocess.call(sys.argv[1:], stderr=subprocess.DEVNULL)
seconds = time.perf_counter() - start
print(seconds, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1e6)
sys.exit(code)
"""


def measured(command: list[str]) -> tuple[float, float]:
    """Wall seconds and peak memory in GB of a command, in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, *command], capture_output=True, text=True, check=True
    )
    seconds, gigabytes = map(float, done.stdout.split())
    return seconds, gigabytes


def real(folder: Path) -> dict[str, tuple[float, float]]:
    """Every real corpus at hand, normalized from its raw files."""
    mirror = os.environ.get("BIONER_MIRROR")
    if not mirror:
        return {}
    catalogue = load_datasets(
        load_config(read_yaml(REPOSITORY / "config" / "chemprot-standin.yaml"))
    )
    found = {}
    for name in REAL:
        raw = Path(mirror) / (catalogue[name].mirror_folder or name)
        if all((raw / file).exists() for file in catalogue[name].files):
            entry = json.dumps(catalogue[name].canonical())
            found[name] = measured(
                [
                    *BIONER,
                    "normalize",
                    name,
                    "--raw",
                    str(raw),
                    "--out",
                    str(folder / name),
                    "--entry",
                    entry,
                ]
            )
    return found


def made_up(kind: str, documents: int) -> str:
    """Documents of a title of 12 words and an abstract of 180, every tenth word an entity; in the
    given format.
    """
    draw = random.Random(documents)
    blocks = []
    for number in range(documents):
        title, abstract = ([draw.choice(WORDS) for _ in range(count)] for count in (12, 180))
        abstract[24::25] = ["."] * len(abstract[24::25])
        words = [*title, *abstract]
        marked = [position for position in range(0, len(words), 10) if words[position].isalpha()]
        if kind == "conll":
            lines = [f"{word}\t{'B-Gene' if n in marked else 'O'}" for n, word in enumerate(words)]
            blocks.append("\n".join(lines) + "\n")
        elif kind == "dygie":
            spans = [[n, n, "GENE"] for n in marked]
            blocks.append(
                json.dumps({"doc_key": str(number), "sentences": [words], "ner": [spans]})
            )
        else:
            text = [f"{number}|t|{' '.join(title)}", f"{number}|a|{' '.join(abstract)}"]
            starts = [sum(len(word) + 1 for word in words[:n]) for n in marked]
            text += [
                f"{number}\t{s}\t{s + len(words[n])}\t{words[n]}\tGene"
                for n, s in zip(marked, starts, strict=True)
            ]
            blocks.append("\n".join(text) + "\n")
    return "\n".join(blocks) + "\n"


def growth(folder: Path, kind: str, documents: int) -> tuple[float, float]:
    """A made-up corpus of so many documents a split, normalized."""
    raw = folder / f"{kind}-{documents}"
    raw.mkdir(parents=True)
    for split in SPLITS:
        (raw / split).write_text(made_up(kind, documents), encoding="utf-8")
    entry = json.dumps({"format": kind, "splits": {split: split for split in SPLITS}})
    found = measured(
        [*BIONER, "normalize", "x", "--raw", str(raw), "--out", str(raw / "out"), "--entry", entry]
    )
    shutil.rmtree(raw)
    return found


def main() -> None:
    """Print a table and, last, one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="smaller made-up corpora")
    smallest = 500 if parser.parse_args().quick else 2000
    figures: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        corpora = real(folder)
        for name, (seconds, gigabytes) in corpora.items():
            print(f"{name:20} {seconds:6.2f} s  {gigabytes:5.2f} GB")
        if corpora:
            figures |= {f"{name}_seconds": seconds for name, (seconds, _) in corpora.items()}
            figures["all_seconds"] = sum(seconds for seconds, _ in corpora.values())
            figures["largest_gb"] = max(gigabytes for _, gigabytes in corpora.values())
        ratios: dict[str, float] = {}
        for kind in ("conll", "dygie", "pubtator"):
            sizes = [smallest, 2 * smallest, 4 * smallest]
            taken = [growth(folder, kind, size) for size in sizes]
            for size, (seconds, gigabytes) in zip(sizes, taken, strict=True):
                print(f"{kind:9} 3 x {size:5} documents {seconds:6.2f} s  {gigabytes:5.2f} GB")
            ratios[f"{kind}_second_doubling_over_first"] = (taken[2][0] - taken[1][0]) / (
                taken[1][0] - taken[0][0]
            )
            figures[f"{kind}_gb_a_1000_documents"] = (
                (taken[2][1] - taken[0][1]) / (9 * smallest) * 1000
            )
    print(json.dumps({name: round(value, 3) for name, value in (ratios | figures).items()}))


if __name__ == "__main__":
    main()
