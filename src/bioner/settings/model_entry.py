"""An entry of the catalogue of models (config/models.yaml, or a file under `catalogues`)."""

import json
import re
from collections.abc import Mapping
from functools import reduce
from itertools import product
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, JsonValue, ValidationError, model_validator

from bioner.settings.frozen import Bool, Distinct, Float, Int, Settings, Some, setting_error

Family = Literal["encoder", "llm", "llm-head", "control", "ensemble"]
# In the names of trials.
SHORT = {
    "learning_rate": "lr",
    "batch_size": "batch",
    "head_learning_rate": "head_lr",
    "warmup_ratio": "warmup",
}
COMMIT = re.compile(r"[0-9a-f]{40}")
NOT_OF_ONE_TRAINING = (
    *("predict", "search_space", "members", "combine", "cost_estimates", "card"),
    "training_cutoff",
)
TRAINED = ("encoder", "llm", "llm-head")  # families with weights
CLASSIFIER = {"verbalizer": "names", "train.loss": "response", "train.monitor_sentences": None}
# Settings that a family cannot change.
FIXED: dict[str, dict[str, Any]] = {
    "control": {"members": (), "search_space": None, "predict.weights": "merged"},
    "ensemble": {"control": None, "search_space": None, "predict.weights": "merged"},
    "encoder": {
        **{"control": None, "members": (), "attention": "causal", "repeat": 1},
        **{"lora": None, "quantization": None},
        **CLASSIFIER,
    },
    "llm": {
        **{"control": None, "members": (), "attention": "causal", "repeat": 1},
        **{"label_subwords": "all", "train.head_learning_rate": None},
    },
    "llm-head": {"control": None, "members": (), **CLASSIFIER},
}


def names_folder(hub: str) -> bool:
    """Return whether `source.hub` is a folder, existing or not, rather than a model of the hub."""
    return Path(hub).is_dir() or hub.startswith(("/", ".", "~")) or hub.count("/") > 1


class Scratch(Settings):
    """A small model made from a configuration, with random weights."""

    architecture: Literal["bert", "deberta-v2", "llama"] = Field(
        description="Architecture and tokenizer algorithm."
    )
    vocabulary: Int = Field(2000, ge=300, description="Size of the tokenizer's vocabulary.")
    copy_steps: Int = Field(
        0,
        ge=0,
        description="Steps of copying practice before training (llama): a random model cannot copy"
        " its input.",
    )
    config: dict[str, JsonValue] = Field({}, description="Keys of the transformers configuration.")


class ModelSource(Settings):
    """Where a model comes from."""

    hub: str | None = Field(None, description="Hub id or local folder of a pretrained model.")
    revision: str = Field("main", description="Branch, tag or commit on the hub.")
    trust_remote_code: Bool = Field(
        False,
        exclude_if=lambda trusted: not trusted,  # a new key would have every model trained again
        description="Run Python code that comes with the model; of a hub model only at a commit"
        " (`revision`).",
    )
    scratch: Scratch | None = Field(
        None,
        description="A small model made from a configuration, random weights, tokenizer trained on"
        " the training split.",
    )


class Train(Settings):
    """Hyper-parameters of one training."""

    sentences: Int | None = Field(
        None, ge=1, description="Train on this many random sentences only; null is all."
    )
    epochs: Float = Field(20, gt=0, le=10_000, description="Most epochs.")
    patience: Int | None = Field(
        3,
        ge=1,
        description="Stop after so many epochs without gain on dev; null never stops early.",
    )
    loss: Literal["tags", "response", "all"] = Field(
        "response",
        description="Which ids of an example an LLM learns from: those that decide between `tags`,"
        " the whole `response`, or `all`, with the prompt (the paper's way).",
    )
    monitor_sentences: Int | None = Field(
        None,
        ge=1,
        description="Dev sentences that an LLM is decoded on after every epoch; on the rest only if"
        " that beats the best epoch so far. null is all, always.",
    )
    keep_checkpoint: Literal["best", "last"] = Field(
        "best",
        description="Weights that training ends with: the `best` epoch's by strict F1 on dev, or"
        " the `last` epoch's, as the paper did for its encoders.",
    )
    learning_rate: Float = Field(2e-5, gt=0, description="Peak learning rate.")
    head_learning_rate: Float | None = Field(
        None,
        gt=0,
        description="Peak learning rate of the new classification head (encoders, heads); null is"
        " learning_rate.",
    )
    batch_size: Int = Field(
        16,
        ge=1,
        le=1_000_000,
        description="Sentences per optimiser step over all processes and accumulation steps.",
    )
    micro_batch_size: Annotated[Int, Field(ge=1)] | Literal["auto", None] = Field(
        None,
        description="Sentences per forward pass on one device; null is batch_size divided by the"
        " processes; `auto` halves that until a pass fits in GPU memory. It does not change"
        " batch_size.",
    )
    warmup_ratio: Float = Field(
        0.1, ge=0, lt=1, description="Share of the steps with rising learning rate."
    )
    weight_decay: Float = Field(0.0, ge=0, description="AdamW weight decay.")
    optimizer: str = Field("adamw_torch", description="Optimiser by its transformers name.")
    precision: Literal["fp32", "bf16"] = Field("fp32", description="Number format of the passes.")
    param_dtype: Literal["fp32", "bf16"] = Field(
        "fp32",
        description="Number format of an LLM's weights if they are trained themselves (no lora):"
        " bf16 takes half the memory, and loses small steps.",
    )
    activation_checkpointing: Bool = Field(
        False, description="Recompute activations to save memory."
    )
    deterministic: Bool = Field(
        False,
        description="Deterministic kernels on GPUs: the same bytes again, slower; on the CPU it is"
        " so anyway.",
    )


