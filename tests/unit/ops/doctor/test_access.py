"""Leave to read models of the hub: what each answer means, and never a token."""

import httpx2
import huggingface_hub
import pytest
from huggingface_hub import errors

from bioner.ops.doctor.access import check_access
from bioner.ops.doctor.cache import Source

TOKEN = "hf_verysecretverysecret"


def answer(status):
    return httpx2.Response(
        status, request=httpx2.Request("GET", "https://huggingface.co/api/models/a/b")
    )


@pytest.fixture
def hub(monkeypatch):
    """What the hub answers by model: None, or an error; and the models it was asked for."""
    answers, asked = {}, []

    def ask(name):
        asked.append(name)
        if error := answers.get(name):
            raise error

    monkeypatch.setenv("HF_TOKEN", TOKEN)
    monkeypatch.setattr(huggingface_hub, "auth_check", ask)
    monkeypatch.setattr(huggingface_hub, "set_client_factory", lambda factory: None)
    return answers, asked


def lines(*names, offline=False):
    return [
        str(found)
        for found in check_access([Source(name, "main", ("mine",), 0.0) for name in names], offline)
    ]


def test_every_model_is_asked_for_once(hub):
    assert lines("a/b", "c/d", "a/b") == [
        "ok   access     a/b: may be read with the token of this user",
        "ok   access     c/d: may be read with the token of this user",
    ]
    assert hub[1] == ["a/b", "c/d"]


@pytest.mark.parametrize(
    ("error", "remedy"),
    [
        (
            errors.GatedRepoError("403", response=answer(403)),
            "Accept its terms at https://huggingface.co/a/b, then set",
        ),
        (errors.RepositoryNotFoundError("404", response=answer(404)), "Correct source.hub"),
        (
            errors.HfHubHTTPError(f"401 for Bearer {TOKEN}", response=answer(401)),
            "the token may have run out",
        ),
    ],
)
def test_a_model_without_leave_fails_and_the_next_is_asked_for(hub, error, remedy):
    hub[0]["a/b"] = error
    first, second = lines("a/b", "c/d")
    assert first.startswith("FAIL access     a/b: ")
    assert remedy in first
    assert "HF_TOKEN or `hf auth login`" in first
    assert TOKEN not in first
    assert second.startswith("ok")


@pytest.mark.parametrize(
    "error",
    [
        httpx2.ConnectError("no route"),
        httpx2.ConnectTimeout("slow"),
        errors.HfHubHTTPError("504 Gateway", response=answer(504)),
    ],
)
def test_without_a_connection_one_question_is_enough(hub, error):
    hub[0]["a/b"] = error
    (line,) = lines("a/b", "c/d")
    assert line == f"skip access     the hub cannot be reached ({error}); 2 models not asked for"
    assert hub[1] == ["a/b"]


def test_offline_nothing_is_asked(hub):
    assert lines("a/b", offline=True)[0].startswith("skip access     offline")
    assert hub[1] == []


def test_folders_are_not_the_hub_s(hub, tmp_path):
    assert lines(str(tmp_path), "./nowhere") == [
        "skip access     no model of the run comes from the hub"
    ]
    assert hub[1] == []


def test_a_hub_that_never_answers_is_given_up(hub, monkeypatch):
    made = []
    monkeypatch.setattr(huggingface_hub, "set_client_factory", made.append)
    lines("a/b")
    with made[0]() as client:
        assert client.timeout.connect == client.timeout.read == 15.0
