"""What a model lacks is found before any work, whichever way it is read, with the true remedy."""

import json
import os
import shutil
from pathlib import Path

import pytest
from tokenizers import AddedToken
from transformers import (
    AutoConfig,
    AutoModelForMaskedLM,
    AutoModelForTokenClassification,
    AutoTokenizer,
)

from bioner.errors import InputError
from bioner.inference import tagging
from bioner.inference.merging import merge
from bioner.inference.predict import load_predictor, predict
from bioner.inference.tagging import Text, load_tagger
from bioner.io.checksums import sha256_of
from bioner.models import TASK_FILE
from bioner.models.model_files import fingerprint_of, weight_checksums
from bioner.models.pretrained import load_tokenizer
from bioner.models.requirements import check_padding, kind_of
from bioner.settings.catalogue import parse_entry
from bioner.settings.model_entry import ModelEntry
from bioner.training.job import TrainingJob
from bioner.training.run import train
from tests.conftest import instance
from tests.families import FAMILIES, make

TEXTS = [
    instance("s1", "Oral/O aspirin/B-Drug worsened/O acidosis/B-Drug ./O"),
    instance("s2", "no/O change/O"),
]
ONE_STEP = {"epochs": 1, "batch_size": 2, "patience": None, "learning_rate": 1e-3}
LORA = {"r": 4, "alpha": 8, "dropout": 0.0, "target_modules": ["q_proj"]}
LLM = {"family": "llm", "max_length": 400, "lora": LORA}
ENCODER = {"family": "encoder", "max_length": 48}


def entry_of(source: Path, trust: bool = False, **settings: object) -> ModelEntry:
    where = {"hub": str(source)} | ({"trust_remote_code": True} if trust else {})
    return parse_entry(ModelEntry, "tiny", {"source": where, "train": ONE_STEP, **settings})


def train_on(entry: ModelEntry, folder: Path, texts: list = TEXTS) -> Path:
    train(TrainingJob("tiny", entry, texts, texts, 7), folder / "run")
    return folder / "run" / "model"


@pytest.fixture(scope="module")
def bert(tmp_path_factory) -> Path:
    return make("bert", TEXTS, tmp_path_factory.mktemp("bert") / "source")


@pytest.fixture(scope="module")
def llama(tmp_path_factory) -> Path:
    return make("llama", TEXTS, tmp_path_factory.mktemp("llama") / "source")


@pytest.fixture(scope="module")
def adapted(llama, tmp_path_factory) -> Path:
    """An adapter and its base, read only."""
    return train_on(entry_of(llama, **LLM), tmp_path_factory.mktemp("adapted"))


def copied(folder: Path, to: Path, without: str = "") -> Path:
    shutil.copytree(folder, to, ignore=shutil.ignore_patterns(without) if without else None)
    return to


def edited(path: Path, **keys: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | keys))


@pytest.mark.parametrize("name", sorted({family.architecture for family in FAMILIES.values()}))
def test_a_folder_without_a_tokenizer_is_refused(tmp_path, name):
    """transformers makes one of special tokens only for most of them."""
    AutoConfig.for_model(name).save_pretrained(tmp_path)
    with pytest.raises(InputError, match=r"without a vocabulary|\(no tokenizer "):
        load_tokenizer(tmp_path)


def test_no_road_goes_without_a_tokenizer(bert, adapted, tmp_path):
    entry = entry_of(bert, **ENCODER)
    source = copied(bert, tmp_path / "source", "tokenizer*")
    with pytest.raises(InputError, match="without a vocabulary"):
        train_on(entry_of(source, **ENCODER), tmp_path)
    adapter = copied(adapted.parent, tmp_path / "adapted", "tokenizer*") / "model"
    llm = entry_of(Path(json.loads((adapter / TASK_FILE).read_text())["base"]), **LLM)
    for road in (
        lambda: predict("tiny", entry, TEXTS, [], source, "direct"),
        lambda: load_tagger(source),
        lambda: predict("tiny", llm, TEXTS, TEXTS, adapter, "constrained"),
        lambda: load_predictor("tiny", llm, adapter, "free"),  # of `bioner time`
        lambda: load_tagger(adapter),
        lambda: merge(adapter, llm, tmp_path / "merged", []),
    ):
        with pytest.raises(InputError, match="tokenizer"):
            road()


