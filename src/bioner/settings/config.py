"""Configuration: the keys of config/config.yaml, and of every overlay laid over it."""

from collections.abc import Mapping, Sequence
from pathlib import Path, PurePath
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from bioner.settings.frozen import (
    Bool,
    Distinct,
    Float,
    Int,
    PathText,
    Settings,
    Some,
    setting_error,
)
from bioner.settings.parse import parse
from bioner.settings.repository import DEFAULT_CONFIG
from bioner.settings.yaml_files import read_yaml

Decoding = Literal["free", "free-paper", "constrained"]


class Catalogues(Settings):
    """Files that describe datasets and models."""

    datasets: tuple[str, ...] = Field(("config/datasets.yaml",), description="Files of corpora.")
    models: tuple[str, ...] = Field(("config/models.yaml",), description="Files of models.")


class Realign(Settings):
    """Realignment of model output onto the gold tokens."""

    method: Literal["robust", "paper"] = Field(
        "robust",
        description="`robust` keeps the tags of substituted tokens, `paper` keeps equal tokens"
        " only.",
    )


class Scoring(Settings):
    """Options of the scores."""

    length_cuts: Some[Annotated[Int, Field(ge=1)]] = Field(
        (1, 2),
        description="Upper ends of the entity-length buckets but the last; [1, 2] gives 1, 2 and 3+"
        " as in the paper's Table II.",
    )
    per_type: Bool = Field(True, description="Also one row for each entity type.")
    bootstrap: Int = Field(
        10_000,
        ge=0,
        le=1_000_000,
        description="Resamples for the 95 % interval of every F1, by document (by sentence where"
        " unknown); 0 leaves the intervals out.",
    )
    bootstrap_seed: Int = Field(0, ge=0, description="Seed of these resamples.")


Measures = Literal[
    "f1",
    "f1 by length",
    "f1 by type",
    "recall",
    "recall by length",
    "relaxed_f1",
    "string_set_f1",
    "any_overlap_f1",
    "one_character_f1",
    "token_f1",
    "right_boundary_f1",
    "overlap_f1",
]
Margins = Mapping[Measures, float | None]
MARGINS: Margins = {"f1": 1.0}


def _with_default_margins(value: Any) -> Any:
    return {**MARGINS, **value} if isinstance(value, Mapping) else value


class Compare(Settings):
    """Paired tests between the systems of a dataset."""

    resamples: Int = Field(
        10_000,
        ge=100,
        le=100_000,
        description="Resamples of the bootstrap, of max-T and of approximate randomisation. With"
        " fewer than 2,000 the bootstrap's variance is so uncertain that many tests are left out.",
    )
    seed: Int = Field(0, ge=0, description="Seed of the resampling.")
    margins: Annotated[
        dict[Measures, Annotated[Float, Field(gt=0)] | None], BeforeValidator(_with_default_margins)
    ] = Field(
        dict(MARGINS),
        description="Differences in points that are too small to matter, by measure: within them"
        " systems may be found equivalent (docs/statistics.md). `f1` is strict F1 overall; null"
        " leaves a margin out. A change here reruns the report only.",
    )


class Timing(Settings):
    """Inference time on a fixed sample of the test set."""

    sentences: Int = Field(
        100, ge=1, description="Size of the sample, drawn evenly over the test set."
    )
    batch_sizes: tuple[Annotated[Int, Field(ge=1)], ...] = Field(
        (1, 16, 64),
        min_length=1,
        description="Batch sizes to time; 1 is latency, the fastest is throughput.",
    )
    repeats: Int = Field(
        3,
        ge=1,
        description="Timed passes over the sample after a warm-up. The median is reported, and the"
        " least and the greatest as its range; a single pass has none.",
    )
    seeds: Int = Field(
        1,
        ge=1,
        description="How many of the run's seeds are timed, from the first on. One is enough:"
        " `repeats` shows how far times scatter.",
    )
    protocols: Some[Literal["fair", "paper"]] = Field(
        ("fair",),
        description="`fair` times each model as it predicts (`predict.weights`), by default both"
        " families in the same precision; `paper` times as the paper did: encoders one sentence per"
        " pass, in fp32, padded to the window; LLMs by free generation in batches of 16 with 4-bit"
        " weights.",
    )


