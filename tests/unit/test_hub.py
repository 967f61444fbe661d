"""Models that cannot be had: each fault says what it is and what to do, in one line."""

import httpx2
import pytest
from huggingface_hub import errors

from bioner.errors import InputError
from bioner.models import hub


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
        (errors.RevisionNotFoundError("404", response=answer(404)), "no revision 'v9'", "Correct source.revision"),
        (
            errors.LocalEntryNotFoundError("none"),
            "in the cache, and hub access is off",
            "`hf download a/b --revision v9`",
        ),
        (errors.OfflineModeIsEnabled("off"), "in the cache, and hub access is off", "with the same HF_HOME"),
        (ValueError("odd"), "something long about the connection", "Check the name"),
    ],
)
def test_what_the_hub_says_is_told_in_one_line(monkeypatch, cause, found, remedy):
    def refused(*_, **__):
        raise because(cause)

    monkeypatch.setattr(hub.AutoTokenizer, "from_pretrained", refused)
    monkeypatch.setattr(hub, "HF_HUB_OFFLINE", True)
    with pytest.raises(InputError) as caught:
        hub.load_tokenizer("a/b", "v9")
    message = str(caught.value)
    assert found in message
    assert remedy in message
    assert "\n" not in message


@pytest.mark.parametrize("name", ["./nowhere", "/no/where", "a/b/c"])
def test_a_path_that_is_not_there_is_no_hub_id(name):
    with pytest.raises(InputError, match="no such folder"):
        hub.load_tokenizer(name)


def test_a_folder_without_a_model_is_told(tmp_path):
    with pytest.raises(InputError, match="no loadable model or tokenizer in this folder"):
        hub.load_tokenizer(tmp_path)


def test_an_id_that_is_not_in_the_cache_is_told_offline():
    with pytest.raises(InputError, match="no model of this name in the cache, and hub access is off"):
        hub.load_tokenizer("nobody/no-such-model")