def test_a_model_is_an_encoder_or_an_llm_by_its_configuration():
    kinds = {name: kind_of(AutoConfig.for_model(it.architecture)) for name, it in FAMILIES.items()}
    assert kinds == {name: "decoder" if it.is_llm else "encoder" for name, it in FAMILIES.items()}
    for name, kind in {
        "modernbert-decoder": "decoder",
        "gemma3": "decoder",  # with images, around a text model
        "distilbert": "encoder",
        "canine": None,
        "t5": "encoder-decoder",
        "bart": "encoder-decoder",
    }.items():
        assert kind_of(AutoConfig.for_model(name)) == kind
    assert kind_of(AutoConfig.for_model("bert", is_decoder=True)) == "decoder"


@pytest.mark.parametrize(
    ("name", "family", "found", "remedy"),
    [
        ("bert", "llm", r"an encoder \(bert\)", "Set family: encoder"),
        ("modernbert", "llm-head", r"an encoder \(modernbert\)", "Set family: encoder"),
        ("xlnet", "llm", r"an encoder \(xlnet\)", "Set family: encoder"),
        ("llama", "encoder", r"a decoder-only LLM \(llama\)", "Set family: llm-head"),
        ("t5", "encoder", r"an encoder-decoder \(t5\)", "Choose another model"),
        ("t5", "llm", r"an encoder-decoder \(t5\)", "Choose another model"),
        ("bart", "llm-head", r"an encoder-decoder \(bart\)", "Choose another model"),
    ],
)
def test_a_model_of_another_kind_than_its_family_is_refused(tmp_path, name, family, found, remedy):
    AutoConfig.for_model(name).save_pretrained(tmp_path / "source")
    with pytest.raises(InputError, match=f"found {found}; expected .*{remedy}"):
        train_on(entry_of(tmp_path / "source", family=family), tmp_path)


def test_a_tokenizer_in_python_only_is_refused_by_name(tmp_path):
    AutoConfig.for_model("canine").save_pretrained(tmp_path / "source")
    with pytest.raises(InputError, match=r"in Python only \(CanineTokenizer\)"):
        train_on(entry_of(tmp_path / "source", **ENCODER), tmp_path)


def test_an_llm_without_an_end_of_sequence_token_is_refused(llama, tmp_path):
    source = copied(llama, tmp_path / "source")
    edited(source / "tokenizer_config.json", eos_token=None, pad_token="<unk>")
    with pytest.raises(InputError, match=r"without an end-of-sequence token.*\(eos_token\)"):
        train_on(entry_of(source, **LLM), tmp_path)
    assert load_tokenizer(source, entry=entry_of(source, family="llm-head"))