class SearchSpace(Settings):
    """Hyper-parameters to search over on dev, each with the values to try."""

    learning_rate: Some[Annotated[Float, Field(gt=0)]] | None = Field(
        None, description="Values of train.learning_rate."
    )
    head_learning_rate: Some[Annotated[Float, Field(gt=0)]] | None = Field(
        None, description="Values of train.head_learning_rate."
    )
    batch_size: Some[Annotated[Int, Field(ge=1)]] | None = Field(
        None, description="Values of train.batch_size."
    )
    epochs: Some[Annotated[Float, Field(gt=0)]] | None = Field(
        None, description="Values of train.epochs."
    )
    warmup_ratio: Some[Annotated[Float, Field(ge=0, lt=1)]] | None = Field(
        None, description="Values of train.warmup_ratio."
    )
    weight_decay: Some[Annotated[Float, Field(ge=0)]] | None = Field(
        None, description="Values of train.weight_decay."
    )

    def values(self) -> dict[str, tuple[float, ...]]:
        """Return the values to try, by hyper-parameter; without those that are not searched."""
        return {key: values for key, values in sorted(self) if values}


class Lora(Settings):
    """Low-rank adapters."""

    r: Int = Field(128, ge=1, description="Rank.")
    alpha: Int = Field(256, ge=1, description="Scale.")
    dropout: Float = Field(0.05, ge=0, le=1, description="Dropout on the adapters.")
    target_modules: Some[str] = Field(
        ("all-linear",),
        description="Modules that get an adapter: names, or `all-linear` alone, every linear layer"
        " but the output layer. An output layer that shares its weights with the embeddings gets"
        " none.",
    )
    modules_to_save: tuple[str, ...] = Field(
        (),
        description="Modules trained and saved whole with the adapters (a from-scratch model has no"
        " embeddings worth freezing).",
    )

    @model_validator(mode="after")
    def _all_linear_stands_alone(self) -> Self:
        if "all-linear" in self.target_modules and len(self.target_modules) > 1:
            found, expected = "all-linear and names", "either"
            raise setting_error("target_modules", found, expected, "Remove one.")
        return self


class Predict(Settings):
    """Inference."""

    batch_size: Int = Field(32, ge=1, description="Most sentences per batch.")
    batch_tokens: Int = Field(
        2048, ge=1, description="Most subwords per batch, padding among them (encoders, heads)."
    )
    tokens_per_word: Int = Field(
        24, ge=1, description="Budget of new tokens per word in free decoding."
    )
    draft: str = Field(
        "table",
        description="Where constrained decoding takes its drafts from: `table` (how often each tag"
        " stood on a word in training), `dictionary`, `all-o`, or the name of an encoder, whose"
        " predictions are then made first. It changes the speed, not the tags.",
    )
    draft_length: Int | None = Field(
        None,
        ge=1,
        description="Words drafted per pass in constrained decoding; 1 is a pass per word, null"
        " chooses.",
    )
    legal_transitions: Bool = Field(
        False,
        description="Constrained decoding offers I- of a type only after B- or I- of that type;"
        " else such a tag is repaired afterwards, as an encoder's is.",
    )
    weights: Literal["merged", "as-trained"] = Field(
        "merged",
        exclude_if=lambda weights: weights == "merged",  # see prediction_settings
        description="The weights that predict, are timed and tag. `merged`: all in the precision of"
        " training, an adapter merged into its dequantised base. `as-trained`: an adapter beside"
        " its 4-bit base; encoders and heads in fp32 under autocast. `free-paper` is always"
        " as-trained. Dev scores in run.json are of these weights.",
    )


