"""The message users see: one line, and nothing in it that is to stay secret; and signals that end
work.
"""

import signal

import pytest

from bioner.errors import InputError, Interrupted, unsecret
from bioner.io.signals import raise_on_signal


def said(found: str) -> str:
    return str(InputError("hub", found, "an answer", "Try again."))


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("'http://me:sesame@127.0.0.1:80/api'", "'http://…@127.0.0.1:80/api'"),
        ("http://me:open@sesame@proxy:3128 is away", "http://…@proxy:3128 is away"),
        ("http://me:open/sesame@proxy/x", "http://…@proxy/x"),
        ("http://lab\\me:12/sesame@proxy", "http://…@proxy"),
        ("http://lab/me:sesame@proxy", "http://…@proxy"),
        ("http://sesame@proxy/x", "http://…@proxy/x"),
        ("http://a:sesame@b or http://c:sesame@d", "http://…@b or http://…@d"),
        ("b'Bearer sesame'", "b'Bearer …'"),
        ("hf_abcdefghijklmnopqrsesame, refused", "…, refused"),
        ("hf_oauth_ab.c-d_sesame", "…"),
    ],
)
def test_no_message_holds_a_token_or_password(text, left):
    assert said(text) == f"hub: found {left}; expected an answer. Try again."
    assert unsecret(said(text)) == said(text)


def test_the_token_in_the_environment_is_left_out_wherever_it_stands(monkeypatch):
    monkeypatch.setenv("HF_TOKEN", " sesame ")
    assert "sesame" not in str(InputError("sesame", "sesame", "no sesame", "Open sesame."))
    monkeypatch.setenv("HF_TOKEN", "e")
    assert said("one") == "hub: found one; expected an answer. Try again.", "no token is that short"


@pytest.mark.parametrize(
    "text",
    [
        "hf_home",
        "/data/hf_checkpoints/run",
        "https://huggingface.co/a/b@main",
        "me@home",
        "http://proxy:80/x",
    ],
)
def test_what_is_no_secret_stays(text):
    assert said(text) == f"hub: found {text}; expected an answer. Try again."


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGUSR1])
def test_ctrl_c_preemption_and_slurm_s_warning_end_work_in_good_order(number):
    def unhandled(*_):
        raise AssertionError("nobody waits for the signal")

    before = signal.signal(number, unhandled)
    try:
        with (
            pytest.raises(Interrupted, match=f"predict: {number.name}") as ended,
            raise_on_signal("predict"),
        ):
            signal.raise_signal(number)
        assert signal.getsignal(number) is unhandled, "the handler of before is back"
    finally:
        signal.signal(number, before)
    assert ended.value.signal == number