def with_a_piece_more(folder: Path, piece: str) -> None:
    """Add a word to a folder's tokenizer, for which its model has no row of embeddings."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.add_tokens([AddedToken(piece, normalized=False)])
    tokenizer.save_pretrained(folder)


@pytest.mark.parametrize("settings", [ENCODER, {**LLM, "family": "llm-head"}, LLM])
def test_only_a_piece_that_occurs_needs_a_row(bert, llama, tmp_path, settings):
    source = copied(bert if settings is ENCODER else llama, tmp_path / "source")
    with_a_piece_more(source, "unheardof")
    entry = entry_of(source, **settings)
    model = train_on(entry, tmp_path)  # the piece more occurs nowhere
    decoding = "constrained" if entry.family == "llm" else "direct"
    said = r"rows of embeddings, and the id \d+ in the data"
    with pytest.raises(InputError, match=said):
        predict("tiny", entry, [instance("s", "unheardof/O")], TEXTS, model, decoding)
    with pytest.raises(InputError, match=said):
        list(load_tagger(model)([Text("s", "unheardof")]))
    with_a_piece_more(source, "acidosis")
    with pytest.raises(InputError, match=said):
        train_on(entry, tmp_path / "again")


def test_a_local_base_is_recorded_and_no_other_is_taken_for_it(llama, adapted, tmp_path):
    """A copy of the base has other times; another base of the same shape has other weights."""
    known = {"model.safetensors": sha256_of(llama / "model.safetensors")}
    assert json.loads((adapted.parent / "run.json").read_text())["base_weights"] == known
    task = adapted / TASK_FILE
    assert json.loads(task.read_text())["base_weights"] == known
    base, folder = copied(llama, tmp_path / "base"), copied(adapted, tmp_path / "model")
    edited(folder / TASK_FILE, base=str(base))
    entry = entry_of(base, **LLM)
    load_predictor("tiny", entry, folder, "free")
    other = bytearray((base / "model.safetensors").read_bytes())
    other[-1] ^= 1
    (base / "model.safetensors").write_bytes(other)
    for road in (
        lambda: load_predictor("tiny", entry, folder, "free"),
        lambda: load_tagger(folder),
        lambda: merge(folder, entry, tmp_path / "merged", []),
    ):
        with pytest.raises(InputError, match=f"other weights in {base} than it was trained on"):
            road()
    before = json.loads((folder / TASK_FILE).read_text())
    del before["base_weights"]  # as earlier versions wrote it
    (folder / TASK_FILE).write_text(json.dumps(before))
    load_predictor("tiny", entry, folder, "free")


def test_weights_are_identified_by_what_they_hold(bert, tmp_path):
    folder = copied(bert, tmp_path / "copy")
    os.utime(folder / "model.safetensors", (0, 0))
    assert fingerprint_of(folder) == fingerprint_of(bert)
    assert weight_checksums(folder) == weight_checksums(bert)
    weights = bytearray((folder / "model.safetensors").read_bytes())
    for place in range(len(weights) // 2, len(weights)):
        weights[place] ^= 1
    (folder / "model.safetensors").write_bytes(weights)
    assert fingerprint_of(folder) != fingerprint_of(bert)
    assert weight_checksums(folder) != weight_checksums(bert)


CODE = """
from transformers import BertConfig, BertForTokenClassification

class OwnConfig(BertConfig):
    model_type = "own"

class OwnClassifier(BertForTokenClassification):
    config_class = OwnConfig