class Prices(Settings):
    """Prices for `reports/cost.csv`; null leaves money out."""

    gpu_hour: Float | None = Field(None, ge=0, description="Of one GPU for one hour.")
    cpu_hour: Float | None = Field(
        None, ge=0, description="Of a machine without GPUs for one hour."
    )
    currency: str = Field("USD", description="What prices are in.")


def _listed(value: Any) -> Any:
    """Return a list of one for a single name or mapping."""
    return [value] if isinstance(value, str | Mapping) else value


class Cross(Settings):
    """Models of one corpus that predict the test sets of others."""

    train: str = Field(description="Corpus whose models predict, one of `datasets`.")
    test: Some[str] = Field(
        description="Corpora whose test sets they predict. For those that are among `datasets`, the"
        " same models are trained there, and the drop is reported; for others, only scores."
    )
    types: dict[str, Annotated[Some[str], BeforeValidator(_listed)]] = Field(
        min_length=1,
        description="Entity types to score: a common name, and the names of the type in these"
        " corpora. Other types are left out of gold and predictions.",
    )

    @model_validator(mode="after")
    def _check_names(self) -> Self:
        if self.train in self.test:
            expected, remedy = "other corpora", "A model's own test set is scored anyway."
            raise setting_error("test", f"the training corpus {self.train!r}", expected, remedy)
        known: dict[str, str] = {}
        for common, names in self.types.items():
            if common in ("all", "macro"):  # rows over all types
                found, remedy = f"the common name {common!r}", "Choose another."
                raise setting_error(f"types.{common}", found, "the name of a type", remedy)
            if common.split() != [common]:
                found, expected = f"the common name {common!r}", "a name without white space"
                raise setting_error(f"types.{common}", found, expected, "Write _ for it.")
            for name in dict.fromkeys((common, *names)):
                if (other := known.setdefault(name, common)) != common:
                    found, expected = f"{name!r}, which {other!r} has, too", "each name once"
                    raise setting_error(f"types.{common}", found, expected, "Remove one of them.")
        return self


