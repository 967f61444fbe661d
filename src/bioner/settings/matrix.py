"""Which systems a run has: seeds, decodings, drafts, ensemble members, and what is compared."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bioner.errors import InputError
from bioner.settings.catalogue import (
    BEST,
    HEADLINE,
    LEXICAL,
    REPRODUCTION,
    find,
    load_datasets,
    load_models,
    place_of_model,
)
from bioner.settings.config import Configuration
from bioner.settings.dataset_entry import DatasetEntry
from bioner.settings.model_entry import ModelEntry
from bioner.settings.yaml_files import place_of


@dataclass(frozen=True, slots=True)
class CrossPair:
    """A corpus whose models predict another one's test set, and the types they are scored by."""

    train: str
    test: str
    types: Mapping[str, Sequence[str]]


@dataclass(frozen=True, slots=True)
class Matrix:
    """What a run consists of: the configuration, checked and completed, and both catalogues."""

    settings: Configuration
    datasets: Mapping[str, DatasetEntry]
    models: Mapping[str, ModelEntry]

    @property
    def first_seed(self) -> int:
        """The seed of models without randomness."""
        return self.settings.seeds[0]

    @property
    def timed_seeds(self) -> list[int]:
        return list(self.settings.seeds[: self.settings.timing.seeds])

    @property
    def compared(self) -> list[str]:
        """The systems compared in pairs; the scores of oracle and all-o are not findings."""
        return [
            name
            for name in self.settings.models
            if self.models[name].control not in ("oracle", "all-o")
        ]

    @property
    def deterministic(self) -> list[str]:
        """The compared systems whose predictions another training would not change."""
        return [name for name in self.compared if self.models[name].family == "control"]

    @property
    def trained_systems(self) -> list[tuple[str, str]]:
        """The compared systems, model and decoding, that another training would change."""
        return [
            (name, decoding)
            for name in self.compared
            if name not in self.deterministic
            for decoding in self.decodings(name)
        ]

    def averaged(self, datasets: Sequence[str]) -> list[str]:
        """Return the corpora, of these, over which differences between systems are averaged.

        There are none unless two corpora and two systems are left. The reproduction of the paper's
        mislabelled data is not one of them.
        """
        found = [name for name in datasets if name != REPRODUCTION]
        return found if min(len(found), len(self.trained_systems)) > 1 else []

    @property
    def has_comparisons(self) -> bool:
        return len(self.compared) > 1

    @property
    def cross_models(self) -> list[str]:
        """The models that predict other corpora's test sets: no ensembles, oracle or all-o."""
        return [name for name in self.compared if not self.is_ensemble(name)]

    @property
    def cross_pairs(self) -> list[CrossPair]:
        """The pairs of corpora under `cross`, in its order; none without a model to predict."""
        return [
            CrossPair(cross.train, test, cross.types)
            for cross in self.settings.cross
            for test in cross.test
            if self.cross_models
        ]

    @property
    def corpora(self) -> list[str]:
        """The corpora that a run reads: its datasets, then others whose test sets are predicted."""
        tests = [pair.test for pair in self.cross_pairs]
        return list(dict.fromkeys([*self.settings.datasets, *tests]))

    @property
    def candidates(self) -> list[str]:
        """The models among which dev chooses the best encoder and the best LLM.

        An LLM with a head is neither: it is compared with both.
        """
        return [name for name in self.settings.models if self.models[name].family in BEST.values()]

    @property
    def has_selection(self) -> bool:
        """Whether the run has both families, so that dev chooses the best of each."""
        return {self.models[name].family for name in self.candidates} == set(BEST.values())

    def is_chosen_by_search(self, family: str) -> bool:
        """Whether searches choose the best of a family: each of its candidates has one.

        Otherwise the reported runs choose, by their scores on dev.
        """
        return all(
            self.is_searched(name) for name in self.candidates if self.models[name].family == family
        )

    def is_trained(self, model: str) -> bool:
        """Return whether a model has weights: controls and ensembles have none."""
        return self.models[model].is_trained

    def is_ensemble(self, model: str) -> bool:
        return self.models[model].family == "ensemble"

    def is_searched(self, model: str) -> bool:
        return self.settings.run_search and bool(self.models[model].trials())

    def seeds(self, model: str) -> list[int]:
        """Return the seeds a model runs under: controls have no randomness and run once."""
        is_control = self.models[model].family == "control"
        return [self.first_seed] if is_control else list(self.settings.seeds)

    def seed_beside(self, model: str, seed: int) -> int:
        """Return the seed of a model's predictions that a job with this seed uses."""
        return seed if self.is_trained(model) else self.first_seed

    def decodings(self, model: str) -> list[str]:
        """Return the decodings a model is run with: those configured for LLMs, else `direct`."""
        return list(self.settings.decodings) if self.models[model].family == "llm" else ["direct"]

    def headline(self, model: str) -> str:
        """Return the decoding a model is compared by: `constrained` if run, as it loses nothing."""
        return max(self.decodings(model), key=HEADLINE.index)

    def has_confidences(self, model: str) -> bool:
        """Return whether a model is compared by outputs that say how sure it is of each tag."""
        return self.is_trained(model) and not self.headline(model).startswith("free")

    def draft(self, model: str) -> str | None:
        """Return the model that an LLM's constrained decoding drafts from, if any."""
        entry = self.models[model]
        source = entry.predict.draft
        return None if entry.family != "llm" or source in LEXICAL else source

    def members(self, ensemble: str) -> list[tuple[str, bool]]:
        """Return the possible members of an ensemble, and whether dev scores choose among them."""
        found: list[tuple[str, bool]] = []
        for member in self.models[ensemble].members:
            if member in BEST:
                found += [
                    (name, True)
                    for name in self.candidates
                    if self.models[name].family == BEST[member]
                ]
            else:
                found.append((member, False))
        return found

    def chooses_members(self, ensemble: str) -> bool:
        return bool(BEST.keys() & set(self.models[ensemble].members))

    def required(self) -> dict[str, ModelEntry]:
        """Return the trained models of a run: those named, members of ensembles, and drafts."""
        found: dict[str, ModelEntry] = {}
        names = list(self.settings.models)
        while names:
            name = names.pop(0)
            names += [member for member in self.models[name].members if member not in BEST]
            if self.is_trained(name):
                found[name] = self.models[name]
            source = self.draft(name)
            if source in self.models and "constrained" in self.settings.decodings:
                names.append(str(source))
        return found

    def downloaded(self) -> Sequence[str]:
        """Return the required models whose weights come from the hub."""
        return [name for name, entry in self.required().items() if entry.is_from_hub]