"""
OWN = {"AutoConfig": "own.OwnConfig", "AutoModelForTokenClassification": "own.OwnClassifier"}


@pytest.fixture
def own_code(bert, tmp_path, monkeypatch) -> Path:
    """A folder of a model whose code lies in it."""
    monkeypatch.setattr("transformers.dynamic_module_utils.HF_MODULES_CACHE", str(tmp_path / "hf"))
    source = copied(bert, tmp_path / "source")
    (source / "own.py").write_text(CODE)
    edited(source / "config.json", model_type="own", auto_map=OWN)
    return source


def test_a_model_s_own_code_runs_if_the_entry_says_so(own_code, tmp_path):
    with pytest.raises(InputError, match=r"its own Python code.*trust_remote_code: true"):
        train_on(entry_of(own_code, **ENCODER), tmp_path)
    entry = entry_of(own_code, trust=True, **ENCODER)
    model = train_on(entry, tmp_path)
    assert len(predict("tiny", entry, TEXTS, [], model, "direct")) == 2
    assert len(list(load_tagger(model)([Text("s", "Oral aspirin")]))) == 1
    (model.parent / "run.json").unlink()
    with pytest.raises(InputError, match="a model that needs its own Python code"):
        load_tagger(model)


def test_code_of_another_repository_is_refused(own_code, tmp_path):
    edited(own_code / "config.json", auto_map=OWN | {"AutoConfig": "else/where--own.OwnConfig"})
    with pytest.raises(InputError, match=r"code of another repository \(else/where\)"):
        train_on(entry_of(own_code, trust=True, **ENCODER), tmp_path)


@pytest.mark.parametrize(
    "source",
    [
        {"hub": "OWNER/NAME"},
        {"hub": "OWNER/NAME", "revision": "v1"},
        {"scratch": {"architecture": "bert"}},
    ],
)
def test_code_of_the_hub_is_trusted_at_a_commit_only(source):
    described = {"family": "encoder", "source": source | {"trust_remote_code": True}}
    with pytest.raises(InputError, match="a commit"):
        parse_entry(ModelEntry, "own", described)
    described["source"] = {"hub": "OWNER/NAME", "revision": "0" * 40, "trust_remote_code": True}
    assert parse_entry(ModelEntry, "own", described).source.trust_remote_code


def test_entries_without_own_code_are_written_as_before():
    """A new key would have every model trained again."""
    entry = parse_entry(ModelEntry, "own", {"family": "encoder", "source": {"hub": "OWNER/NAME"}})
    assert entry.canonical()["source"] == {"hub": "OWNER/NAME", "revision": "main", "scratch": None}


def test_a_padding_token_that_was_added_without_a_row_gives_way_to_the_end(tmp_path):
    source = make("qwen3", TEXTS, tmp_path / "source")
    tokenizer = AutoTokenizer.from_pretrained(source)
    tokenizer.add_special_tokens({"pad_token": "[PAD]"})
    tokenizer.save_pretrained(source)
    entry = entry_of(source, **LLM)
    loaded = load_tokenizer(source, entry=entry)
    assert loaded.pad_token == loaded.eos_token
    assert (train_on(entry, tmp_path) / TASK_FILE).is_file()


def test_a_tokenizer_that_knows_few_words_is_refused(tmp_path):
    source = make("roberta", TEXTS, tmp_path / "source")
    path = source / "tokenizer_config.json"
    settings = json.loads(path.read_text()) | {"tokenizer_class": "BertTokenizer"}
    path.write_text(json.dumps(settings))
    with pytest.raises(InputError, match=r"does not know \d of 7 words.*tokenizer_class"):
        train_on(entry_of(source, **ENCODER), tmp_path)


def test_types_that_a_tokenizer_writes_alike_are_refused(tmp_path):
    source = make("smollm3", TEXTS, tmp_path / "source")
    path = source / "tokenizer.json"
    tokenizer = json.loads(path.read_text())
    tokenizer["normalizer"] = {"type": "Lowercase"}
    path.write_text(json.dumps(tokenizer))
    texts = [instance("s1", "aspirin/B-Drug cures/O gout/B-DRUG")]
    with pytest.raises(InputError, match="'DRUG' and 'Drug', which its tokenizer writes alike"):
        train_on(entry_of(source, **LLM), tmp_path, texts)


def test_a_copied_encoder_is_run_with_the_settings_it_was_trained_with(bert, tmp_path):
    entry = entry_of(bert, **ENCODER, label_subwords="last")
    shutil.copytree(train_on(entry, tmp_path), tmp_path / "copy")
    copied = tagging.entry_of(tmp_path / "copy")
    assert (copied.label_subwords, copied.max_length) == ("last", 48)


def test_an_adapter_whose_base_is_gone_does_not_take_one_of_that_name_from_the_hub(
    llama, tmp_path, monkeypatch
):
    shutil.copytree(llama, tmp_path / "org" / "tiny")
    monkeypatch.chdir(tmp_path)
    model = train_on(entry_of(Path("org/tiny"), **LLM), tmp_path)
    monkeypatch.chdir("/")
    with pytest.raises(InputError, match="no folder org/tiny with the base it was trained on"):
        load_tagger(model)


def test_an_encoder_whose_answers_depend_on_padding_is_refused(tmp_path):
    source = make("bert", TEXTS, tmp_path / "source")
    rows = AutoTokenizer.from_pretrained(source)
    sizes = {"hidden_size": 32, "num_hidden_layers": 1, "intermediate_size": 32}
    config = AutoConfig.for_model("fnet", vocab_size=len(rows), pad_token_id=0, **sizes)
    AutoModelForMaskedLM.from_config(config).save_pretrained(source)
    with pytest.raises(InputError, match="'fnet', whose answers depend on padding"):
        train_on(entry_of(source, **ENCODER), tmp_path)


def test_the_padding_trial_needs_no_more_positions_than_its_example():
    sizes = {"hidden_size": 32, "num_hidden_layers": 1, "intermediate_size": 32}
    config = AutoConfig.for_model(
        "bert", vocab_size=9, max_position_embeddings=16, num_attention_heads=2, **sizes
    )
    model = AutoModelForTokenClassification.from_config(config).train()
    check_padding("tiny", model, [5] * 16, 0)
    check_padding("tiny", model, [5], 0)
    assert model.training


@pytest.mark.parametrize(
    ("family", "said"), [("bert", "expected a trained head"), ("llama", "an untrained decoder")]
)
def test_tagging_with_a_model_that_nobody_trained_names_what_is_missing(family, said, tmp_path):
    source = make(family, TEXTS, tmp_path / "source")
    with pytest.raises(InputError, match=rf"{said}.*Name the `model/` of a finished training"):
        load_tagger(source)
