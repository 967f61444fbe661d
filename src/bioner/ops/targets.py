"""Targets of a command line, checked before Snakemake looks for a rule that makes them."""

import difflib
import os
import re
from collections.abc import Iterable, Sequence
from pathlib import PurePosixPath

from bioner.errors import InputError
from bioner.results import layout
from bioner.settings.catalogue import decodings_of
from bioner.settings.matrix import Matrix

FOLDERS = ("data", "results", "reports", "models", "logs")
OF_DATASET = (layout.COMPARISONS, layout.SELECTION)
OF_CELL = (layout.SCORES, layout.TIMING, layout.CALIBRATION, layout.RELIABILITY)
OF_SEARCH = (layout.SEARCH, layout.WINNER)
OF_TRIAL = (layout.HISTORY, layout.RECORD)
OF_TRAINING = (layout.WEIGHTS, layout.HISTORY, layout.RECORD)
OF_ENSEMBLE = (layout.PREDICTIONS, layout.SCORES)
OF_CROSS_RUN = (layout.PREDICTIONS, layout.RAW, layout.RECORD, layout.ALIGNMENT)
OF_RUN = (*OF_CROSS_RUN, layout.SCORES)
OF_CROSS = (layout.DROP, layout.RECORD)


def check_target(matrix: Matrix, target: str) -> None:
    """Check that a file of the output folder can be part of a run of this matrix.

    Args:
        matrix: The configuration and its catalogues.
        target: A path as on Snakemake's command line; names of rules pass.

    Raises:
        InputError: There is no such folder, dataset, model, seed, decoding, trial or file; the
            message names the nearest ones.
    """
    if "/" not in target:
        return
    folder, *steps = PurePosixPath(os.path.relpath(target, matrix.settings.out)).parts
    inner = next((place for place in PurePosixPath(target).parents if place.name in FOLDERS), None)
    if folder not in FOLDERS and inner is not None:
        expected = f"a path below {matrix.settings.out}, the configured output folder"
        remedy = "Name the overlay that sets `out`, with --configfile."
        raise InputError(target, f"the folder {str(inner.parent)!r}", expected, remedy)
    if folder == "..":
        return
    _require(target, "folder", folder, FOLDERS)
    if folder == "data" and steps:
        _require(target, "dataset", steps[0], matrix.datasets)
    if folder == "models" and steps:
        _require(target, "model", PurePosixPath(steps[0]).stem, matrix.models)
    if folder == "results" and len(steps) > 1:
        _check_result(matrix, target, steps)


def _check_result(matrix: Matrix, target: str, steps: Sequence[str]) -> None:
    dataset, name, *inner = steps
    _require(target, "dataset", dataset, matrix.datasets)
    if not inner:
        _require(target, "file", name, OF_DATASET)
        return
    if name == "cross":
        tests = [pair.test for pair in matrix.cross_pairs if pair.train == dataset]
        _require(target, f"test corpus of {dataset} under `cross`", inner[0], tests)
        _require_last(target, inner[1:], OF_CROSS)
        return
    _require(target, "model", name, matrix.models)
    entry = matrix.models[name]
    if inner[0] in (*OF_SEARCH, "trials") and not matrix.is_searched(name):
        expected = "a model with a `search_space`, and `run_search: true`"
        raise InputError(target, f"no search of {name}", expected, "Correct the target.")
    is_of_training = inner[0] == layout.TIMING or (len(inner) > 1 and inner[1] in OF_TRAINING)
    if is_of_training and not entry.is_trained:
        raise InputError(target, f"no training of {name}", "a trained model", "Choose one.")
    if inner[0] == "trials" and len(inner) > 1:
        _require(target, f"trial of {name}", inner[1], entry.trials())
        _require_last(target, inner[2:], OF_TRIAL)
    elif len(inner) == 1:
        _require(target, "file", inner[0], (*OF_CELL, *OF_SEARCH))
    else:
        seed, decoding, *rest = inner
        if not re.fullmatch(r"seed(0|[1-9][0-9]*)", seed):
            _require(target, "seed", seed, [f"seed{number}" for number in matrix.seeds(name)])
        if decoding in OF_TRAINING:
            return
        possible = decodings_of(entry.family)
        _require(target, f"decoding of {name}", decoding, possible)
        files: Sequence[str] = OF_ENSEMBLE if matrix.is_ensemble(name) else OF_RUN
        if rest[:1] == ["cross"] and len(rest) > 1 and not matrix.is_ensemble(name):
            _require(target, "dataset", rest[1], matrix.datasets)
            rest, files = rest[2:], OF_CROSS_RUN
        _require_last(target, rest[1:] if rest[:1] == ["dev"] else rest, files)


def _require_last(target: str, rest: Sequence[str], known: Iterable[str]) -> None:
    _require(target, "file", "/".join(rest), known)


def _require(target: str, kind: str, name: str, known: Iterable[str]) -> None:
    names = list(known)
    if name in names:
        return
    lowered = {each.lower(): each for each in names}
    near = [lowered[each] for each in difflib.get_close_matches(name.lower(), lowered, 3, 0.5)]
    expected = f"{' or '.join(map(repr, near))}" if near else f"one of {', '.join(names) or 'none'}"
    remedy = "Correct it, or name the overlay that has it with --configfile."
    raise InputError(target, f"no {kind} {name!r}", expected, remedy)
