"""Whatever befalls a file, no annotation is lost without a word (`of_…` says what does)."""

import random
import shutil
import tempfile
from pathlib import Path

import pytest

from bioner.corpora.formats import READERS
from bioner.settings.catalogue import parse_entry
from bioner.settings.dataset_entry import DatasetEntry
from tests.unit.corpora.fuzz import of_annotations, of_files, of_tokens
from tests.unit.corpora.fuzz.case import Case, befalls
from tests.unit.corpora.fuzz.made import Spoil, make_corpus
from tests.unit.corpora.fuzz.verdict import objection_to_reading, objection_to_refusal, read
from tests.unit.corpora.fuzz.written import FORMATS, LABELS

SPLITS = ("train", "dev", "test")
DAMAGES = of_tokens.DAMAGES | of_annotations.DAMAGES | of_files.DAMAGES
PAIRS = [
    (name, damage)
    for damage, (where, _) in DAMAGES.items()
    for name, form in FORMATS.items()
    if befalls(where, form)
]


def damaged(number):
    """Return a case: its format, its damage, the split that it befalls, and the damaged files."""
    rng = random.Random(number)
    name, damage = PAIRS[number % len(PAIRS)]
    form = FORMATS[name]
    corpus = make_corpus(rng, first=1001, without=form.without)
    return name, damage, rng.choice(SPLITS), DAMAGES[damage][1](Case(form, corpus, rng))


def write(path, files):
    """Files by name in a folder, or one without a name in its place; they replace what is there."""
    if path.is_dir():
        shutil.rmtree(path)
    for name, content in files.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(content)


def raw_folder(folder, name):
    """Three sound splits in a format, written once."""
    raw = folder / name
    for split in SPLITS if not raw.exists() else ():
        form = FORMATS[name]
        corpus = make_corpus(random.Random(split), without=form.without)[:1]
        write(raw / split, form.files(form.write(corpus, Spoil())))
    return raw


def objections(number, folder):
    """Yield what is wrong in how a damaged file is read, by mode."""
    name, damage, split, spoiled = damaged(number)
    raw = raw_folder(folder, name)
    write(raw / "damaged", spoiled.files)
    rng = random.Random(f"settings {number}")
    quote, max_lost = rng.random() < 0.5, rng.choice((0.02, 0.3, 0.6))
    labels = {"labels": LABELS} if FORMATS[name].marks == "numbers" else {}
    splits = {other: other for other in SPLITS} | {split: "damaged"}
    tree = {"format": FORMATS[name].format, "splits": splits, "max_lost": max_lost} | labels
    for on_error in ("fail", "repair"):
        entry = parse_entry(DatasetEntry, "made", tree | {"on_error": on_error})
        found = read(entry, split, raw, folder / "out", quote)
        if isinstance(found, str):
            objection = objection_to_refusal(found, raw, spoiled.must_read, quote)
        else:
            wholes, parts = spoiled.wholes, spoiled.parts
            objection = objection_to_reading(found, on_error, max_lost, wholes, parts)
        if objection:
            yield f"case {number} ({name}; {damage}; {on_error}): {objection}"


def check(numbers):
    memory = Path("/dev/shm")  # half the time on a disk
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder:
        found = [said for number in numbers for said in objections(number, Path(folder))]
    assert not found, "\n".join(
        [f"{len(found)} objections; damaged(number) makes one", *found[:20]]
    )


def test_every_damage_befalls_a_format_and_every_format_is_read():
    assert {damage for _, damage in PAIRS} == DAMAGES.keys()
    written = {form.format for form in FORMATS.values()}
    assert written == READERS.keys() - {"dygie-misread"}  # whose gold is a mistake


@pytest.mark.parametrize("part", range(4))
def test_a_damaged_file_gives_its_gold_a_listed_repair_or_a_refusal(part):
    check(range(500 * part, 500 * (part + 1)))


@pytest.mark.slow
@pytest.mark.parametrize("part", range(10))
def test_so_do_fifty_thousand_more(part):
    check(range(2000 + 5000 * part, 2000 + 5000 * (part + 1)))