class Resources(Settings):
    """What one job of a model asks for."""

    gpus: Int = Field(0, ge=0, description="GPUs a training job needs; 0 runs on the CPU.")
    predict_gpus: Int = Field(
        0,
        ge=0,
        description="GPUs a prediction job needs; LLMs share the sentences out among several, each"
        " with a whole model.",
    )
    threads: Int = Field(1, ge=1, description="CPU threads.")
    mem_mb: Int = Field(4000, ge=1, description="Host memory in MB.")
    runtime: Int = Field(60, ge=1, description="Minutes.")


class TrainingCost(Settings):
    """Seconds of training, summed over the GPUs of a job."""

    start_seconds: Float = Field(0, ge=0, description="Before the first step.")
    step_seconds: Float = Field(
        0, ge=0, description="An optimiser step, however few sentences it has."
    )
    seconds: Float | None = Field(
        None,
        ge=0,
        description="1,000 sentences of 26 tokens in one epoch, in addition; null: not stated.",
    )


class PredictionCost(Settings):
    """Seconds for 1,000 sentences of 26 tokens, by decoding."""

    start_seconds: Float = Field(0, ge=0, description="Before the first sentence.")
    pass_seconds: Float = Field(
        0,
        ge=0,
        exclude_if=lambda seconds: seconds == 0,
        description="Per forward pass, whatever its batch size, in addition.",
    )
    as_trained: Float = Field(
        1,
        gt=0,
        exclude_if=lambda factor: factor == 1,
        description="Factor on these seconds for weights as trained: dev after every epoch,"
        " `free-paper`, and everything with `predict.weights: as-trained`.",
    )
    direct: Float | None = Field(
        None, ge=0, description="An encoder, or an LLM with a head; null: not stated."
    )
    free: Float | None = Field(None, ge=0, description="Free generation.")
    free_paper: Float | None = Field(
        None, ge=0, alias="free-paper", description="Free generation in the paper's way."
    )
    constrained: Float | None = Field(None, ge=0, description="Constrained decoding.")

    def seconds(self, decoding: str) -> float | None:
        """Return the seconds of a decoding, if they are stated."""
        found: float | None = getattr(self, decoding.replace("-", "_"))
        return found


class CostEstimates(Settings):
    """What a model costs, for `bioner plan` only."""

    device: str = Field(
        "NVIDIA H100",
        min_length=1,
        description="What the seconds are of: one GPU of that kind, or `CPU`: the entry's"
        " `threads`. With `resources` for the other one they do not count.",
    )
    spread: Float = Field(
        1,
        ge=1,
        exclude_if=lambda factor: factor == 1,
        description="Factor by which the seconds may be too high or too low; 1 if measured.",
    )
    training: TrainingCost = Field(
        TrainingCost(), description="Seconds of training, summed over the GPUs of a job."
    )
    prediction: PredictionCost = Field(
        PredictionCost(),
        description="Seconds for 1,000 sentences of 26 tokens, by decoding; LLMs in training are"
        " scored on dev by `constrained`.",
    )
    download_gb: Float | None = Field(
        None, ge=0, description="GB (10^9 bytes) fetched from the hub; null: not stated."
    )
    model_gb: Float | None = Field(None, ge=0, description="GB of a trained model.")
    checkpoint_gb: Float | None = Field(
        None, ge=0, description="GB of one checkpoint while it is trained."
    )


class Card(Settings):
    """What a model's card on the hub states."""

    architecture: str = Field(description="`model_type` of its transformers configuration.")
    license: str = Field(description="Licence by the hub's name, such as `apache-2.0`.")
    gated: Bool = Field(description="Whether the hub asks for an account that accepted its terms.")
    parameters: Int = Field(ge=1, description="Number of parameters, rounded.")