class Configuration(Settings):
    """The keys of config/config.yaml and of every overlay laid over it with --configfile."""

    datasets: Some[str] = Field(
        ("JNLPBA", "BioRED", "ChemProt", "BC5CDR", "Reddit-Impacts"),
        description="Corpora to run, by their names in the catalogue.",
    )
    models: Some[str] = Field(
        (
            "oracle",
            "all-o",
            "dictionary",
            "bert-large-uncased",
            "bert-large-cased",
            "biomedbert-large",
            "deberta-v3-large",
            "mistral-7b",
            "llama-8b",
        ),
        description="Models to run, by their names in the catalogue; the controls are named here"
        " too.",
    )
    seeds: Some[Annotated[Int, Field(ge=0, le=2**32 - 1)]] = Field(
        (42, 43, 44),
        description="One training run per seed. Controls have no randomness and run once, under"
        " the first seed.",
    )
    search_seed: Annotated[Int, Field(ge=0, le=2**32 - 1)] = Field(
        41,
        description="Seed of the trials of a search; its winner is trained under each of `seeds`."
        " It must not be one of them: the winner was chosen for its score on dev, and would bring"
        " the luck of that choice into the reported scores.",
    )
    run_search: Bool = Field(
        True,
        description="Search for hyper-parameters where a model's entry lists any; false trains"
        " every model as its entry's `train` has it.",
    )
    decodings: Some[Decoding] = Field(
        ("free", "constrained"),
        description="How LLMs write tags. `free` generates text greedily and realigns it,"
        " `free-paper` does so with the generation settings the model came with (the paper's way;"
        " some sample), `constrained` writes the input's words itself and lets the model choose"
        " the tags only.",
    )
    out: Annotated[str, AfterValidator(lambda path: str(PurePath(path)))] = Field(
        ".",
        pattern=r"^[\w./][\w./+=@,:-]*$",
        description="Folder that data/, results/, reports/ and logs/ lie under. Its path is part of"
        " shell commands: letters, digits and . _ - / + = @ , : only.",
    )
    mirror: PathText | None = Field(
        None,
        description="Folder `<mirror>/<dataset>/<file>` to take raw files from; when it is set"
        " nothing is downloaded. The environment variable BIONER_MIRROR does the same.",
    )
    hf_home: PathText | None = Field(
        None,
        description="Folder of the hub's cache (HF_HOME), on a file system that login and compute"
        " nodes share; null takes the environment's.",
    )
    offline: Bool | None = Field(
        None,
        description="Whether jobs may not ask the hub and must find models in its cache. null"
        " forbids it to jobs on other nodes (Slurm) only.",
    )
    catalogues: Catalogues = Field(
        Catalogues(),
        description="Files that describe datasets and models; later files add entries or replace"
        " entries of the same name. Relative to the repository.",
    )
    model_overrides: dict[str, dict[str, Any]] = Field(
        {},
        description="Changes to catalogue entries of models for this run, by model name, merged"
        " key by key. With `like: NAME` a new model: that entry with these changes.",
    )
    dataset_overrides: dict[str, dict[str, Any]] = Field(
        {},
        description="Catalogue entries of corpora for this run, by name; new ones, or changes"
        " merged key by key. Keys as in the catalogue of corpora.",
    )
    show_restricted_text: Distinct[str] = Field(
        (),
        description="Corpora that are not redistributable, but whose text may be shown in messages"
        " and report pages all the same.",
    )
    realign: Realign = Field(
        Realign(), description="Realignment of model output onto the gold tokens."
    )
    scoring: Scoring = Field(
        Scoring(),
        description="Options of the scores; a change here reruns scoring and what is made of"
        " scores, no prediction of a model.",
    )
    compare: Compare = Field(
        Compare(),
        description="Paired tests between the systems of a dataset, all pairs of trained models,"
        " ensembles and the dictionary.",
    )
    timing: Timing = Field(
        Timing(),
        description="Inference time on a fixed sample of the test set, for trained models, from"
        " tokens to tags on gold tokens.",
    )
    prices: Prices = Field(
        Prices(), description="Prices for `reports/cost.csv`; null leaves money out."
    )
    cross: Annotated[tuple[Cross, ...], BeforeValidator(_listed)] = Field(
        (),
        description="Models trained on one corpus that also predict the test sets of others"
        " (docs/scores.md). Nothing more is trained. One mapping, or a list of them.",
        exclude_if=lambda cross: not cross,  # configurations without it stay as they were
    )

    @model_validator(mode="after")
    def _check_search_seed(self) -> Self:
        if self.run_search and self.search_seed in self.seeds:
            key = "search_seed" if "search_seed" in self.model_fields_set else "seeds"
            found = f"{self.search_seed} in both `seeds` and `search_seed`"
            remedy = "Change one of them, or set `run_search: false`."
            raise setting_error(key, found, "a search under a seed that is not reported", remedy)
        return self


def merged(base: Mapping[str, Any], overlay: Mapping[str, Any]) -> dict[str, Any]:
    """Return `overlay` laid over `base`: mappings merge key by key, all else is replaced."""
    result = dict(base)
    for key, value in overlay.items():
        if isinstance(value, Mapping) and isinstance(result.get(key), Mapping):
            value = merged(result[key], value)
        result[key] = value
    return result


def load_config(
    tree: Mapping[str, Any], files: Sequence[Path] = (DEFAULT_CONFIG,)
) -> Configuration:
    """Return a configuration, checked and completed.

    Args:
        tree: Its keys, merged.
        files: The files they are from, the last one first to be searched for a mistake's line.

    Raises:
        InputError: A key is unknown or stands twice in a file, or a value makes no sense.
    """
    for file in files:
        if file.is_file():
            read_yaml(file)  # Snakemake reads them itself and lets doubled keys pass
    return parse(Configuration, tree, files)
