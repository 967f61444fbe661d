"""A line a finding: aligned, one line, without secrets; a check that breaks has failed and stops no
other.
"""

import pytest

from bioner.errors import InputError
from bioner.ops.doctor.report import examine, fail, ok, skip


def broken():
    yield ok("first", "fine so far")
    raise ValueError("what a library says\nand more of it")


def wrong_input():
    raise InputError("a.yaml", "this", "that", "Mend it.")


def test_lines_are_aligned():
    lines = [
        str(ok("python", "3.11")),
        str(fail("all-reduce", "hangs", "Try this.")),
        str(skip("gpus", "none")),
    ]
    assert lines == [
        "ok   python     3.11",
        "FAIL all-reduce hangs. Try this.",
        "skip gpus       none",
    ]


def test_a_finding_is_one_line_whatever_a_library_says():
    assert str(fail("nf4", "one\ntwo", "Three.")) == "FAIL nf4        one two. Three."


def test_a_check_that_breaks_has_failed_and_the_others_go_on():
    found = list(
        examine(
            [("first", broken), ("second", wrong_input), ("third", lambda: [skip("third", "why")])]
        )
    )
    assert [(one.check, one.state) for one in found] == [
        ("first", "ok"),
        ("first", "FAIL"),
        ("second", "FAIL"),
        ("third", "skip"),
    ]
    assert "ValueError: what a library says. Mend what it names" in str(found[1])
    assert str(found[2]) == "FAIL second     a.yaml: found this; expected that. Mend it."


@pytest.mark.parametrize(
    "text",
    [
        "Illegal header value b'Bearer hf_abcdefghijklmnop'",
        "Bearer sesame was refused",
        "proxy http://me:sesame@proxy:3128 does not answer",
        "a token sesame of no known form",
    ],
)
def test_no_line_holds_a_token_or_password(monkeypatch, text):
    monkeypatch.setenv("HF_TOKEN", "sesame")
    line = str(fail("access", text, "Log in."))
    assert "sesame" not in line
    assert "abcdefgh" not in line
    assert "…" in line


def test_names_like_a_token_are_left():
    assert "hf_home" in str(ok("space", "hf_home is set, `hf auth login`"))
