"""Progress on a terminal and without one, by a clock that the test moves."""

from __future__ import annotations

import io
from collections.abc import Iterator

import pytest
from rich.console import Console

from mostnet.video.progress import RunProgress


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[float]]:
    """The time in seconds, in a list of one."""
    now_s = [0.0]
    monkeypatch.setattr("mostnet.video.progress.perf_counter", lambda: now_s[0])
    return now_s


def _lines(clock: list[float], frames: int, total: int | None, *, period_s: float, label: str = "") -> list[str]:
    text = io.StringIO()
    with RunProgress(Console(file=text, force_terminal=False, width=100), label=label) as progress:
        for k in range(1, frames + 1):
            clock[0] += period_s
            progress(k, total)
    return text.getvalue().splitlines()


def test_it_is_a_bar_on_a_terminal_and_silent_for_short_runs_elsewhere() -> None:
    for terminal in (True, False):
        text = io.StringIO()
        with RunProgress(Console(file=text, force_terminal=terminal, width=100), label="a[b].mp4") as progress:
            for k in range(1, 6):
                progress(k, 5)
        assert ("a[b].mp4" in text.getvalue() and "5/5" in text.getvalue() and "FPS" in text.getvalue()) == terminal
        assert bool(text.getvalue()) == terminal


def test_lines_come_every_ten_seconds_with_the_time_left(clock: list[float]) -> None:
    lines = _lines(clock, 36, 36, period_s=1)
    assert lines == [
        "10 of 36 frames, 1.0 FPS, about 0:00:26 left",
        "20 of 36 frames, 1.0 FPS, about 0:00:16 left",
        "30 of 36 frames, 1.0 FPS, about 0:00:06 left",
    ]
    assert _lines(clock, 12, 24, period_s=1, label="a.mp4") == ["a.mp4: 10 of 24 frames, 1.0 FPS, about 0:00:14 left"]


def test_a_long_run_has_at_most_twenty_lines(clock: list[float]) -> None:
    lines = _lines(clock, 7200, 7200, period_s=0.5)
    assert len(lines) == 19
    assert lines[0] == "360 of 7200 frames, 2.0 FPS, about 0:57:00 left"


def test_lines_without_a_total_become_rarer(clock: list[float]) -> None:
    lines = _lines(clock, 8 * 3600, None, period_s=1)
    assert lines[:3] == ["10 frames, 1.0 FPS", "20 frames, 1.0 FPS", "30 frames, 1.0 FPS"]
    assert len(lines) <= 20
