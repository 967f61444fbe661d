"""Models that cannot be had: each fault says what it is and what to do, in one line."""

import errno
import json
import logging
import socket

import httpx2
import pytest
import torch
from huggingface_hub import errors
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForMaskedLM,
    AutoModelForTokenClassification,
    BertForTokenClassification,
)

from bioner.errors import InputError
from bioner.models import hub_errors, pretrained
from bioner.models.positions import OFFSET_BY_PADDING, positions_of

NETWORK = "Check network, proxy (HTTPS_PROXY) and token (HF_TOKEN)"


def no_json(page: str) -> json.JSONDecodeError:
    return json.JSONDecodeError("Expecting value", page, 0)


def answer(status: int) -> httpx2.Response:
    return httpx2.Response(status, request=httpx2.Request("HEAD", "https://huggingface.co/a/b"))


def because(cause: Exception) -> OSError:
    """As transformers raises it: an OSError with the hub's error behind it."""
    error = OSError("something long about the connection\nand more")
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("cause", "found", "remedy"),
    [
        (
            errors.GatedRepoError("403", response=answer(403)),
            "a gated model",
            "Accept its terms at https://huggingface.co/a/b",
        ),
        (
            errors.RepositoryNotFoundError("404", response=answer(404)),
            "no model of this name on the hub",
            "Correct the name",
        ),
        (
            errors.RevisionNotFoundError("404", response=answer(404)),
            "no revision 'v9'",
            "Correct source.revision",
        ),
        (
            errors.LocalEntryNotFoundError("none"),
            "in the cache, and hub access is off",
            "`hf download a/b --revision v9`",
        ),
        (
            errors.OfflineModeIsEnabled("off"),
            "in the cache, and hub access is off",
            "with the same HF_HOME",
        ),
        (ValueError("odd"), "something long about the connection", "Check the name"),
    ],
)
def test_what_the_hub_says_is_told_in_one_line(monkeypatch, cause, found, remedy):
    def refused(*_, **__):
        raise because(cause)

    monkeypatch.setattr(pretrained.AutoTokenizer, "from_pretrained", refused)
    monkeypatch.setattr(hub_errors, "HF_HUB_OFFLINE", True)
    with pytest.raises(InputError) as caught:
        pretrained.load_tokenizer("a/b", "v9")
    message = str(caught.value)
    assert found in message
    assert remedy in message
    assert "\n" not in message


@pytest.mark.parametrize(
    ("cause", "found"),
    [
        (httpx2.ConnectTimeout("timed out"), "timed out"),
        (httpx2.ProxyError("407 who are you?"), "407 who are you?"),
        (httpx2.InvalidURL("no port"), "no port"),
        (socket.gaierror(-2, "Name or service not known"), "Name or service not known"),
        (ConnectionResetError(104, "Connection reset by peer"), "Connection reset by peer"),
        (ValueError("Unknown scheme for proxy URL"), "Unknown scheme for proxy URL"),
        (errors.HfHubHTTPError("503 away", response=answer(503)), "503 away"),
        (errors.HfHubHTTPError("429 too often", response=answer(429)), "429 too often"),
        (no_json("<html>Log in</html>"), "a page in place of its answer"),
        (UnicodeEncodeError("ascii", "ü", 0, 1, "no"), "a token that is not ASCII"),
    ],
)
def test_a_hub_that_does_not_answer_is_not_taken_for_a_wrong_name(cause, found):
    what, expected, remedy = hub_errors.why_not("a/b", None, because(cause))
    assert what.startswith("that the hub cannot be reached (")
    assert found in what
    assert expected == "its answer"
    assert remedy.startswith(NETWORK)


@pytest.mark.parametrize(
    "cause",
    [
        errors.HfHubHTTPError("404", response=answer(404)),
        errors.HfHubHTTPError("403", response=answer(403)),
        no_json('{"model_type": "be'),
        no_json(""),
        UnicodeEncodeError("utf-8", "x", 0, 1, "no"),
    ],
)
def test_what_the_hub_does_not_have_and_broken_files_are_no_lack_of_a_network(cause):
    assert (
        hub_errors.why_not("a/b", None, because(cause))[2]
        == "Check the name; try `hf download a/b`."
    )


