"""Progress of long stages: a bar on a terminal, lines in a log, and nothing from the second
process.
"""

import io
import logging
import sys

import pytest

from bioner.io.progress_bars import SILENCE, Meter, duration


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def clock(monkeypatch) -> list[float]:
    now = [100.0]
    monkeypatch.setattr("bioner.io.progress_bars.time.monotonic", lambda: now[0])
    return now


def lines(caplog) -> list[str]:
    return [
        record.getMessage() for record in caplog.records if record.name == "bioner.io.progress_bars"
    ]


def test_a_log_gets_a_line_now_and_then(clock, caplog):
    """A step a second, twelve steps of thirty: one line when more than ten seconds have passed."""
    with caplog.at_level("INFO"), Meter("train bert", "steps", 30, at_most=True) as meter:
        for _ in range(12):
            clock[0] += 1
            meter.advance()
    assert SILENCE == 10
    assert lines(caplog) == ["train bert: 11 of 30 steps, at most 19 s left"]


def test_what_was_done_before_does_not_count_as_pace(clock, caplog):
    """Ten of 110 in eleven seconds, after ninety of an earlier session: the last ten take eleven
    seconds, too.
    """
    with caplog.at_level("INFO"), Meter("predict llama", "sentences", 110, done=90) as meter:
        clock[0] += 11
        meter.advance(10)
        assert meter.left() == 11
    assert lines(caplog) == ["predict llama: 100 of 110 sentences, about 11 s left"]


def test_bytes_are_shown_as_megabytes_and_without_an_end_there_is_no_time_left(clock, caplog):
    with caplog.at_level("INFO"):
        with Meter("fetch: a.zip", "MB", 40e6, scale=1e6) as meter:
            clock[0] += 20
            meter.advance(10e6)
        with Meter("fetch: b.zip", "MB", None, scale=1e6) as meter:
            clock[0] += 20
            meter.advance(3e6)
            assert meter.left() is None
    assert lines(caplog) == ["fetch: a.zip: 10 of 40 MB, about 60 s left", "fetch: b.zip: 3 MB"]


def test_a_terminal_gets_a_bar_and_log_lines_stay_whole(monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    handler, log = logging.StreamHandler(terminal), logging.getLogger()
    monkeypatch.setattr(log, "handlers", [handler])
    log.setLevel(logging.INFO)
    with Meter("train bert", "steps", 4) as meter:
        meter.advance()
        log.info("train bert: epoch 1")
        meter.advance(3)
    shown = terminal.getvalue()
    assert "train bert:  25%|" in shown
    assert "| 1 of 4 steps, " in shown
    assert "\rtrain bert: epoch 1\n\r" in shown, "on a line of its own, with the bar below it"
    *_, last, end = shown.split("\r")
    assert (last.strip(), end) == ("", ""), "the bar goes when the work is done"
    assert log.handlers == [handler]


def test_only_the_first_process_shows_anything(clock, caplog, monkeypatch):
    monkeypatch.setenv("RANK", "1")
    with caplog.at_level("INFO"), Meter("train bert", "steps", 30) as meter:
        clock[0] += 60
        meter.advance()
    assert lines(caplog) == []


@pytest.mark.parametrize(
    ("seconds", "told"),
    [(0, "0 s"), (90, "90 s"), (91, "2 min"), (2400, "40 min"), (5400, "90 min"), (12600, "3.5 h")],
)
def test_times_are_told_as_people_tell_them(seconds, told):
    assert duration(seconds) == told