def load_matrix(config: Configuration, files: Sequence[Path]) -> Matrix:
    """Return the matrix of a configuration.

    Args:
        config: The configuration, checked and completed.
        files: The YAML files it was read from, to name the line of a mistake.

    Raises:
        InputError: A name is in no catalogue, or an ensemble has nothing to choose from.
    """
    datasets, models = load_datasets(config, files), load_models(config, files)
    for key, catalogue, kind in (
        ("datasets", datasets, "dataset"),
        ("models", models, "model"),
        ("show_restricted_text", datasets, "dataset"),
    ):
        for position, name in enumerate(getattr(config, key)):
            find(catalogue, name, kind, place_of([key, position], files, name))
    _check_choices(config, models, files)
    _check_cross(config, datasets, files)
    return Matrix(config, datasets, models)


def _check_choices(
    config: Configuration, models: Mapping[str, ModelEntry], files: Sequence[Path]
) -> None:
    """Raise InputError if an ensemble's best of a family is not in the run, or also named."""
    for name in config.models:
        members = models[name].members
        for best in BEST.keys() & set(members):
            family = BEST[best]
            if not any(models[other].family == family for other in config.models):
                raise InputError(
                    place_of_model(config, files, name, "members"),
                    f"{best!r} and no {family} among the models",
                    "one to choose from",
                    "Add a model to `models`, or name the member.",
                )
            if named := [
                other for other in members if other not in BEST and models[other].family == family
            ]:
                raise InputError(
                    place_of_model(config, files, name, "members"),
                    f"{best!r} and {named[0]!r}",
                    "one or the other: they may be the same",
                    "Remove one of them.",
                )


def _check_cross(
    config: Configuration, datasets: Mapping[str, DatasetEntry], files: Sequence[Path]
) -> None:
    """Raise InputError if `cross` names an unknown corpus, no trained one, or a pair twice."""
    pairs = set()
    for number, cross in enumerate(config.cross):
        above: list[str | int] = ["cross", number]
        where = place_of([*above, "train"], files)
        find(datasets, cross.train, "dataset", where)
        if cross.train not in config.datasets:
            found, expected = f"cross.train = {cross.train!r}", "one of `datasets`: nothing else is"
            raise InputError(where, found, f"{expected} trained", "Add it there, or leave it out.")
        for position, test in enumerate(cross.test):
            where = place_of([*above, "test", position], files)
            find(datasets, test, "dataset", where)
            if (cross.train, test) in pairs:
                found, remedy = f"{cross.train} on {test} twice", "Merge their types."
                raise InputError(where, found, "each pair once", remedy)
            pairs.add((cross.train, test))