def test_a_cache_without_room_or_leave_is_told():
    for number, said in (
        (errno.ENOSPC, "No space left on device"),
        (errno.EACCES, "Permission denied"),
    ):
        what, expected, remedy = hub_errors.why_not("a/b", None, OSError(number, said))
        assert what == f"[Errno {number}] {said} in {hub_errors.HF_HUB_CACHE}"
        assert expected == "a cache that can be written to"
        assert "HF_HOME" in remedy


@pytest.mark.parametrize("name", ["./nowhere", "/no/where", "a/b/c"])
def test_a_path_that_is_not_there_is_no_hub_id(name):
    with pytest.raises(InputError, match="no such folder"):
        pretrained.load_tokenizer(name)


def test_a_folder_without_a_model_is_told(tmp_path):
    with pytest.raises(InputError, match="no loadable model or tokenizer in this folder"):
        pretrained.load_tokenizer(tmp_path)


def test_an_id_that_is_not_in_the_cache_is_told_offline():
    with pytest.raises(
        InputError, match="no model of this name in the cache, and hub access is off"
    ):
        pretrained.load_tokenizer("nobody/no-such-model")


SMALL = {"num_hidden_layers": 1, "num_attention_heads": 2, "hidden_size": 8}
NEEDED = {  # to be small
    "bert": {"intermediate_size": 8},
    "ctrl": {"dff": 8},
    "electra": {"embedding_size": 8},
    "llama": {"intermediate_size": 8},
    "longformer": {"attention_window": 4},
    "luke": {"entity_vocab_size": 4},
    "modernbert": {"intermediate_size": 8, "cls_token_id": 1, "sep_token_id": 2},
    "opt": {"ffn_dim": 8, "word_embed_proj_dim": 8},
    "xlnet": {"d_inner": 8, "d_head": 4},
    "xmod": {"languages": ["en"], "default_language": "en"},
}


def small(architecture, kind=AutoModel, **settings):
    described = SMALL | NEEDED.get(architecture, {}) | settings | {"vocab_size": 9}
    config = AutoConfig.for_model(architecture, **described, pad_token_id=1, eos_token_id=2)
    torch.manual_seed(1)
    return kind.from_config(config).eval()


def read(model, length):
    ids = torch.full((1, length), 5)
    return model(input_ids=ids, attention_mask=torch.ones_like(ids))[0]


LEARNED = ["bert", "biogpt", "ctrl", "electra", "gpt2", "opt"]


@pytest.mark.parametrize("architecture", [*LEARNED, *sorted(OFFSET_BY_PADDING)])
def test_a_model_reads_as_many_subwords_as_it_has_positions_and_no_more(architecture):
    model = small(architecture, max_position_embeddings=20)
    limit = positions_of(model.config)
    assert read(model, limit).shape[1] == limit
    with pytest.raises((IndexError, RuntimeError)):
        read(model, limit + 1)


@pytest.mark.parametrize("architecture", ["deberta-v2", "xlnet"])
def test_relative_positions_have_no_limit(architecture):
    relative = {
        "relative_attention": True,
        "position_biased_input": False,
        "max_position_embeddings": 20,
    }
    model = small(
        architecture, **(relative if architecture == "deberta-v2" else {"d_inner": 8, "d_head": 4})
    )
    assert positions_of(model.config) is None
    assert read(model, 50).shape[1] == 50


def test_a_text_model_within_another_says_its_positions():
    config = AutoConfig.for_model("mistral3")
    expected = config.text_config.max_position_embeddings
    assert positions_of(config) == expected


def parameters(model):
    """The parameters of the base model, and of what is put on it."""
    body, head = {}, {}
    for name, values in model.named_parameters():
        part = body if name.startswith(f"{model.base_model_prefix}.") else head
        part[name] = values
    return body, head