class ModelEntry(Settings):
    """A model: what it is, how it is trained, and what it predicts with."""

    family: Family = Field(
        description="`encoder` classifies tokens, `llm` writes token:TAG lines, `llm-head` is an"
        " LLM that classifies tokens, `control` needs no training on a GPU, `ensemble` puts the"
        " predictions of others together.",
    )
    control: Literal["oracle", "all-o", "dictionary", None] = Field(
        None, description="Which control; required for the family `control`, and for no other."
    )
    members: Distinct[str] = Field(
        (),
        description="Models of an ensemble, at least two; `best-encoder` and `best-llm` are those"
        " of the run with the highest strict F1 on dev. LLMs take part by their headline decoding.",
    )
    combine: Literal["vote", "union", "intersection"] = Field(
        "vote",
        description="What an ensemble predicts: spans of more than half of its members, of any (of"
        " those that overlap the longer), or of all.",
    )
    source: ModelSource = Field(
        ModelSource(),
        description="Where the model comes from; one of `hub` and `scratch`; required but for"
        " controls and ensembles.",
    )
    max_length: Int = Field(
        512,
        ge=16,
        description="Longest input in subwords; longer sentences become overlapping windows"
        " (encoders and heads) or, in training only, several examples (LLMs). What is longer is"
        " counted.",
    )
    label_subwords: Literal["all", "first", "last"] = Field(
        "all",
        description="Which subwords of a word are labelled and decide its tag (encoders, heads):"
        " `all`, by majority (the paper's way), the `first`, or the `last`, the only one that has"
        " seen the whole word if attention is causal.",
    )
    attention: Literal["causal", "bidirectional"] = Field(
        "causal",
        description="What a subword sees (heads): what is before it (`causal`, as the LLM was"
        " pretrained), or the whole sentence (`bidirectional`).",
    )
    repeat: Int = Field(
        1,
        ge=1,
        le=2,
        exclude_if=lambda copies: copies == 1,  # left out, older trainings keep their settings
        description="How often the input holds the sentence (heads): 2 puts it twice, with a line"
        " end between, and labels the second copy, in which every subword has seen the whole"
        " sentence although attention is causal (Just Pass Twice, arXiv 2604.05158). `max_length`"
        " counts both.",
    )
    verbalizer: Literal["names", "letters", "special_tokens"] = Field(
        "names",
        description="How an LLM writes tags: by their `names` (the paper's way), by `letters` (A"
        " for B- of the first type, a for I-), or by `special_tokens` added to the vocabulary for"
        " them.",
    )
    train: Train = Field(Train(), description="Hyper-parameters.")
    search_space: SearchSpace | None = Field(
        None,
        description="Hyper-parameters to search over on dev, each with the values to try: every"
        " combination is a trial, and the best by strict F1 is the model predicted with. What is"
        " not listed is as under `train`; null searches for nothing.",
    )
    quantization: Literal["nf4", None] = Field(
        None,
        description="Weights of the base model (LLMs) in 4-bit NF4 with double quantisation, or as"
        " they are.",
    )
    lora: Lora | None = Field(
        None, description="Low-rank adapters (LLMs); null trains all weights."
    )
    predict: Predict = Field(Predict(), description="Inference.")
    resources: Resources = Field(Resources(), description="What one job of the model asks for.")
    cost_estimates: CostEstimates | None = Field(
        None,
        description="What the model costs, for `bioner plan` only: estimates or measurements, as"
        " the entry's comments say. Nothing is trained or predicted again when they change. null:"
        " not stated.",
    )
    card: Card | None = Field(
        None,
        exclude_if=lambda card: card is None,
        description="What the model's card on the hub states, for readers of the catalogue only.",
    )
    training_cutoff: str | None = Field(
        None,
        pattern=r"^\d{4}-(0[1-9]|1[0-2])$",
        exclude_if=lambda month: month is None,
        description="Month its pretraining text ends, as published, or the latest that it can be"
        " (the month of the model's paper); null: not known. Reports say which corpora it may have"
        " read. Nothing is trained or predicted again when it changes.",
    )

    @property
    def is_trained(self) -> bool:
        """Whether the model has weights: controls and ensembles have none."""
        return self.family in TRAINED

    @property
    def is_from_hub(self) -> bool:
        """Whether its weights are fetched: not made here, nor in a folder of the user's."""
        hub = self.source.hub if self.is_trained else None
        return hub is not None and not names_folder(hub)

    def searched(self) -> dict[str, tuple[float, ...]]:
        """Return the values to try, by hyper-parameter, sorted; empty without a search."""
        return self.search_space.values() if self.search_space else {}

    def without_search(self) -> Self:
        """Return the entry as it is trained if nothing is searched for."""
        return self.model_copy(update={"search_space": None})

    def changed(self, **parts: Mapping[str, Any]) -> Self:
        """Return the entry with other values in some of its parts, such as `train`."""
        update = {key: getattr(self, key).model_copy(update=own) for key, own in parts.items()}
        return self.model_copy(update=update)

    def trials(self) -> dict[str, "ModelEntry"]:
        """Return the entries of the search, by trial: every combination in the search space."""
        space = self.searched()
        trials = {}
        for values in product(*space.values()) if space else ():
            chosen = dict(zip(space, values, strict=True))
            name = "-".join(f"{SHORT.get(key, key)}{value!r}" for key, value in chosen.items())
            trials[name] = self.changed(train=chosen)
        return trials

    def training_settings(self) -> dict[str, Any]:
        """Return what a trained model depends on; a change of all else trains nothing again."""
        tree = self.canonical()
        settings = {key: value for key, value in tree.items() if key not in NOT_OF_ONE_TRAINING}
        settings["resources"] = {key: tree["resources"][key] for key in ("gpus", "threads")}
        if self.family == "llm":  # decoded on dev after every epoch
            settings["predict"] = {"legal_transitions": self.predict.legal_transitions}
        return settings

    def has_merged_weights(self, decoding: str | None = None) -> bool:
        """Return whether merging changes the model.

        Args:
            decoding: The decoding; `free-paper` reproduces the paper and merges nothing.
        """
        if not self.is_trained or decoding == "free-paper":
            return False
        if self.lora:
            return True
        in_bf16 = self.family == "llm" and self.train.param_dtype == "bf16"
        return self.train.precision == "bf16" and not in_bf16

    def merges(self, decoding: str | None = None) -> bool:
        """Return whether predictions are made with weights that merging has changed."""
        return self.predict.weights == "merged" and self.has_merged_weights(decoding)

    def prediction_settings(self, decoding: str | None = None) -> dict[str, Any]:
        """Return what a prediction depends on apart from the trained model.

        It includes `predict.weights` if that makes a difference. Predictions by versions without
        the setting, which were as trained, are made again only then.
        """
        tree = self.canonical()
        differs = self.has_merged_weights(decoding)
        weights = {"weights": self.predict.weights} if differs else {}
        predict = {key: value for key, value in tree["predict"].items() if key != "weights"}
        return {key: value for key, value in tree.items() if key not in NOT_OF_ONE_TRAINING} | {
            "predict": predict | weights,
            "train": {"precision": self.train.precision},
            "resources": {key: tree["resources"][key] for key in ("predict_gpus", "threads")},
        }

    @model_validator(mode="before")
    @classmethod
    def _cutoff_of_the_card(cls, tree: Any) -> Any:
        """Take `training_cutoff` from `card`, where records of earlier versions have it."""
        match tree:
            case {"card": {"training_cutoff": cutoff, **card}}:
                return tree | {"training_cutoff": cutoff, "card": card}
        return tree

    @model_validator(mode="after")
    def _fits_its_family(self) -> Self:
        for key, only in FIXED[self.family].items():
            value = reduce(getattr, key.split("."), self)
            if value != only:
                expected = f"{json.dumps(only)}: the family {self.family!r} allows nothing else"
                raise setting_error(key, "another value", expected, "Leave it out.")
        if self.family == "control" and self.control is None:
            raise setting_error("control", "no control", "which one it is", "Name it.")
        if self.family == "ensemble" and len(self.members) < 2:
            raise setting_error("members", "fewer than two", "two or more", "Name the models.")
        if self.is_trained:
            self._check_weights()
        for key, values in self.searched().items():
            self._check_candidates(key, values)
        return self

    def _check_candidates(self, key: str, values: tuple[float, ...]) -> None:
        """Raise an error for values that `train` would refuse."""
        place, only = f"search_space.{key}", FIXED[self.family]
        if f"train.{key}" in only:
            remedy = f"Leave {key} out of the search."
            raise setting_error(
                place, "values to try", f"none: {self.family!r} has no {key}", remedy
            )
        for value in values:
            try:
                Train.model_validate({key: value})
            except ValidationError as error:
                expected = f"what train.{key} allows ({error.errors()[0]['msg']})"
                raise setting_error(place, str(value), expected, "Correct the value.") from None

    def _check_weights(self) -> None:
        given = [key for key in ("hub", "scratch") if getattr(self.source, key) is not None]
        if len(given) != 1:
            found = " and ".join(given) or "neither"
            remedy = "Set the one that is not meant to null."
            raise setting_error("source", found, "one of `hub` and `scratch`", remedy)
        source = self.source
        pinned = source.hub and (names_folder(source.hub) or COMMIT.fullmatch(source.revision))
        if source.trust_remote_code and not pinned:
            found = f"{source.revision!r} with trust_remote_code"
            expected = "a commit (40 hex digits), whose code stays as you have read it"
            remedy = "Name the commit, or leave trust_remote_code out."
            raise setting_error("source.revision", found, expected, remedy)
        if self.quantization and not self.lora:
            found = "4-bit weights without lora"
            expected = "adapters: weights in 4 bits cannot be trained themselves"
            raise setting_error("quantization", found, expected, "Set lora, or leave it out.")
