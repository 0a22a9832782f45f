"""Progress: plain lines in a log file, bars on a terminal."""

import io
import os
import threading
import time

import pytest

from isogloss.display import SECONDS_BETWEEN_LINES, describe, duration, showing_progress

EVENTS = [
    {"event": "run", "recipe": "small", "stages": ["corpus", "encoders/xx", "lexicon/xx"], "kept": ["corpus"]},
    {"event": "started", "task": "encoders/xx"},
    {
        "event": "progress",
        "task": "encoders/xx",
        "done": 10,
        "total": 40,
        "rate": 1234,
        "unit": "words",
        "seconds_left": 75.0,
        "loss": 6.5,
        "score": -6.25,
    },
    {"event": "kept", "task": "encoders/xx"},
    {"event": "finished", "task": "encoders/xx"},
    {"event": "started", "task": "lexicon/xx"},
    {"event": "progress", "task": "lexicon/xx", "done": 256, "total": None, "rate": 99, "unit": "words"},
    {"event": "finished", "task": "lexicon/xx"},
]


def test_a_log_file_gets_plain_lines():
    stream = io.StringIO()
    with showing_progress(stream) as show:
        for event in EVENTS:
            show(event)
    assert stream.getvalue().splitlines() == [
        "small: 3 stages, 1 of them already there",
        "encoders/xx: done in 0:00",
        "lexicon/xx: done in 0:00",
    ]


def test_long_stages_get_a_line_now_and_then(monkeypatch):
    now = 0.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    stream = io.StringIO()
    with showing_progress(stream) as show:
        show(EVENTS[1])
        for _ in range(7):
            now += SECONDS_BETWEEN_LINES / 2
            show(EVENTS[2])
    line = "encoders/xx: step 10 of 40, loss 6.500, score -6.2500, 1,234 words/s, 1:15 left"
    assert stream.getvalue().splitlines() == [line] * 3


def test_a_pass_over_a_text_of_unknown_length_counts_sentences():
    assert describe(EVENTS[6]) == "256 sentences, 99 words/s"


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0, "0:00"), (0.6, "0:01"), (59.6, "1:00"), (60, "1:00"), (3599.7, "1:00:00"), (90061, "25:01:01")],
)
def test_durations(seconds, words):
    assert duration(seconds) == words


def test_a_terminal_gets_bars(monkeypatch):
    pty = pytest.importorskip("pty")
    ours, theirs = pty.openpty()
    seen = bytearray()

    def read() -> None:
        try:
            while some := os.read(ours, 4096):
                seen.extend(some)
        except OSError:
            pass  # the other end is closed

    reader = threading.Thread(target=read)
    reader.start()
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "120")
    try:
        with os.fdopen(theirs, "w") as terminal, monkeypatch.context() as patch:
            patch.setattr("sys.stderr", terminal)
            with showing_progress() as show:
                for event in EVENTS:
                    show(event)
                    time.sleep(0.15)  # bars are drawn ten times a second
    finally:
        reader.join(10)
        os.close(ours)
    text = seen.decode()
    for words in ("small", "━", "1,234 words/s, 1:15 left", "✓", "lexicon/xx", "of 3 stages"):
        assert words in text


def test_bars_survive_the_interruption_of_a_run(monkeypatch):
    pty = pytest.importorskip("pty")
    ours, theirs = pty.openpty()
    with os.fdopen(theirs, "w") as terminal, monkeypatch.context() as patch:
        patch.setattr("sys.stderr", terminal)
        with pytest.raises(KeyboardInterrupt), showing_progress() as show:
            for event in EVENTS[:3]:
                show(event)
            raise KeyboardInterrupt
    os.close(ours)