def nines(model, *names):
    with torch.no_grad():
        for name, values in parameters(model)[1].items():
            if not names or name in names:
                values.fill_(9)
    return model


LABELS = ["O", "B-x", "I-x"]
HEADED = ["bert", "deberta-v2", "electra", "llama", "modernbert", "roberta", "xlnet"]


@pytest.mark.parametrize("architecture", HEADED)
@pytest.mark.parametrize("labels", [3, 5])
def test_a_new_head_is_new_whatever_head_the_source_has(architecture, labels, tmp_path, caplog):
    source = nines(small(architecture, AutoModelForTokenClassification, num_labels=labels))
    source.save_pretrained(tmp_path)
    with caplog.at_level(logging.INFO):
        model = pretrained.load_token_classifier(tmp_path, labels=LABELS)
    assert f"{tmp_path}: its classification head is replaced by a new one" in caplog.text
    body, head = parameters(model)
    torch.testing.assert_close(body, parameters(source)[0])
    assert not any((values == 9).any() for values in head.values())
    assert model.config.id2label == dict(enumerate(LABELS))
    assert model.num_labels == 3


@pytest.mark.parametrize("architecture", HEADED)
def test_a_head_that_replaces_another_begins_as_any_new_one(architecture, tmp_path):
    source = small(architecture, AutoModelForTokenClassification, num_labels=len(LABELS))
    source.save_pretrained(tmp_path / "headed")
    source.base_model.save_pretrained(tmp_path / "bare")
    heads = []
    for name in ("headed", "bare"):
        torch.manual_seed(5)
        model = pretrained.load_token_classifier(tmp_path / name, labels=LABELS)
        heads.append(parameters(model)[1])
    torch.testing.assert_close(*heads, rtol=0, atol=0)


@pytest.mark.parametrize("architecture", HEADED)
def test_a_trained_head_is_kept(architecture, tmp_path, caplog):
    nines(small(architecture, AutoModelForTokenClassification)).save_pretrained(tmp_path)
    with caplog.at_level(logging.INFO):
        head = parameters(pretrained.load_token_classifier(tmp_path))[1]
    assert all((values == 9).all() for values in head.values())
    assert not caplog.text


@pytest.mark.parametrize("architecture", HEADED)
def test_a_model_without_any_head_gets_one_and_is_refused_as_a_trained_one(
    architecture, tmp_path, caplog
):
    source = small(architecture)
    source.save_pretrained(tmp_path)
    with caplog.at_level(logging.INFO):
        model = pretrained.load_token_classifier(tmp_path, labels=LABELS)
    assert not caplog.text
    prefix = f"{model.base_model_prefix}."
    body = {name.removeprefix(prefix): values for name, values in parameters(model)[0].items()}
    assert body.keys() <= dict(source.named_parameters()).keys()
    for name, values in body.items():
        assert torch.equal(values, source.get_parameter(name))
    with pytest.raises(InputError, match=r"weights without (classifier|score)\.bias and \d others"):
        pretrained.load_token_classifier(tmp_path)


def test_modernbert_keeps_the_dense_layer_of_its_pretraining(tmp_path):
    source = nines(small("modernbert", AutoModelForMaskedLM), "head.dense.weight")
    source.save_pretrained(tmp_path)
    model = pretrained.load_token_classifier(tmp_path, labels=LABELS)
    assert (model.head.dense.weight == 9).all()


def test_a_body_that_is_not_where_the_class_says_is_refused(tmp_path, monkeypatch):
    small("bert").save_pretrained(tmp_path)
    monkeypatch.setattr(BertForTokenClassification, "base_model_prefix", "model")
    with pytest.raises(InputError, match=r"no weights under 'model\.'"):
        pretrained.load_token_classifier(tmp_path, labels=LABELS)


def test_weights_of_another_size_are_no_matter_of_the_head(tmp_path):
    small("bert").save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {"vocab_size": 10}))
    with pytest.raises(InputError, match=r"weights without bert\.embeddings\.word_embeddings"):
        pretrained.load_token_classifier(tmp_path, labels=LABELS)
